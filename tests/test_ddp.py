"""The same seed gives the same model and figures on any number of processes, however they are started."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from pytorch_lightning.strategies import DDPStrategy
from torch.utils import _pytree as pytree

from metanas_pl.cli.train import run
from metanas_pl.errors import UserError
from tests.conftest import make_module, random_episode
from tests.runs import (
    HANGS_S,
    TIMES,
    assert_same_training,
    compose,
    environment,
    load,
    read_rows,
    tiny,
)
from tests.test_pairs import make

N_STEPS = 12
HALF = 4  # in the middle of the first of two epochs
LONG = ["data.n_train_episodes=24", "data.meta_batch_size=4", "trainer.log_every_n_steps=1"]
DDP = ["trainer=ddp", "trainer.accelerator=cpu", "trainer.devices=2"]
ACCUMULATED = ["data.meta_batch_size=2", "trainer.accumulate_grad_batches=2"]
PRUNED = [
    *("nas.meta_prune_interval=3", "nas.meta_prune_threshold=0.3", "nas.t_min=0.01"),
    *("nas.meta_prune_from=0", "nas.meta_prune_deviation=0"),
]

FAILED = [5, 7, 12, 13, 14, 15]  # two of the second rank, and all of the fourth step
PLANTED = [f"+callbacks.plant={{_target_: tests.runs.Plant, episodes: {FAILED}}}"]

UNEVEN = ["data.n_ways=[2,4]", "data.n_shots=[1,3]", "data.augment={crop: 1, flip: true}"]
METHODS = {
    "reptile": [*UNEVEN, *PLANTED, "meta.outer.schedule=cosine"],
    "fomaml": [*PRUNED, "meta.outer.clip_norm=0.5", "meta.outer.schedule=constant"],
    "maml": ["meta.outer.warm_up_steps=0", "meta.outer.schedule=linear"],
    "anil": ["meta.inner.drop_path=0.2"],
    "boil": ["nas=fair_darts"],
    "meta_sgd": ["nas=gdas"],
    "mamlpp": ["nas=drnas", "meta.options={multi_step_until: 8, second_order_from: 5}"],
    # Damped until its system is positive definite: otherwise rounding grows, in one process, too.
    "imaml": ["nas.t_max=0.3", "nas.t_min=0.3", "meta.options={cg_steps: 5, damping: 100}"],
    "protonet": ["nas=random"],
    "protomaml": ["nas=snas"],
}
OFTEN = (
    "reptile",
    "fomaml",
    "mamlpp",
)  # one of each gradient order; the others on two ranks at night
METAS = [pytest.param(meta, marks=() if meta in OFTEN else pytest.mark.nightly) for meta in METHODS]
TOLERANCE = 1e-7  # what the outer steps make of rounding; a lost or doubled episode shows in 1e-3
DELAY = 1.0
FolderOf = Callable[[str], Path]
LEARNED_RATES = ("meta_sgd", "mamlpp")


def options_of(images: Path, meta: str) -> list[str]:
    """A run whose warm-up ends in between; in double precision, for in 32 bits the order of sums can shift
    a threshold."""
    options = [
        *tiny(images),
        *LONG,
        f"trainer.max_steps={N_STEPS}",
        "trainer.precision=64-true",
    ]
    options += [f"meta={meta}", "meta.outer.warm_up_steps=2"]
    return [*options, "meta.outer.optimizer=sgd", "meta.outer.weight_lr=0.05", *METHODS[meta]]


def in_folder(folder: Path) -> list[str]:
    """The folder of a run, which also keeps a checkpoint of half of the way."""
    saver = f"{{_target_: tests.runs.SaveAt, step: {HALF}, file: {folder}/half.ckpt}}"
    return [f"run_dir={folder}", f"+callbacks.half={saver}"]


def on_two_ranks(options: list[str], folder: Path) -> list[str]:
    writer = f"{{_target_: tests.runs.WriteGradients, folder: {folder}/gradients}}"
    return [*options, *DDP, *in_folder(folder), f"+callbacks.gradients={writer}"]


@pytest.fixture(scope="module")
def one_process(images: Path, tmp_path_factory: pytest.TempPathFactory) -> FolderOf:
    """Folder of the run of a meta-learner in this process; each is trained once."""
    root = tmp_path_factory.mktemp("one")

    def folder_of(meta: str) -> Path:
        if not (root / meta).exists():
            run(compose([*options_of(images, meta), *in_folder(root / meta)]))
        return root / meta

    return folder_of


@pytest.fixture(scope="module")
def two_ranks(
    images: Path, one_process: FolderOf, tmp_path_factory: pytest.TempPathFactory
) -> FolderOf:
    """Folder of a run of two ranks. There are two launches for all, each at its first use: one of the
    meta-learners of ``OFTEN``, with variations of a run, and one of the others."""
    root = tmp_path_factory.mktemp("two")

    def folder_of(name: str) -> Path:
        if not (root / name).exists():
            rare = name in METHODS and name not in OFTEN
            metas = [meta for meta in METHODS if (meta in OFTEN) != rare]
            runs = {meta: options_of(images, meta) for meta in metas}
            if not rare:
                runs |= variations(runs["fomaml"], one_process("fomaml"))
            launch(runs, root, metas)
        return root / name

    def launch(runs: dict[str, list[str]], root: Path, metas: list[str]) -> None:
        overrides = [on_two_ranks(options, root / name) for name, options in runs.items()]
        (root / "runs.json").write_text(json.dumps(overrides), encoding="utf-8")
        ranks = start([sys.executable, "-m", "tests.several_runs", str(root / "runs.json")], root)
        try:
            for meta in metas:
                one_process(meta)
        finally:
            end(ranks)

    return folder_of


def variations(options: list[str], one_process: Path) -> dict[str, list[str]]:
    """The second half of the run of one process, a run that accumulates, one with a slow rank."""
    slow = f"{{_target_: tests.runs.Dawdle, rank: 1, seconds: {DELAY}}}"
    return {
        "goes_on": [*options, f"ckpt_path={one_process / 'half.ckpt'}"],
        "accumulated": [*options, *ACCUMULATED],
        "slow": [*options, "trainer.max_steps=2", f"+callbacks.slow={slow}"],
    }


def start(command: list[str], folder: Path, **env: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        command,
        cwd=folder,
        env=environment(**env),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )


def end(process: subprocess.Popen[str]) -> None:
    try:
        error = process.communicate(timeout=HANGS_S)[1]
    finally:
        process.kill()
    assert process.returncode == 0, error[-2000:]


def assert_same_run(one: Path, two: Path) -> None:
    """The same training, the same test episodes, and the same figures to 1e-6."""
    last = "checkpoints/last.ckpt"
    assert load(one / last)["global_step"] == N_STEPS
    assert_same_training(one / last, two / last, TOLERANCE)
    rows = [read_rows(folder / "episodes_test.csv") for folder in (one, two)]
    assert [row["episode"] for row in rows[0]] == [str(i) for i in range(5)]
    assert_same_figures(*rows)
    assert_same_figures(*(read_rows(folder / "metrics.csv", TIMES) for folder in (one, two)))


def assert_same_figures(left: list[dict[str, str]], right: list[dict[str, str]]) -> None:
    """All columns agree."""
    assert len(left) == len(right)
    for one, two in zip(left, right, strict=True):
        assert one.keys() == two.keys()
        for key in one:
            if key == "genotype" or not one[key] or not two[key]:
                assert one[key] == two[key], key
            else:
                assert float(one[key]) == pytest.approx(float(two[key]), abs=1e-6, nan_ok=True), key


@pytest.mark.parametrize("meta", METHODS)
def test_the_mean_over_ranks_is_the_gradient_of_all_tasks(meta: str, tmp_path: Path) -> None:
    """Without processes, for every meta-learner: rank r of 2 has the tasks r, r + 2, ..."""
    named = [option.removeprefix("nas=") for option in METHODS[meta] if option.startswith("nas=")]
    module = make(meta, *(named or ["darts_first_order"]), tmp_path).double()
    episode = random_episode(tasks=4)
    double = type(episode)(*(x.double() if x.is_floating_point() else x for x in episode))
    inputs = {"seed": 0, "mask": module.mask()}
    whole, *parts = (
        module.learner.meta_gradient(module.theta(), tasks, **inputs)[0].gradient
        for tasks in (double, *(type(double)(*(x[rank::2] for x in double)) for rank in (0, 1)))
    )
    mean = pytree.tree_map(lambda *values: torch.stack(values).mean(0), *parts)
    torch.testing.assert_close(mean, whole, rtol=1e-9, atol=1e-12)
    assert any(value.abs().max() > 1e-6 for value in whole.weights.values())


@pytest.mark.slow
@pytest.mark.parametrize("meta", METAS)
def test_two_ranks_equal_one_process(meta: str, one_process: FolderOf, two_ranks: FolderOf) -> None:
    """Fault 10, and gradients that stay unsynchronised when parameters join later."""
    assert_same_run(one_process(meta), two_ranks(meta))


@pytest.mark.slow
@pytest.mark.parametrize("meta", METAS)
def test_every_group_has_the_same_gradient_on_both_ranks_in_every_step(
    meta: str, two_ranks: FolderOf
) -> None:
    gradients = two_ranks(meta) / "gradients"
    left, right = (
        [json.loads(line) for line in (gradients / name).read_text().splitlines()]
        for name in ("rank0.jsonl", "rank1.jsonl")
    )
    assert left == right and len(left) == N_STEPS
    groups = {"weights", "alphas"} | ({"hyper"} if meta in LEARNED_RATES else set())
    assert all(set(step) == groups for step in left)
    assert len({step["weights"] for step in left}) == N_STEPS


@pytest.mark.slow
def test_two_ranks_skip_the_same_tasks(one_process: FolderOf, two_ranks: FolderOf) -> None:
    for folder in (one_process("reptile"), two_ranks("reptile")):
        skipped = read_rows(folder / "skipped_episodes.csv")
        assert [row["episode"] for row in skipped] == [str(i) for i in FAILED]


@pytest.mark.slow
def test_two_ranks_that_accumulate_equal_one_process(
    one_process: FolderOf, two_ranks: FolderOf
) -> None:
    assert_same_run(one_process("fomaml"), two_ranks("accumulated"))


@pytest.mark.slow
@pytest.mark.parametrize("meta", METAS)
def test_one_process_goes_on_where_two_ranks_were_half_way(
    meta: str,
    images: Path,
    one_process: FolderOf,
    two_ranks: FolderOf,
    tmp_path: Path,
) -> None:
    """In other batches, other chunks, and with workers."""
    half = two_ranks(meta) / "half.ckpt"
    assert load(half)["global_step"] == HALF
    options = [*options_of(images, meta), *ACCUMULATED, "meta.chunk_size=1", "data.num_workers=1"]
    run(compose([*options, f"ckpt_path={half}", f"run_dir={tmp_path}"]))
    assert_same_training(
        *(f / "checkpoints/last.ckpt" for f in (one_process(meta), tmp_path)), TOLERANCE
    )


@pytest.mark.slow
def test_two_ranks_go_on_where_one_process_stopped(
    one_process: FolderOf, two_ranks: FolderOf
) -> None:
    folders = one_process("fomaml"), two_ranks("goes_on")
    state = load(folders[0] / "checkpoints" / "last.ckpt")["state_dict"]
    assert not all(alive.all() for name, alive in state.items() if "alive" in name)
    assert_same_training(*(folder / "checkpoints/last.ckpt" for folder in folders), TOLERANCE)


@pytest.mark.slow
def test_the_wait_for_a_slower_rank_is_seen(two_ranks: FolderOf) -> None:
    rows = read_rows(two_ranks("slow") / "metrics.csv")
    waits = [float(row["speed/communication_seconds"]) for row in rows if row["speed/data_seconds"]]
    assert len(waits) == 2 and max(waits) > DELAY / 4


@pytest.mark.slow
def test_torchrun_on_two_nodes_equals_one_process_and_only_rank_0_writes(
    images: Path, one_process: FolderOf, tmp_path: Path
) -> None:
    """The nodes have folders of their own, so that whatever the second one writes is seen."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    nodes = []
    for rank in (0, 1):
        folder = tmp_path / f"node{rank}"
        folder.mkdir()
        torchrun = [
            sys.executable,
            "-m",
            "torch.distributed.run",
            "--nnodes=2",
            f"--node_rank={rank}",
        ]
        torchrun += ["--nproc_per_node=1", "--master_addr=127.0.0.1", f"--master_port={port}"]
        options = [*options_of(images, "fomaml"), *DDP, "trainer.devices=1", "trainer.num_nodes=2"]
        place = f"hydra.run.dir={folder / 'run'}"
        nodes.append(start([*torchrun, "-m", "metanas_pl.cli.train", *options, place], folder))
    for node in nodes:
        end(node)
    assert_same_run(one_process("fomaml"), tmp_path / "node0" / "run")
    assert [path for path in (tmp_path / "node1").rglob("*") if path.is_file()] == []


@pytest.mark.slow
def test_test_episodes_are_the_same_for_any_number_of_workers(images: Path, tmp_path: Path) -> None:
    for workers in (0, 2):
        options = [*tiny(images, tmp_path / str(workers)), f"data.num_workers={workers}"]
        run(compose(options))
    rows = [read_rows(tmp_path / str(workers) / "episodes_test.csv") for workers in (0, 2)]
    assert rows[0] == rows[1]


def test_carried_states_refuse_two_processes() -> None:
    module = make_module(meta={"inner": {"state": "carried"}})
    trainer = SimpleNamespace(strategy=DDPStrategy(), world_size=2, callbacks=[])
    held = {"nas": module.nas, "meta": module.meta}
    with pytest.raises(UserError, match="meta.inner.state=carried.* 2 processes"):
        type(module).on_fit_start(SimpleNamespace(**held, trainer=trainer))
