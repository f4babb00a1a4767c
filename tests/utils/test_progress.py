"""A bar where somebody looks, a line where a file is written."""

from __future__ import annotations

import io
import sys
from collections.abc import Iterable

import pytest

from metanas_pl.utils.progress import byte_count, track


class Terminal(io.StringIO):
    """What a terminal is to a program that writes to it."""

    def isatty(self) -> bool:
        return True


def terminal(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    """Makes standard error a terminal; pytest would take it back after the set-up of a fixture."""
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(sys, "stderr", made := Terminal())
    return made


@pytest.mark.parametrize("items", [[1, 2], (n for n in (1, 2))])
def test_items_pass_with_a_bar(items: Iterable[int], monkeypatch: pytest.MonkeyPatch) -> None:
    seen = terminal(monkeypatch)
    assert list(track(items, "Counting")) == [1, 2]
    assert "Counting" in seen.getvalue()


def test_items_pass_with_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert list(track([1, 2], "Counting")) == [1, 2]
    assert capsys.readouterr().err == "Counting …\n"


def test_bytes_are_counted_in_a_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = terminal(monkeypatch)
    with byte_count("Loading", total=3_000_000, done=1_000_000) as advance:
        advance(2_000_000)
    assert "Loading" in seen.getvalue() and "3.0/3.0 MB" in seen.getvalue()


@pytest.mark.parametrize(
    ("total", "done", "line"),
    [
        (3_000_000, 1_000_000, "Loading (3.0 MB) from 1.0 MB on …\n"),
        (None, 0, "Loading …\n"),
    ],
)
def test_bytes_are_told_in_a_line(
    total: int | None, done: int, line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with byte_count("Loading", total, done) as advance:
        advance(2_000_000)
    assert capsys.readouterr().err == line
