"""F and G: whole processes, the outer steps of two ranks and the start of the command lines."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytorch_lightning as pl

from benchmarks.timing import Comparison, seconds, spread

STEPS = 40
RUN = ["-m", "metanas_pl.train", "data.n_val_episodes=2", "data.n_test_episodes=2"]
SMALL = [f"trainer.max_steps={STEPS}", "nas.meta_prune_interval=0", "num_threads=1"]


class StepClock(pl.Callback):
    """Writes the seconds from the end of the first outer step to that of the last into ``file``."""

    def __init__(self, file: str) -> None:
        self.file = Path(file)
        self._begin = 0.0

    def on_train_batch_end(self, trainer: pl.Trainer, *args: Any) -> None:
        """Start, look, or write."""
        if trainer.global_step == 1:
            self._begin = time.perf_counter()
        elif trainer.global_step == trainer.max_steps and trainer.is_global_zero:
            self.file.write_text(str(time.perf_counter() - self._begin), encoding="utf-8")


def python(arguments: list[str]) -> None:
    """Run an interpreter to its end."""
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE}
    done = subprocess.run(
        [sys.executable, *arguments], **quiet, env=os.environ | {"WANDB_MODE": "offline"}
    )
    if done.returncode:
        raise RuntimeError(f"{' '.join(arguments)}: {done.stderr.decode()[-500:]}")


def training_seconds(*overrides: str) -> float:
    """Seconds of all outer steps but the first, without the start of processes and without validation."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "seconds")
        clock = ["_target_=benchmarks.processes.StepClock", f"file={file}"]
        clock = [f"+callbacks.clock.{setting}" for setting in clock]
        python([*RUN, *SMALL, *clock, *overrides, f"hydra.run.dir={folder}/run"])
        return float(file.read_text(encoding="utf-8"))


def two_ranks(rounds: int) -> dict[str, Any]:
    """F: two ranks against one process of one thread, the same meta-batch."""
    ours, reference = [], []
    for _ in range(max(1, rounds // 3)):
        reference.append(training_seconds())
        ours.append(training_seconds("trainer=ddp", "trainer.devices=2"))
    return Comparison(tuple(ours), tuple(reference)).figures()


def start_up(arguments: list[str], limit_s: float) -> Callable[[int], dict[str, Any]]:
    """G: a ratio of at least one keeps the limit."""

    def figures(rounds: int) -> dict[str, Any]:
        python(arguments)
        times = [seconds(lambda: python(arguments)) for _ in range(rounds)]
        limit = spread([limit_s])._asdict()
        ratio = spread([limit_s / t for t in times])._asdict()
        return {"ratio": ratio, "ours_s": spread(times)._asdict(), "reference_s": limit}

    return figures
