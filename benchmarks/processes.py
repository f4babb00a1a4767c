"""F and G: whole processes, the outer steps of two ranks and the start of the command lines."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytorch_lightning as pl
from pytorch_lightning.profilers import SimpleProfiler

from benchmarks.large_store import memory_mb
from benchmarks.timing import Comparison, seconds, spread

STEPS = 200
RUN = ["-m", "metanas_pl.cli.train", "data.n_val_episodes=2", "data.n_test_episodes=2"]
SMALL = ["nas.meta_prune_interval=0", "num_threads=1", "trainer.profiler=simple"]
FETCH = "[_TrainingEpochLoop].train_dataloader_next"


class Training(NamedTuple):
    """All outer steps of a training but the first, without the start of processes and without validation.

    Attributes:
        seconds: of all of them.
        waiting_s: of these, until the data loader had an episode.
        memory_mb: resident memory after each.
    """

    seconds: float
    waiting_s: float
    memory_mb: list[float]


class StepClock(pl.Callback):
    """Writes the :class:`Training` of the first rank into ``file``."""

    def __init__(self, file: str) -> None:
        self.file = Path(file)
        self._begin = 0.0
        self._memory: list[float] = []

    def on_train_batch_end(self, trainer: pl.Trainer, *args: Any) -> None:
        """Start, look, or write."""
        if trainer.global_step == 1:
            self._begin = time.perf_counter()
            return
        seconds = time.perf_counter() - self._begin
        self._memory.append(memory_mb()["Rss"])
        if trainer.global_step == trainer.max_steps and trainer.is_global_zero:
            assert isinstance(trainer.profiler, SimpleProfiler)
            waiting = sum(trainer.profiler.recorded_durations[FETCH][1:])
            found = Training(seconds, waiting, self._memory)
            self.file.write_text(json.dumps(found), encoding="utf-8")


def python(arguments: list[str]) -> None:
    """Run an interpreter to its end."""
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE}
    done = subprocess.run(
        [sys.executable, *arguments], **quiet, env=os.environ | {"WANDB_MODE": "offline"}
    )
    if done.returncode:
        raise RuntimeError(f"{' '.join(arguments)}: {done.stderr.decode()[-500:]}")


def training(*overrides: str) -> Training:
    """A training in processes of its own."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "training")
        clock = ["_target_=benchmarks.processes.StepClock", f"file={file}"]
        clock = [f"+callbacks.clock.{setting}" for setting in clock]
        python([*RUN, *SMALL, *clock, *overrides, f"hydra.run.dir={folder}/run"])
        return Training(*json.loads(file.read_text(encoding="utf-8")))


def two_ranks(rounds: int) -> dict[str, Any]:
    """F: two ranks against one process of one thread, the same meta-batch.

    For the file: the share of one process's time that it waits for data, and its resident memory after a
    tenth of the steps and at the end.
    """
    ours, reference = [], []
    steps = f"trainer.max_steps={STEPS if rounds > 2 else STEPS // 5}"
    for _ in range(max(1, rounds // 3)):
        alone = training(steps)
        reference.append(alone.seconds)
        ours.append(training(steps, "trainer=ddp", "trainer.devices=2").seconds)
    memory = alone.memory_mb
    found = Comparison(tuple(ours), tuple(reference)).figures()
    return found | {
        "share_waiting_for_data": alone.waiting_s / alone.seconds,
        "memory_mb": [memory[len(memory) // 10], memory[-1]],
    }


def start_up(arguments: list[str], limit_s: float) -> Callable[[int], dict[str, Any]]:
    """G: a ratio of at least one keeps the limit."""

    def figures(rounds: int) -> dict[str, Any]:
        python(arguments)
        times = [seconds(lambda: python(arguments)) for _ in range(rounds)]
        limit = spread([limit_s])._asdict()
        ratio = spread([limit_s / t for t in times])._asdict()
        return {"ratio": ratio, "ours_s": spread(times)._asdict(), "reference_s": limit}

    return figures
