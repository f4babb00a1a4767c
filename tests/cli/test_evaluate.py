"""``metanas-evaluate``: the figures of a checkpoint, again or with other episodes and steps."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from metanas_pl.cli import app, evaluate, train
from tests import runs


def trained(images: Path, run_dir: Path, head: str) -> Path:
    more = [f"meta.head={head}", "seed=3", "meta.inner.weight_lr=0.05", "meta.inner.alpha_lr=0.5"]
    train.run(runs.compose([*runs.tiny(images, run_dir), *more]))
    return run_dir


@pytest.fixture(scope="module")
def zero_head(images: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run with an empty head for every task."""
    return trained(images, tmp_path_factory.mktemp("zero"), "zero")


@pytest.fixture(scope="module")
def learned_head(images: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run with a meta-learned head."""
    return trained(images, tmp_path_factory.mktemp("learned"), "learned")


def evaluated(
    run: Path,
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    *overrides: str,
    draws: bool = False,
) -> dict[str, Any]:
    """Results of the console script, in this process."""
    checkpoint = run / "checkpoints" / "best.ckpt"
    quiet = ["trainer.enable_progress_bar=false", "callbacks.progress=null"]
    quiet += [] if draws else ["callbacks.architecture=null"]
    arguments = [f"ckpt_path={checkpoint}", f"hydra.run.dir={folder}", *quiet, *overrides]
    monkeypatch.setattr(sys, "argv", ["metanas-evaluate", *arguments])
    evaluate.main()
    results: dict[str, Any] = json.loads((folder / "results.json").read_text())
    return results


def figures(results: dict[str, Any]) -> dict[str, Any]:
    """What does not differ from run to run."""
    of_training = ("train/", "val/")
    return {
        k: v for k, v in results.items() if "seconds" not in k and not k.startswith(of_training)
    }


def refused(capsys: pytest.CaptureFixture[str], action: Callable[[], Any]) -> str:
    """The one line with which ``action`` is refused."""
    capsys.readouterr()
    with pytest.raises(SystemExit) as stopped:
        action()
    assert stopped.value.code == 2
    lines = capsys.readouterr().err.splitlines()
    (message,) = (
        line for line in lines if line and "(once)" not in line
    )  # not that of a new store
    return message


@pytest.mark.slow
@pytest.mark.parametrize("head", ["zero", "learned"])
def test_the_same_figures_digit_for_digit(
    head: str, tmp_path: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = request.getfixturevalue(f"{head}_head")
    results = evaluated(run, tmp_path, monkeypatch, draws=True)
    assert figures(results) == figures(json.loads((run / "results.json").read_text()))
    rows = [runs.read_rows(folder / "episodes_test.csv") for folder in (run, tmp_path)]
    assert rows[0] == rows[1]
    names = ["genotype.json", "cell_normal.svg", "cell_reduce.png", "config.yaml", "metrics.csv"]
    assert all((tmp_path / name).is_file() for name in names)


def test_config_of_an_evaluation_is_that_of_the_training(
    zero_head: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import yaml

    evaluated(zero_head, tmp_path, monkeypatch, "data.n_ways=2")
    mine, theirs = (yaml.safe_load((d / "config.yaml").read_text()) for d in (tmp_path, zero_head))
    assert mine["data"] == {**theirs["data"], "n_ways": 2}
    for key in ("space", "nas", "meta", "evaluation", "seed"):
        assert mine[key] == theirs[key]


@pytest.mark.slow
def test_the_seed_of_evaluation_and_the_seed_of_the_run_can_be_set(
    zero_head: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def rows(name: str, *overrides: str) -> list[dict[str, str]]:
        results = evaluated(zero_head, tmp_path / name, monkeypatch, *overrides)
        seeds[name] = results["seed"], results["eval_seed"]
        return runs.read_rows(tmp_path / name / "episodes_test.csv")

    seeds: dict[str, Any] = {}
    before = runs.read_rows(zero_head / "episodes_test.csv")
    assert rows("other", "seed=5") == before, "episodes that another run is tested on"
    assert rows("others", "data.eval_seed=1") != before
    assert seeds == {"other": (5, 0), "others": (3, 1)}


@pytest.mark.nightly
def test_in_a_process_of_its_own_from_another_folder(zero_head: Path, tmp_path: Path) -> None:
    checkpoint = zero_head / "checkpoints" / "best.ckpt"
    words = [f"ckpt_path={checkpoint}", "callbacks.architecture=null"]
    done = runs.execute("evaluate", words, tmp_path)
    assert done.returncode == 0, done.stderr
    (found,) = tmp_path.glob("outputs/*/*/results.json")
    results = json.loads(found.read_text())
    assert figures(results) == figures(json.loads((zero_head / "results.json").read_text()))


def test_other_ways_with_a_zero_head(
    zero_head: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    results = evaluated(zero_head, tmp_path, monkeypatch, "data.n_ways=4", "data.n_test_episodes=3")
    assert results["test/n_episodes"] == 3
    before = {float(r["accuracy"]) * 8 for r in runs.read_rows(tmp_path / "episodes_test.csv")}
    assert all(value == pytest.approx(round(value), abs=1e-4) for value in before)


@pytest.mark.parametrize(
    ("head", "override", "told"),
    [("learned", "data.n_ways=4", "3 ways"), ("zero", "data.channels=3", "trained with 1")],
)
def test_what_does_not_fit_the_network_is_refused(
    head: str,
    override: str,
    told: str,
    tmp_path: Path,
    request: pytest.FixtureRequest,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    run = request.getfixturevalue(f"{head}_head")
    message = refused(capsys, lambda: evaluated(run, tmp_path, monkeypatch, override))
    assert override in message and told in message


@pytest.mark.slow
def test_what_adapts(zero_head: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    losses, figures = {}, {}
    for adapt in ("both", "weights", "alphas", "nothing"):
        folder = tmp_path / adapt
        options = (f"evaluation.adapt={adapt}", "evaluation.arms=[frozen]")
        results = evaluated(zero_head, folder, monkeypatch, *options)
        rows = runs.read_rows(folder / "episodes_test.csv")
        losses[adapt] = [float(row["loss"]) for row in rows]
        figures[adapt] = results
        if adapt == "nothing":
            assert results["test/accuracy"] == results["test/accuracy_before_adaptation"]
    assert len({tuple(values) for values in losses.values()}) >= 3
    assert losses["both"] != losses["weights"] != losses["nothing"]
    for adapt, held in (("both", "weights"), ("alphas", "nothing")):
        of_held = figures[held]["test/accuracy"]
        assert figures[adapt]["test/accuracy_arm_frozen"] == of_held
        assert "test/accuracy_arm_frozen" not in figures[held]


@pytest.mark.slow
def test_other_steps(zero_head: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = {}
    for steps in (2, 3):
        evaluated(zero_head, tmp_path / str(steps), monkeypatch, f"evaluation.steps={steps}")
        rows[steps] = runs.read_rows(tmp_path / str(steps) / "episodes_test.csv")
    assert rows[3] == runs.read_rows(zero_head / "episodes_test.csv")
    assert rows[2] != rows[3]


@pytest.mark.slow
def test_another_data_set(
    zero_head: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    other = runs.make_images(tmp_path / "other", n_images=9)
    folder = tmp_path / "run"
    overrides = ["data=folder", f"data.root={other}", "data.n_queries=8"]
    message = refused(capsys, lambda: evaluated(zero_head, folder, monkeypatch, *overrides))
    assert "other is not the data" in message and "checksum" in message
    assert message.endswith("evaluation.other_data=true")
    overrides.append("evaluation.other_data=true")
    results = evaluated(zero_head, folder, monkeypatch, *overrides)
    assert results["test/n_episodes"] == 5, "what `data=` does not name stays as trained"
    accuracies = [float(r["accuracy"]) * 24 for r in runs.read_rows(folder / "episodes_test.csv")]
    assert all(a == pytest.approx(round(a), abs=1e-3) for a in accuracies)


def test_a_part_of_a_group_within_data(zero_head: Path, tmp_path: Path) -> None:
    overrides = ["data.augment.at_test=true", "data.augment.flip=true"]
    ckpt = [f"ckpt_path={zero_head / 'checkpoints' / 'best.ckpt'}", f"run_dir={tmp_path}"]
    asked = app.to_config(runs.compose([*ckpt, *overrides, "data.augment.shift=3"]), trains=False)
    augment = evaluate.as_trained(asked, overrides).data.augment
    assert (augment.at_test, augment.flip, augment.shift) == (True, True, 0.0)


def test_one_source_of_a_mixture_needs_neither_weights_nor_roots(
    zero_head: Path, tmp_path: Path
) -> None:
    checkpoint = runs.load(zero_head / "checkpoints" / "best.ckpt")
    mixed = {"source": ["folder", "glyphs"], "weights": [2, 1], "root": ["/images", None]}
    checkpoint["datamodule_hyper_parameters"] |= mixed
    torch.save(checkpoint, tmp_path / "mixed.ckpt")
    ckpt = f"ckpt_path={tmp_path / 'mixed.ckpt'}"
    for override, expected in (("seed=0", mixed), ("data.source=glyphs", ("glyphs", None, None))):
        asked = app.to_config(runs.compose([ckpt, f"run_dir={tmp_path}", override]), trains=False)
        found = evaluate.as_trained(asked, [o for o in (override,) if "data" in o]).data
        wanted = tuple(expected.values()) if isinstance(expected, dict) else expected
        assert (found.source, found.weights, found.root) == wanted


@pytest.mark.slow
def test_images_that_changed_since_the_training_are_found_out(
    zero_head: Path,
    images: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    state = runs.load(zero_head / "checkpoints" / "best.ckpt")["EpisodeDataModule"]
    (store,) = state["stores"]
    assert store["n_classes"] == {"train": 4, "val": 4, "test": 4} and len(store["mean"]) == 1
    moved = shutil.copytree(images, tmp_path / "root")
    overrides = [f"data.root={moved}", f"data.cache_dir={tmp_path / 'cache'}"]
    results = evaluated(zero_head, tmp_path / "same", monkeypatch, *overrides)
    assert figures(results) == figures(json.loads((zero_head / "results.json").read_text()))
    (moved / "test" / "test0").rename(moved / "val" / "test0")
    overrides[1] = f"data.cache_dir={tmp_path / 'other'}"
    message = refused(
        capsys, lambda: evaluated(zero_head, tmp_path / "out", monkeypatch, *overrides)
    )
    assert "train 4, val 4, test 4 then, train 4, val 5, test 3 now" in message


def test_nothing_is_unpickled(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    trap = tmp_path / "sprung"

    class Evil:
        def __reduce__(self) -> Any:
            return (Path.touch, (trap,))

    (tmp_path / "checkpoints").mkdir()
    torch.save({"state_dict": {}, "x": Evil()}, tmp_path / "checkpoints" / "best.ckpt")
    for main in (evaluate.main, train.main):
        argv = ["x", f"ckpt_path={tmp_path / 'checkpoints' / 'best.ckpt'}"]
        monkeypatch.setattr(sys, "argv", [*argv, f"hydra.run.dir={tmp_path / 'out'}"])
        assert "ckpt_path" in refused(capsys, main)
    assert not trap.exists()


def test_a_file_that_is_no_checkpoint_of_ours(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "checkpoints").mkdir()
    path = tmp_path / "checkpoints" / "best.ckpt"
    for content in ({"state_dict": {}}, [1], None):
        torch.save(content, path)
        if content is None:
            path.write_text("no checkpoint at all")
        message = refused(capsys, lambda: evaluated(tmp_path, tmp_path / "out", monkeypatch))
        assert f"ckpt_path={path}" in message


def test_inference_mode(zero_head: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Adaptation takes gradients inside Lightning's inference mode."""
    from metanas_pl.module import MetaNASModule

    seen, step = [], MetaNASModule.test_step

    def spy(self: MetaNASModule, batch: Any, batch_idx: int) -> None:
        seen.append(torch.is_inference_mode_enabled())
        step(self, batch, batch_idx)

    monkeypatch.setattr(MetaNASModule, "test_step", spy)
    evaluated(zero_head, tmp_path, monkeypatch)
    assert seen and all(seen)
