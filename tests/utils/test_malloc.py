"""The allocator keeps what is freed."""

from __future__ import annotations

import platform
import subprocess
import sys
from pathlib import Path

import pytest

from metanas_pl.cli import app
from metanas_pl.utils.malloc import keep_freed_memory
from tests.runs import CHECKOUT

GIVEN_BACK = """
import torch
from pathlib import Path
from metanas_pl.cli import app, trainer
from metanas_pl.utils.malloc import keep_freed_memory
from tests.runs import compose
how = "{how}"
if how == "asked for": assert keep_freed_memory()
if how == "a Trainer from Python":
    with trainer.make_trainer(app.to_config(compose(["run_dir={folder}"])), Path("{folder}")): pass
def resident_pages() -> int: return int(open("/proc/self/statm").read().split()[1])
blocks = [torch.ones(4_000_000) for _ in range(10)]  # of 16 MB each
before = resident_pages()
del blocks
print(before - resident_pages())
"""


@pytest.mark.slow
@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="glibc only")
def test_freed_blocks_stay_with_the_process_that_asks_for_it(tmp_path: Path) -> None:
    pages = {}
    for how in ("asked for", "a Trainer from Python"):
        code = [sys.executable, "-c", GIVEN_BACK.format(how=how, folder=tmp_path)]
        done = subprocess.run(code, check=True, capture_output=True, text=True, cwd=CHECKOUT)
        pages[how] = int(done.stdout)
    assert pages["asked for"] < 0.1 * pages["a Trainer from Python"]


def test_a_command_line_asks_for_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    asked: list[bool] = []
    monkeypatch.setattr(app, "keep_freed_memory", lambda: asked.append(True))
    argv = ["metanas-train", f"hydra.run.dir={tmp_path}"]
    monkeypatch.setattr(sys, "argv", argv)
    app.main(lambda cfg: {})
    assert asked == [True]


def test_a_configured_process_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MALLOC_TRIM_THRESHOLD_", "1000000")
    assert not keep_freed_memory()
