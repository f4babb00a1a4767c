"""A training that is interrupted and resumed ends bit for bit where an undisturbed one ends."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest
import torch

from metanas_pl.cli import app, train
from metanas_pl.training.checkpointing.resume import choose_checkpoint, newest
from tests import runs
from tests.runs import HANGS_S

N_STEPS = 7  # with 3 outer steps an epoch: two whole epochs and a step
OPTIONS = (
    "data.n_train_episodes=6",
    f"trainer.max_steps={N_STEPS}",
    "data.n_test_episodes=1",
    "meta.outer.warm_up_steps=2",
    "meta.outer.schedule=cosine",
    "meta.outer.optimizer=adam",
    "meta.inner.drop_path=0.2",
    "trainer.log_every_n_steps=2",
)
CONSTANT = ("meta.outer.schedule=constant", "nas.outer_t_factor=1")
VARIANTS = {
    "fresh": (),
    "carried": ("meta.inner.state=carried",),
    "workers": ("data.num_workers=2",),
    "no_validation": ("trainer.limit_val_batches=0",),
    "min_steps": (f"trainer.min_steps={N_STEPS}", "trainer.min_epochs=2"),
    "pruned": (
        *("nas.meta_prune_interval=1", "nas.meta_prune_threshold=0.3", "nas.t_min=0.01"),
        *("nas.meta_prune_from=0", "nas.meta_prune_deviation=0"),
    ),
}


def options(images: Path, run_dir: Path, variant: str) -> list[str]:
    return [*runs.tiny(images, run_dir), *OPTIONS, *VARIANTS[variant]]


class Undisturbed(dict[str, Path]):
    """Final checkpoint of an undisturbed run of each variant, trained when it is first asked for."""

    def __init__(self, images: Path, root: Path) -> None:
        self.images, self.root = images, root

    def __missing__(self, variant: str) -> Path:
        run_dir = self.root / variant
        train.run(runs.compose(options(self.images, run_dir, variant)))
        self[variant] = run_dir / "checkpoints" / "last.ckpt"
        assert self[variant].is_file()
        return self[variant]


@pytest.fixture(scope="module")
def undisturbed(images: Path, tmp_path_factory: pytest.TempPathFactory) -> Undisturbed:
    return Undisturbed(images, tmp_path_factory.mktemp("undisturbed"))


def interrupt(arguments: list[str], step: int, name: str = "SIGINT", code: int = 130) -> None:
    """Run until Ctrl-C, or another signal, in outer step ``step``."""
    send = f"+callbacks.send={{_target_: tests.runs.Send, step: {step}, name: {name}}}"
    before = signal.getsignal(signal.Signals[name])
    with pytest.raises(SystemExit) as exit:
        train.run(runs.compose([*arguments, send]))
    assert exit.value.code == code
    assert signal.getsignal(signal.Signals[name]) == before


# In the middle of an epoch (3 outer steps) or at its end: one for each variant, the others at night.
OFTEN = [("fresh", 1), ("pruned", 2)]
SLOW = [("carried", 2), ("min_steps", 2)]
OTHERS = {(variant, k) for variant in VARIANTS for k in (2, 3)} | {("fresh", 6)}
CASES = [
    *OFTEN,
    *(pytest.param(*case, marks=pytest.mark.slow) for case in SLOW),
    *(pytest.param(*case, marks=pytest.mark.nightly) for case in sorted(OTHERS - {*OFTEN, *SLOW})),
]


@pytest.mark.parametrize(("variant", "step"), CASES)
def test_an_interrupted_run_goes_on_exactly(
    images: Path,
    undisturbed: Undisturbed,
    tmp_path: Path,
    variant: str,
    step: int,
    capsys: pytest.CaptureFixture[str],
) -> None:
    arguments, last = options(images, tmp_path, variant), tmp_path / "checkpoints" / "last.ckpt"
    interrupt(arguments, step)
    assert runs.load(last)["global_step"] == step
    assert f"ckpt_path={last}" in capsys.readouterr().out
    results = train.run(runs.compose([*arguments, f"ckpt_path={last}"]))
    runs.assert_same_training(last, undisturbed[variant])
    assert results["train/outer_steps"] == N_STEPS
    assert_same_rows(tmp_path, undisturbed[variant].parent.parent)


def assert_same_rows(left: Path, right: Path) -> None:
    """The rows of ``metrics.csv`` are the same, each once, but for times."""
    rows = [runs.read_rows(folder / "metrics.csv", runs.TIMES) for folder in (left, right)]
    assert rows[0] == rows[1]


@pytest.mark.slow
@pytest.mark.parametrize(("name", "code", "step"), [("SIGTERM", 143, 3), ("SIGUSR1", 138, 4)])
def test_signals_of_a_cluster_end_a_run_that_goes_on_by_itself(
    images: Path,
    undisturbed: Undisturbed,
    tmp_path: Path,
    name: str,
    code: int,
    step: int,
    capsys: pytest.CaptureFixture[str],
) -> None:
    arguments = [*options(images, tmp_path, "fresh"), "resume=auto"]
    interrupt(arguments, step, name, code)
    last = tmp_path / "checkpoints" / "last.ckpt"
    assert runs.load(last)["global_step"] == step
    assert f"stopped by {name} after outer step {step}" in capsys.readouterr().out
    last.with_name("later.ckpt").write_bytes(last.read_bytes()[:-100])  # does not load
    train.run(runs.compose(arguments))
    assert f"resumes after outer step {step}: {last}" in capsys.readouterr().out
    runs.assert_same_training(last, undisturbed["fresh"])
    assert_same_rows(tmp_path, undisturbed["fresh"].parent.parent)


def test_which_checkpoint_a_run_goes_on_with(undisturbed: Undisturbed, tmp_path: Path) -> None:
    folder = undisturbed["fresh"].parent
    config = app.to_config(runs.compose([f"run_dir={folder.parent}", "ckpt_path=last"]))
    assert choose_checkpoint(config) == str(undisturbed["fresh"])
    auto = app.to_config(runs.compose([f"run_dir={tmp_path}", "resume=auto"]))
    assert choose_checkpoint(auto) is None
    with pytest.raises(ValueError, match=f"ckpt_path=last: .*{tmp_path}"):
        choose_checkpoint(app.to_config(runs.compose([f"run_dir={tmp_path}", "ckpt_path=last"])))
    for override in ("resume=yes", "resume=auto ckpt_path=last"):
        with pytest.raises(ValueError, match="makes no sense"):
            app.to_config(runs.compose([f"run_dir={tmp_path}", *override.split()]))


def test_a_checkpoint_without_its_step_is_none(
    images: Path, undisturbed: Undisturbed, tmp_path: Path
) -> None:
    checkpoint = runs.load(undisturbed["fresh"])
    del checkpoint["global_step"]
    folder = tmp_path / "checkpoints"
    folder.mkdir()
    torch.save(checkpoint, folder / "later.ckpt")
    assert newest(folder) is None
    arguments = [*options(images, tmp_path, "fresh"), f"ckpt_path={folder / 'later.ckpt'}"]
    with pytest.raises(ValueError, match="global_step"):
        train.run(runs.compose(arguments))


@pytest.mark.slow
def test_variants_are_different_trainings(undisturbed: Undisturbed) -> None:
    """Otherwise the tests above would show less than they say."""
    pruned = runs.load(undisturbed["pruned"])["state_dict"]
    alive = [mask for name, mask in pruned.items() if "alive" in name]
    assert not all(mask.all() for mask in alive), "nothing was meta-pruned"
    runs.assert_same_training(undisturbed["fresh"], undisturbed["workers"])
    assert runs.load(undisturbed["carried"])["carried_states"]
    with pytest.raises(AssertionError):
        runs.assert_same_training(undisturbed["fresh"], undisturbed["carried"])


@pytest.mark.slow
def test_interrupted_twice(images: Path, undisturbed: Undisturbed, tmp_path: Path) -> None:
    arguments, last = options(images, tmp_path, "fresh"), tmp_path / "checkpoints" / "last.ckpt"
    interrupt(arguments, 2)
    interrupt([*arguments, f"ckpt_path={last}"], 4)
    train.run(runs.compose([*arguments, f"ckpt_path={last}"]))
    runs.assert_same_training(last, undisturbed["fresh"])


@pytest.mark.slow
def test_a_run_that_goes_on_in_another_folder_remembers_its_best(
    images: Path, undisturbed: Undisturbed, tmp_path: Path
) -> None:
    """Every run has a folder of its own by default, so this is how a run is resumed."""
    first, second = tmp_path / "first", tmp_path / "second"
    interrupt(options(images, first, "fresh"), 4)  # validated after step 3
    last, best = (first / "checkpoints" / f"{name}.ckpt" for name in ("last", "best"))
    checkpoint = runs.load(last)
    for state in checkpoint["callbacks"].values():
        if "best_model_path" in state and state["monitor"] == "val/accuracy":
            beyond_reach = torch.tensor(2.0)
            state["best_model_score"] = state["kth_value"] = beyond_reach
            state["best_k_models"] = dict.fromkeys(state["best_k_models"], beyond_reach)
    torch.save(checkpoint, last)
    train.run(runs.compose([*options(images, second, "fresh"), f"ckpt_path={last}"]))
    kept = second / "checkpoints" / "best.ckpt"
    assert runs.load(kept)["global_step"] == runs.load(best)["global_step"] == 3
    runs.assert_same_training(kept, best)
    runs.assert_same_training(second / "checkpoints" / "last.ckpt", undisturbed["fresh"])


def test_another_network_is_refused(images: Path, undisturbed: Undisturbed, tmp_path: Path) -> None:
    arguments = [*options(images, tmp_path, "fresh"), f"ckpt_path={undisturbed['fresh']}"]
    for override in ("space.channels=5", "meta.inner.steps=3", "nas.t_min=0.04"):
        group = override.split(".")[0]
        with pytest.raises(ValueError, match=f"ckpt_path.*trained with {group}="):
            train.run(runs.compose([*arguments, override]))


@pytest.mark.slow
def test_a_finished_run_is_prolonged(images: Path, tmp_path: Path) -> None:
    """Constant schedules do not know how long the run is, so a longer one is a prolonged one.

    Evidence does: it fades over a share of the training.
    """
    lasts = []
    for lengths in ((3, 4, N_STEPS), (N_STEPS,)):  # at the end of an epoch, in the middle of one
        folder = tmp_path / str(len(lengths))
        arguments = [*options(images, folder, "fresh"), *CONSTANT]
        for n_steps in lengths:
            more = [f"trainer.max_steps={n_steps}", "resume=auto"]
            train.run(runs.compose([*arguments, *more]))
        lasts.append(folder / "checkpoints" / "last.ckpt")
    runs.assert_same_training(*lasts, ignore="evidence.")


@pytest.mark.slow
def test_ctrl_c_on_the_command_line(images: Path, tmp_path: Path) -> None:
    """A signal from outside at any time; the message's command ends like an undisturbed run."""
    n_steps = 12
    more = [f"trainer.max_steps={n_steps}", "data.n_train_episodes=20", "data.n_val_episodes=1"]
    arguments = [*options(images, tmp_path / "a", "fresh"), *more]
    process = runs.start("train", [*arguments, *runs.TELL_SLOWLY], tmp_path)
    try:
        for line in process.stdout:
            if line.startswith("step 3"):
                break
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=HANGS_S)
    finally:
        process.kill()
    assert process.returncode == 130, err
    assert "Traceback" not in err
    last = tmp_path / "a" / "checkpoints" / "last.ckpt"
    assert 3 <= runs.load(last)["global_step"] < n_steps
    assert f"ckpt_path={last}" in out
    train.run(runs.compose([*arguments, f"ckpt_path={last}"]))
    straight = [*options(images, tmp_path / "b", "fresh"), *more]
    train.run(runs.compose(straight))
    runs.assert_same_training(last, tmp_path / "b" / "checkpoints" / "last.ckpt")
