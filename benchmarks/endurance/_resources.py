"""What a process holds: memory, open files, threads, live objects; and whether it grows."""

from __future__ import annotations

import gc
import os
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

LIMITS = {"megabytes": 1.0, "files": 0.1, "threads": 0.1}
"""Growth per 1,000 outer steps, or per 10 runs, that a trial of the usual length may show: a tenth of a
file is less than one that stays open, and more than one that a single look happens to meet."""
PAGE = os.sysconf("SC_PAGE_SIZE")


class Held(NamedTuple):
    """One look at this process.

    Attributes:
        megabytes: resident memory.
        files: open file descriptors.
        threads: threads of Python and of libraries.
        objects: objects that Python's garbage collector tracks.
    """

    megabytes: float
    files: int
    threads: int
    objects: int


def held() -> Held:
    """Look now, after a garbage collection."""
    gc.collect()
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    threads = max(threading.active_count(), len(os.listdir("/proc/self/task")))
    files = len(os.listdir("/proc/self/fd"))
    return Held(pages * PAGE / 2**20, files, threads, len(gc.get_objects()))


def slope(values: Sequence[float], at: Sequence[float]) -> float:
    """Growth by least squares, in units of ``values`` for one unit of ``at``.

    >>> round(slope([1.0, 3.0, 5.0], [0, 1, 2]), 6)
    2.0
    """
    return float(np.polyfit(at, values, 1)[0]) if len(values) > 1 else 0.0


def size_of(folder: Path) -> int:
    """Bytes of all files below ``folder``."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def growth(looks: Sequence[Held], at: Sequence[float], per: float) -> dict[str, float]:
    """Growth of each resource per ``per`` units of ``at``."""
    return {k: per * slope([getattr(look, k) for look in looks], at) for k in Held._fields}


def excess(grown: Mapping[str, float]) -> list[str]:
    """What grew beyond ``LIMITS``, in words.

    >>> excess({"megabytes": 0.3, "files": 1.0, "threads": 0.0, "objects": 50.0})
    ['files grew by 1.00, the limit is 0.10']
    """
    return [
        f"{name} grew by {grown[name]:.2f}, the limit is {limit:.2f}"
        for name, limit in LIMITS.items()
        if not grown[name] <= limit
    ]


def judge(looks: Sequence[Held], at: Sequence[float], unit: str, per: float) -> None:
    """A line for each resource: first look, last look, growth per ``per`` units.

    Raises:
        SystemExit: something grew beyond ``LIMITS`` (code 1); it is printed.
    """
    print(f"| | first | last | growth per {per:g} {unit} |\n|---|---|---|---|")
    grown = growth(looks, at, per)
    for name, value in grown.items():
        first, last = getattr(looks[0], name), getattr(looks[-1], name)
        print(f"| {name} | {first:,.1f} | {last:,.1f} | {value:+,.2f} |", flush=True)
    if told := excess(grown):
        print(f"per {per:g} {unit}: {'; '.join(told)}")
        raise SystemExit(1)
