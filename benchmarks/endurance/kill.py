"""``kill -9`` at random moments: a run that is killed again and again ends like an undisturbed one."""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import random
import signal
import tempfile
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytorch_lightning as pl

from metanas_pl.cli import train
from metanas_pl.utils import files
from tests import runs

OPTIONS = (
    "data.n_train_episodes=8",
    "trainer.max_steps=18",
    "trainer.log_every_n_steps=1",
    "meta.outer.optimizer=adam",
    "meta.outer.schedule=cosine",
    "meta.inner.drop_path=0.2",
    "resume=auto",
)


def die() -> None:
    """As if somebody had said ``kill -9``."""
    os.kill(os.getpid(), signal.SIGKILL)


class KillLater(pl.Callback):
    """Die so many seconds after training began, wherever the run is by then."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds

    def on_train_start(self, *args: Any) -> None:
        """Set the clock."""
        clock = threading.Timer(self.seconds, die)
        clock.daemon = True
        clock.start()


class KillInWrite(pl.Callback):
    """Die when a file reaches the disk for the n-th time: half written, not renamed yet, or renamed."""

    def __init__(self, n: int, half: bool) -> None:
        self.left, self.half = n, half

    def on_train_start(self, *args: Any) -> None:
        """Stand in the way of all that is to last."""
        files.os = self  # type: ignore[assignment]

    def __getattr__(self, name: str) -> Any:
        return getattr(os, name)

    def fsync(self, number: int) -> None:
        """Die or pass on."""
        self.left -= 1
        if self.left == 0:
            if self.half and _is_written(number):
                os.ftruncate(number, os.fstat(number).st_size // 2)
            die()
        os.fsync(number)


def _is_written(number: int) -> bool:
    return os.readlink(f"/proc/self/fd/{number}").endswith(".part")


def moment(rng: random.Random, seconds: float) -> str:
    """An override that kills a run, by the clock or in the middle of writing."""
    if rng.random() < 0.6:
        return (
            f"+callbacks.kill={{_target_: benchmarks.endurance.kill.KillLater, "
            f"seconds: {rng.uniform(0, seconds):.3f}}}"
        )
    return (
        f"+callbacks.kill={{_target_: benchmarks.endurance.kill.KillInWrite, "
        f"n: {rng.randint(1, 30)}, half: {str(rng.random() < 0.5).lower()}}}"
    )


def attempt(options: Sequence[str]) -> tuple[bool, float]:
    """Run in a process of its own; whether it came to its end, and seconds.

    Raises:
        RuntimeError: it ended neither well nor by being killed.
    """
    begin = time.perf_counter()
    process = multiprocessing.get_context("fork").Process(target=_quiet_run, args=(options,))
    process.start()
    process.join()
    if process.exitcode not in (0, -signal.SIGKILL):
        raise RuntimeError(f"a run ended with code {process.exitcode}: {' '.join(options)}")
    return process.exitcode == 0, time.perf_counter() - begin


def _quiet_run(options: Sequence[str]) -> None:
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    train.run(runs.compose(options))


def assert_same_run(left: Path, right: Path) -> None:
    """Two run folders hold the same parameters, rows, history of the alphas, genotype and results."""
    for name in ("last", "best"):
        runs.assert_same_training(*(f / "checkpoints" / f"{name}.ckpt" for f in (left, right)))
    histories = [runs.load(f / "checkpoints" / "last.ckpt")["callbacks"] for f in (left, right)]
    runs.assert_equal(*(history["ArchitectureHistory"] for history in histories), "history")
    for name in ("genotype.json", "alpha_history.png"):
        assert (left / name).read_bytes() == (right / name).read_bytes(), name
    for name in ("metrics.csv", "episodes_test.csv"):
        runs.assert_equal(*(runs.read_rows(f / name, runs.TIMES) for f in (left, right)), name)
    results = [json.loads((f / "results.json").read_text(encoding="utf-8")) for f in (left, right)]
    runs.assert_equal(*({k: v for k, v in r.items() if k not in runs.TIMES} for r in results))


def killed_runs(folder: Path, moments: int, seed: int) -> list[str]:
    """Kill runs at so many moments, resume each until it ends, compare; returns the moments.

    Raises:
        AssertionError: something differs from an undisturbed run, or a checkpoint does not load.
    """
    images = runs.make_images(folder / "images")
    options = [*runs.tiny(images, draws=True), *OPTIONS]
    straight = folder / "undisturbed"
    _, seconds = attempt([*options, f"run_dir={straight}"])
    rng, killed, n_runs = random.Random(seed), list[str](), 0
    while len(killed) < moments:
        n_runs += 1
        here = [*options, f"run_dir={folder / str(n_runs)}"]
        ended = False
        while not ended and len(killed) < moments:
            ended, _ = attempt([*here, when := moment(rng, seconds)])
            if not ended:
                killed.append(when)
                for path in (folder / str(n_runs)).glob("checkpoints/*.ckpt"):
                    assert {"state_dict", "optimizer_states"} <= set(runs.load(path)), path
        if not ended:
            attempt(here)
        assert_same_run(straight, folder / str(n_runs))
    return killed


def main(arguments: Sequence[str]) -> None:
    """Kill, resume, compare, and say what was done."""
    parser = argparse.ArgumentParser("python -m benchmarks.endurance kill", description=__doc__)
    parser.add_argument("--moments", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder:
        killed = killed_runs(Path(folder), args.moments, args.seed)
        in_writes = sum("KillInWrite" in when for when in killed)
        print(
            f"killed {len(killed)} times, {in_writes} of them in the middle of writing to the disk;"
        )
        print(
            "parameters, rows, genotype and results are those of an undisturbed run, every checkpoint loads"
        )
