"""Many outer steps: nothing grows but what a run is meant to keep.

    python -m benchmarks.endurance steps [--steps 5000]

trains a tiny network with validations and checkpoints as usual and looks at the process at each validation.
Printed are memory, open files, threads and objects with their growth after the first fifth, the
CPU time of an outer step, and the size of every file in the run folder.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytorch_lightning as pl

from benchmarks.endurance._resources import Held, held, print_growth, slope
from metanas_pl import train
from tests import runs

TINIEST = (
    "space.n_cells=1",
    "space.reductions=[0]",
    "space.primitives=[skip_connect,conv_3x3]",
    "meta.inner.steps=1",
    "meta.inner.test_steps=1",
    "meta.inner.test_arch_steps=1",
)
LOOKS = 50
"""Validations of the long trial, and looks at the process."""


class Observer(pl.Callback):
    """Looks at the process after every validation, and notes the CPU time of an outer step."""

    def __init__(self) -> None:
        self.steps: list[int] = []
        self.looks: list[Held] = []
        self.seconds: list[float] = []
        self._begin = (0, time.process_time())

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: Any) -> None:
        """The clock starts."""
        self._begin = trainer.global_step, time.process_time()

    def on_validation_start(self, trainer: pl.Trainer, pl_module: Any) -> None:
        """The clock stops: outer steps alone are timed."""
        step, begin = self._begin
        self.seconds.append((time.process_time() - begin) / max(1, trainer.global_step - step))
        self.steps.append(trainer.global_step)
        self.looks.append(held())


OBSERVER = Observer()
"""The one that a configuration can name."""


def observer() -> Observer:
    """``OBSERVER``, anew."""
    OBSERVER.__init__()  # type: ignore[misc]
    return OBSERVER


def observed(steps: int, folder: Path, n_looks: int = LOOKS) -> Observer:
    """Train for ``steps`` outer steps in ``folder``; what was seen in ``n_looks`` validations."""
    an_epoch = max(1, steps // n_looks)
    options = [
        *runs.tiny(runs.make_images(folder / "images"), folder / "run"),
        *TINIEST,
        f"data.n_train_episodes={2 * an_epoch}",
        f"trainer.max_steps={steps}",
        "+callbacks.observer={_target_: benchmarks.endurance.steps.observer}",
    ]
    train.run(runs.compose(options))
    return OBSERVER


def main(argv: Sequence[str]) -> None:
    """Train and print."""
    parser = argparse.ArgumentParser("python -m benchmarks.endurance steps", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--steps", type=int, default=5000)
    steps = parser.parse_args(argv).steps
    with tempfile.TemporaryDirectory() as folder:
        seen = observed(steps, Path(folder))
        settled = len(seen.looks) // 5
        at = [float(step) for step in seen.steps[settled:]]
        print_growth(seen.looks[settled:], at, "outer steps", 1000)
        seconds = seen.seconds[settled:]
        growth = 1000 * slope(seconds, at) / (sum(seconds) / len(seconds))
        print(
            f"CPU time of an outer step: {1000 * seconds[0]:.1f} ms first, {1000 * seconds[-1]:.1f} ms"
        )
        print(f"last, {growth:+.1%} per 1000 outer steps")
        for file in sorted(Path(folder, "run").rglob("*")):
            if file.is_file():
                print(f"{file.relative_to(folder)}: {file.stat().st_size:,} bytes")
