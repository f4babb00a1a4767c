"""M: peak memory of the meta-gradients of A and C by the tasks computed at once, each in its own process.

python -m benchmarks.memory A 2        # one of them: MB of a process that computes two tasks at once
"""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch

from benchmarks import maml_conv4, search_step
from metanas_pl.utils.malloc import keep_freed_memory

TASKS = 4
CHUNKS = (1, 2, 4)
Work = Callable[[int], Any]
WORKS: dict[str, Work] = {
    "A": lambda chunk: search_step.SearchStep(
        search_step.PAPER._replace(tasks=TASKS, steps=1), chunk_size=chunk
    ),
    "C": lambda chunk: maml_conv4.MetaGradient(maml_conv4.Work(5, TASKS), chunk_size=chunk),
}


def peak_mb(letter: str, chunk: int) -> float:
    """MB that a process needs at most, its libraries included."""
    command = [sys.executable, "-m", "benchmarks.memory", letter, str(chunk)]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def run(letters: Sequence[str] = tuple(WORKS), chunks: Sequence[int] = CHUNKS) -> dict[str, Any]:
    """MB by case and by ``meta.chunk_size``."""
    return {letter: {chunk: peak_mb(letter, chunk) for chunk in chunks} for letter in letters}


def print_table(found: dict[str, Any]) -> None:
    """The table in Markdown."""
    chunks = next(iter(found.values()))
    print("| peak MB, tasks at once |", " | ".join(map(str, chunks)), "|")
    print("|---" * (1 + len(chunks)) + "|")
    for letter, peaks in found.items():
        print(f"| {letter} |", " | ".join(f"{mb:.0f}" for mb in peaks.values()), "|")


def main(letter: str, chunk: str) -> None:
    """Compute once and print the peak of this process."""
    torch.set_num_threads(1)
    keep_freed_memory()
    WORKS[letter](int(chunk)).ours()
    print(own_peak_mb())


def own_peak_mb() -> float:
    """MB that this program needed at most; ``getrusage`` would count that of its parent, too."""
    found = re.search(r"VmHWM:\s*(\d+) kB", Path("/proc/self/status").read_text(encoding="utf-8"))
    assert found is not None
    return int(found[1]) / 1024


if __name__ == "__main__":
    main(*sys.argv[1:])
