"""Many outer steps: nothing grows but what a run is meant to keep.

    python -m benchmarks.endurance steps [--steps 5000]

trains a tiny network with validations and checkpoints as usual and looks at the process at each validation.
Printed are memory, open files, threads and objects with their growth after the first fifth, the
CPU time of an outer step, and the size of every file in the run folder. Exit code 1 if memory, open
files or threads grow beyond ``LIMITS`` per 1,000 outer steps.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pytorch_lightning as pl

from benchmarks.endurance._resources import Held, held, judge, slope
from metanas_pl.cli import train
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


class Look(NamedTuple):
    """What a validation found.

    Attributes:
        step: outer steps done.
        seconds: CPU time of an outer step since the last validation.
        held: what the process holds.
    """

    step: int
    seconds: float
    held: Held


class Observer(pl.Callback):
    """Looks at the process after every validation, a line in ``file`` for each.

    Args:
        file: JSON lines, the values of a :class:`Look`.
    """

    def __init__(self, file: str) -> None:
        self.file = Path(file)
        self._begin = (0, time.process_time())

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: Any) -> None:
        """The clock starts."""
        self._begin = trainer.global_step, time.process_time()

    def on_validation_start(self, trainer: pl.Trainer, pl_module: Any) -> None:
        """The clock stops: outer steps alone are timed."""
        step, begin = self._begin
        seconds = (time.process_time() - begin) / max(1, trainer.global_step - step)
        with self.file.open("a", encoding="utf-8") as file:
            file.write(json.dumps(Look(trainer.global_step, seconds, held())) + "\n")


def observed(steps: int, folder: Path, n_looks: int = LOOKS) -> list[Look]:
    """Train for ``steps`` outer steps in ``folder``; what was seen in ``n_looks`` validations."""
    an_epoch, file = max(1, steps // n_looks), folder / "looks.jsonl"
    options = [
        *runs.tiny(runs.make_images(folder / "images"), folder / "run", draws=True),
        *TINIEST,
        f"data.n_train_episodes={2 * an_epoch}",
        f"trainer.max_steps={steps}",
        f"+callbacks.observer={{_target_: benchmarks.endurance.steps.Observer, file: {file}}}",
    ]
    train.run(runs.compose(options))
    lines = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
    return [Look(step, seconds, Held(*of_process)) for step, seconds, of_process in lines]


def main(argv: Sequence[str]) -> None:
    """Train, print and judge."""
    parser = argparse.ArgumentParser("python -m benchmarks.endurance steps", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--steps", type=int, default=5000)
    steps = parser.parse_args(argv).steps
    with tempfile.TemporaryDirectory() as folder:
        seen = observed(steps, Path(folder))
        seen = seen[len(seen) // 5 :]
        at, seconds = [float(look.step) for look in seen], [look.seconds for look in seen]
        change = 1000 * slope(seconds, at) / (sum(seconds) / len(seconds))
        print(
            f"CPU time of an outer step: {1000 * seconds[0]:.1f} ms first, {1000 * seconds[-1]:.1f} ms"
        )
        print(f"last, {change:+.1%} per 1000 outer steps")
        for file in sorted(Path(folder, "run").rglob("*")):
            if file.is_file():
                print(f"{file.relative_to(folder)}: {file.stat().st_size:,} bytes")
    judge([look.held for look in seen], at, "outer steps", 1000)
