"""What a process holds is seen: a file, a thread, memory."""

from __future__ import annotations

import math
import mmap
import multiprocessing
import threading
from pathlib import Path

import pytest

from benchmarks.endurance._resources import Held, excess, growth, held, judge, slope


def test_what_is_opened_is_seen(tmp_path: Path) -> None:
    """In a process of its own: here a thread or a file of another test may come or go at any time."""
    process = multiprocessing.get_context("fork").Process(target=open_and_look, args=(tmp_path,))
    process.start()
    process.join()
    assert process.exitcode == 0


def open_and_look(tmp_path: Path) -> None:
    before, stop = held(), threading.Event()
    waiting = threading.Thread(target=stop.wait)
    waiting.start()
    with (tmp_path / "x").open("w"), mmap.mmap(-1, 50_000_000) as fresh:  # never from a free list
        fresh.write(b"x" * 50_000_000)
        during = held()
    stop.set()
    waiting.join()
    after = held()
    assert (during.files, during.threads) == (before.files + 1, before.threads + 1)
    assert during.megabytes > before.megabytes + 40
    assert (after.files, after.threads) == (before.files, before.threads)


def test_growth() -> None:
    assert abs(slope([1.0, 2.0, 2.0, 3.0], [0, 1, 2, 3]) - 0.6) < 1e-9


AT = [float(k) for k in range(10, 50)]
STEADY = [Held(100 + 0.05 * (k % 7), 5 + (k == 39), 2, 1000 + k) for k in range(40)]


def test_noise_is_no_growth(capsys: pytest.CaptureFixture[str]) -> None:
    """Memory that goes up and down, one file that the last look meets, objects that a run keeps."""
    judge(STEADY, AT, "runs", 10)
    assert "| objects | 1,000.0 | 1,039.0 | +10.00 |" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("name", "leak"), [("megabytes", 0.11), ("files", 1), ("threads", 1), ("megabytes", math.nan)]
)
def test_what_grows_is_named(name: str, leak: float, capsys: pytest.CaptureFixture[str]) -> None:
    leaking = [h._replace(**{name: getattr(h, name) + leak * k}) for k, h in enumerate(STEADY)]
    (told,) = excess(growth(leaking, AT, 10))
    assert told.startswith(f"{name} grew")
    with pytest.raises(SystemExit) as ended:
        judge(leaking, AT, "runs", 10)
    assert ended.value.code == 1 and f"per 10 runs: {told}" in capsys.readouterr().out
