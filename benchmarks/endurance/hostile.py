"""Damaged and hostile files for every loader: ``python -m benchmarks.endurance hostile [--only stores]``.

A case is well if the loader takes the file, or refuses it with an error that a command line answers in
one line; within 20 seconds of CPU time, with at most 300 MB more memory than ever before,
and without starting a program. The trace of a bad case is printed; the same seed brings it again.
"""

from __future__ import annotations

import argparse
import io
import logging
import resource
import signal
import sys
import tempfile
import time
import traceback
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

import torch

from benchmarks.endurance._loaders import LOADERS, Attempt
from metanas_pl.errors import UserError

SECONDS = 20  # of CPU time
WAITING = 300  # seconds of the clock, for a case that waits
KILOBYTES = 300_000
PROGRAMS = ("os.system", "os.exec", "os.posix_spawn", "os.spawn", "subprocess.Popen", "pty.spawn")


class Outcome(NamedTuple):
    """What became of one case: ``taken``, ``refused``, or ``bad`` with the reason."""

    verdict: str
    reason: str = ""


class Watch:
    """Notes every program that this process starts."""

    def __init__(self) -> None:
        self.started: list[str] = []
        sys.addaudithook(lambda event, _: self.started.append(event) if event in PROGRAMS else None)


@contextmanager
def silence() -> Iterator[None]:
    """Nothing is printed meanwhile, and nobody is warned."""
    quiet = io.StringIO()
    logging.disable(logging.WARNING)
    try:
        with redirect_stdout(quiet), redirect_stderr(quiet), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(logging.NOTSET)


class Hang(BaseException):
    """A case takes too long; no ``Exception``, which a loader may take for one of a damaged file."""


def _too_long(*_: Any) -> None:
    raise Hang(f"more than {SECONDS} s of CPU time, or {WAITING} s")


def judged(attempt: Callable[[], None], watch: Watch) -> Outcome:
    """Try one case."""
    watch.started.clear()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    before_it = {k: signal.signal(k, _too_long) for k in (signal.SIGPROF, signal.SIGALRM)}
    signal.setitimer(signal.ITIMER_PROF, SECONDS)
    signal.alarm(WAITING)
    try:
        with silence():
            attempt()
        outcome = Outcome("taken")
    except SystemExit as error:
        outcome = Outcome("refused") if error.code == 2 else Outcome("bad", f"exit {error.code}")
    except (Exception, Hang) as error:
        outcome = Outcome("bad", "".join(traceback.format_exception(error)))
        if isinstance(error, UserError) and str(error):
            outcome = Outcome("refused")
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.alarm(0)
        for kind, handler in before_it.items():
            signal.signal(kind, handler)
    if watch.started:
        return Outcome("bad", f"it started a program: {watch.started}")
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    return Outcome("bad", f"{grown:,} kB more memory") if grown > KILOBYTES else outcome


def cases(name: str, n: int, seed: int, folder: Path, watch: Watch) -> list[Outcome]:
    """The first ``n`` cases of the loader called ``name``."""
    folder.mkdir(parents=True)
    with silence():
        attempt: Attempt = LOADERS[name][0](folder)
    return [judged(lambda k=k: attempt(_rng(name, seed, k)), watch) for k in range(n)]


def _rng(name: str, seed: int, case: int) -> Random:
    return Random(f"{name} {seed} {case}")


def main(argv: Sequence[str]) -> None:
    """Run the cases, print a table and what went wrong; exit code 1 if anything did."""
    parser = argparse.ArgumentParser("python -m benchmarks.endurance hostile", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--only", default=",".join(LOADERS), help="loaders, by comma")
    parser.add_argument("--share", type=float, default=1.0, help="of the cases of each loader")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(argv)
    torch.set_num_threads(1)
    watch, n_bad, n_all = Watch(), 0, 0
    print(
        "| loader | cases | taken | refused | bad | seconds |\n|---|---|---|---|---|---|",
        flush=True,
    )
    with tempfile.TemporaryDirectory() as folder:
        for name in options.only.split(","):
            begin = time.process_time()
            n = max(1, round(options.share * LOADERS[name][1]))
            found = cases(name, n, options.seed, Path(folder, name), watch)
            count = {v: sum(o.verdict == v for o in found) for v in ("taken", "refused", "bad")}
            seconds = time.process_time() - begin
            numbers = " | ".join(str(value) for value in count.values())
            print(f"| {name} | {n} | {numbers} | {seconds:.0f} |", flush=True)
            for case, outcome in enumerate(found):
                if outcome.verdict == "bad":
                    print(f"{name}, seed {options.seed}, case {case}: {outcome.reason}", flush=True)
            n_bad, n_all = n_bad + count["bad"], n_all + n
    print(f"{n_all:,} cases, {n_bad} bad")
    if n_bad:
        raise SystemExit(1)
