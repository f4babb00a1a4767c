"""The allocator keeps what is freed."""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest

from metanas_pl.utils.malloc import keep_freed_memory

GIVEN_BACK = """
import torch
from metanas_pl.utils.malloc import keep_freed_memory
if {keep}: assert keep_freed_memory()
def resident_pages() -> int: return int(open("/proc/self/statm").read().split()[1])
blocks = [torch.ones(4_000_000) for _ in range(10)]  # of 16 MB each
before = resident_pages()
del blocks
print(before - resident_pages())
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="glibc only")
def test_freed_blocks_stay_with_the_process() -> None:
    pages = {}
    for keep in (True, False):
        code = [sys.executable, "-c", GIVEN_BACK.format(keep=keep)]
        pages[keep] = int(subprocess.run(code, check=True, capture_output=True, text=True).stdout)
    assert pages[True] < 0.1 * pages[False]


def test_a_configured_process_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MALLOC_TRIM_THRESHOLD_", "1000000")
    assert not keep_freed_memory()
