"""The best checkpoint of a run folder is its own, wherever the folder was copied from."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from metanas_pl.cli import train
from tests import runs


@pytest.fixture(scope="module")
def original(images: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A run of 2 outer steps that was copied and then trained on to 6, and the copy."""
    folder = tmp_path_factory.mktemp("runs")
    first, copy = folder / "first", folder / "copy"
    trained(images, first)
    shutil.copytree(first, copy)
    trained(images, first, "trainer.max_steps=6", "resume=auto")
    return first, copy


def trained(images: Path, run_dir: Path, *more: str) -> dict[str, Any]:
    options = [*runs.tiny(images, run_dir), "meta.outer.schedule=constant", *more]
    results: dict[str, Any] = train.run(runs.compose(options))
    return results


def best_of(checkpoint: dict[str, Any]) -> dict[str, Any]:
    """State of the callback that keeps the best checkpoint."""
    (state,) = [s for s in checkpoint["callbacks"].values() if s.get("monitor") == "val/accuracy"]
    return state


@pytest.fixture
def mine(original: tuple[Path, Path], tmp_path: Path) -> Path:
    """A copy of the copy, to be changed."""
    return shutil.copytree(original[1], tmp_path / "mine")


@pytest.mark.slow
def test_a_copied_folder_reports_its_own_best(
    images: Path, original: tuple[Path, Path], mine: Path
) -> None:
    first, copy = original
    best = mine / "checkpoints" / "best.ckpt"
    before = best.read_bytes()
    assert trained(images, mine, "resume=auto")["train/outer_steps"] == 2
    assert best.read_bytes() == before
    rows = [runs.read_rows(folder / "episodes_test.csv") for folder in (mine, copy)]
    assert rows[0] == rows[1], "those of the 2 outer steps, again"


@pytest.mark.slow
def test_a_copy_goes_on_without_its_original(
    images: Path, original: tuple[Path, Path], mine: Path
) -> None:
    first, copy = original
    trained(images, mine, "trainer.max_steps=6", "resume=auto")
    for name in ("last", "best"):
        runs.assert_same_training(*(f / "checkpoints" / f"{name}.ckpt" for f in (mine, first)))


def test_no_path_in_a_checkpoint_leads_out_of_its_folder(original: tuple[Path, Path]) -> None:
    for path in (original[0] / "checkpoints").iterdir():
        content = runs.load(path)
        assert best_of(content)["best_model_path"] == "best.ckpt"
        assert str(original[0]) not in str(content["callbacks"])


def test_a_best_of_later_steps_is_not_taken_for_that_of_an_earlier_checkpoint(
    images: Path, original: tuple[Path, Path], mine: Path
) -> None:
    """Step 2 with the best of step 6 beside it: the old one is gone, and not to be replaced by that."""
    first, copy = original
    later = first / "checkpoints" / "last.ckpt"
    shutil.copy(later, mine / "checkpoints" / "best.ckpt")
    earlier = mine / "checkpoints" / "last.ckpt"
    with pytest.warns(
        UserWarning, match=r"best\.ckpt of this run is gone, or of later outer steps"
    ):
        trained(images, mine, f"ckpt_path={earlier}")
    assert runs.load(earlier)["global_step"] == 2
    rows = runs.read_rows(mine / "episodes_test.csv")
    assert rows == runs.read_rows(copy / "episodes_test.csv"), "of the weights at hand"


def test_a_checkpoint_with_absolute_paths_finds_its_best(
    images: Path, original: tuple[Path, Path], mine: Path
) -> None:
    """As older releases wrote them; those of the original are not looked at."""
    import torch

    first, copy = original
    last = mine / "checkpoints" / "last.ckpt"
    content = runs.load(last)
    old = str(first / "checkpoints")
    for state in content["callbacks"].values():
        if "dirpath" in state:
            state["dirpath"] = old
            for key in ("best_model_path", "kth_best_model_path"):
                state[key] = state[key] and f"{old}/{state[key]}"
            state["best_k_models"] = {f"{old}/{k}": v for k, v in state["best_k_models"].items()}
    torch.save(content, last)
    (mine / "checkpoints" / "best.ckpt").touch()  # older than last.ckpt no more
    before = (mine / "checkpoints" / "best.ckpt").read_bytes()
    trained(images, mine, f"ckpt_path={last}")
    assert (mine / "checkpoints" / "best.ckpt").read_bytes() == before
    assert runs.read_rows(mine / "episodes_test.csv") == runs.read_rows(copy / "episodes_test.csv")
