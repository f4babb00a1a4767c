"""Signals at other moments than the middle of an outer step (see ``checkpointing/test_resume.py``)."""

from __future__ import annotations

from pathlib import Path

import pytest

from metanas_pl.cli import train
from tests import runs


def interrupted(options: list[str], stage: str, batch: int) -> None:
    send = f"+callbacks.send={{_target_: tests.runs.SendIn, stage: {stage}, batch: {batch}}}"
    with pytest.raises(SystemExit) as exit:
        train.run(runs.compose([*options, send]))
    assert exit.value.code == 128 + 15


def test_a_signal_in_a_test_ends_it_and_the_run_goes_on(
    images: Path, finished: Path, tmp_path: Path
) -> None:
    options = [*runs.tiny(images, tmp_path), "evaluation.arms=[frozen]", "resume=auto"]
    interrupted(options, "test", 1)
    assert not (tmp_path / "results.json").exists()
    train.run(runs.compose(options))
    rows = [runs.read_rows(folder / "episodes_test.csv") for folder in (tmp_path, finished)]
    assert rows[0] == rows[1]


@pytest.mark.slow
def test_what_is_accumulated_is_not_lost(images: Path, tmp_path: Path) -> None:
    """A signal before the first of a step's two batches ends the run after the second."""
    more = ["trainer.accumulate_grad_batches=2", "trainer.max_steps=2", "resume=auto"]
    options = [*runs.tiny(images, tmp_path / "a"), "data.n_train_episodes=8", *more]
    last = tmp_path / "a" / "checkpoints" / "last.ckpt"
    interrupted(options, "train", 0)
    assert runs.load(last)["global_step"] == 1
    train.run(runs.compose(options))
    straight = [*runs.tiny(images, tmp_path / "b"), "data.n_train_episodes=8", *more]
    train.run(runs.compose(straight))
    runs.assert_same_training(last, tmp_path / "b" / "checkpoints" / "last.ckpt")
