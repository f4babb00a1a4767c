"""The allocator keeps what is freed."""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest

from metanas_pl.allocator import keep_freed_memory

FAULTS = """
import resource, torch
from metanas_pl.allocator import keep_freed_memory
torch.set_num_threads(1)
if {keep}: assert keep_freed_memory()
x, w = torch.randn(200, 32, 28, 28), torch.randn(32, 32, 3, 3, requires_grad=True)
def step(): torch.conv2d(torch.conv2d(x, w, padding=1).relu(), w, padding=1).relu().sum().backward()
step(); step()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(5): step()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="glibc only")
def test_freed_blocks_cause_no_page_faults_again() -> None:
    faults = {}
    for keep in (True, False):
        code = [sys.executable, "-c", FAULTS.format(keep=keep)]
        faults[keep] = int(subprocess.run(code, check=True, capture_output=True, text=True).stdout)
    assert faults[True] < 0.2 * faults[False]


def test_a_configured_process_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MALLOC_TRIM_THRESHOLD_", "1000000")
    assert not keep_freed_memory()
