"""What a process holds is seen: a file, a thread, memory."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from benchmarks.endurance._resources import Held, held, print_growth, slope


def test_what_is_opened_is_seen(tmp_path: Path) -> None:
    before, stop = held(), threading.Event()
    waiting = threading.Thread(target=stop.wait)
    waiting.start()
    with (tmp_path / "x").open("w"):
        block = bytearray(b"x" * 50_000_000)
        during = held()
    stop.set()
    waiting.join()
    after = held()
    assert (during.files, during.threads) == (before.files + 1, before.threads + 1)
    assert during.megabytes > before.megabytes + 40 and len(block) == 50_000_000
    assert (after.files, after.threads) == (before.files, before.threads)


def test_growth() -> None:
    assert abs(slope([1.0, 2.0, 2.0, 3.0], [0, 1, 2, 3]) - 0.6) < 1e-9


def test_the_table(capsys: pytest.CaptureFixture[str]) -> None:
    looks = [Held(100.0 + k, 5, 2, 1000) for k in range(3)]
    print_growth(looks, [0.0, 1.0, 2.0], "runs", 10)
    assert "| megabytes | 100.0 | 102.0 | +10.00 |" in capsys.readouterr().out
