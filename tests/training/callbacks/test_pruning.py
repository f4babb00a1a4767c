"""The median rule, and that it ends a training."""

from __future__ import annotations

from pathlib import Path

import pytest

from metanas_pl.cli.train import run
from metanas_pl.training.callbacks.pruning import best_until
from tests.runs import compose, tiny

CURVE = "step,train/loss,val/accuracy\n0,1.5,\n1,,0.5\n3,,0.7\n5,,0.6\n"


def test_best_until(tmp_path: Path) -> None:
    file = tmp_path / "metrics.csv"
    file.write_text(CURVE)
    found = [best_until(file, "val/accuracy", step) for step in (0, 2, 4, 6, 7)]
    assert found == [None, 0.5, 0.7, 0.7, None]


@pytest.mark.parametrize(("others", "steps"), [((1.2, 1.1, 0.0), 2), ((-0.2, -0.1, 1.0), 6)])
def test_a_trial_below_the_median_ends(
    images: Path, others: tuple[float, ...], steps: int, tmp_path: Path
) -> None:
    """No accuracy of its own is above 1 or below 0, so it is known on which side of their median it is."""
    sweep = tmp_path / "sweep"
    for i, accuracy in enumerate(others):
        (sweep / str(i)).mkdir(parents=True)
        (sweep / str(i) / "metrics.csv").write_text(
            f"step,val/accuracy\n1,{accuracy}\n9,{accuracy}\n"
        )
    rule = (
        f"{{_target_: metanas_pl.training.callbacks.MedianPruning, folder: {sweep}, min_trials: 3}}"
    )
    options = tiny(images, sweep / "own")
    results = run(compose([*options, "trainer.max_steps=6", f"+callbacks.pruning={rule}"]))
    assert results["train/outer_steps"] == steps
    assert results["val/best_accuracy"] <= 1
