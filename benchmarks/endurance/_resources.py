"""What a process holds: memory, open files, threads, live objects; and whether it grows."""

from __future__ import annotations

import gc
import os
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

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


def print_growth(looks: Sequence[Held], at: Sequence[float], unit: str, per: float) -> None:
    """A line for each resource: first look, last look, growth per ``per`` units."""
    print(f"| | first | last | growth per {per:g} {unit} |\n|---|---|---|---|")
    for name in Held._fields:
        values = [getattr(look, name) for look in looks]
        growth = per * slope(values, at)
        print(f"| {name} | {values[0]:,.1f} | {values[-1]:,.1f} | {growth:+,.2f} |", flush=True)
