"""Peak memory by the tasks computed at once."""

from __future__ import annotations

import subprocess
import sys
from types import SimpleNamespace

import pytest
import torch

from benchmarks import memory


def test_a_peak_is_that_of_the_computation(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """200 MB an item more show up, on top of what this process ever needed."""
    monkeypatch.setattr(torch, "set_num_threads", lambda n: None)
    works = {"A": lambda chunk: SimpleNamespace(ours=lambda: bytearray(b"x") * (chunk * 2**20))}
    monkeypatch.setattr(memory, "WORKS", works)
    memory.main("A", "1")
    before = float(capsys.readouterr().out)
    memory.main("A", str(round(before) + 200))
    assert float(capsys.readouterr().out) > before + 100


@pytest.mark.nightly
def test_the_peak_of_the_process_that_starts_it_does_not_count() -> None:
    large = bytearray(b"x") * 10**9
    code = "from benchmarks.memory import own_peak_mb; print(own_peak_mb())"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert float(done.stdout) < len(large) / 2**20


def test_the_table(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(memory, "peak_mb", lambda letter, chunk: 100.0 * chunk)
    memory.print_table(memory.run(["C"]))
    assert "| C | 100 | 200 | 400 |" in capsys.readouterr().out
