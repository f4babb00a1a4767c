"""The command that runs all benchmarks: what it writes, prints and refuses."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from benchmarks import __main__ as program
from benchmarks.timing import Comparison

TIMES = Comparison((1.0, 1.0, 1.0), (4.0, 5.0, 6.0))


def case(letter: str = "A", times: Comparison = TIMES) -> program.Case:
    return program.Case(
        letter, "a_case", "some work", "a loop", 4.0, lambda rounds: times.figures()
    )


def test_a_case_is_printed_and_written_with_its_machine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(program, "CASES", (case(), case("B")._replace(name="other")))
    program.main(["--only", "a", "--out", str(tmp_path)])
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a_case.json", "ratios.png"]
    result = json.loads((tmp_path / "a_case.json").read_text())
    assert result["ratio"] == {"median": 5.0, "low": 4.5, "high": 5.5}
    assert result["machine"]["cores"] >= 1
    assert "| A | some work | a loop | 4 | 5.00 (4.50–5.50) | 1 | 5 |" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("reference", "word"), [(9.0, "faster"), (2.0, "SLOWER"), (5.2, "no change beyond noise")]
)
def test_compare_tells_changes_from_noise(
    reference: float, word: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    paths = []
    for name, times in (("old", TIMES), ("new", Comparison((1.0,), (reference,)))):
        result: dict[str, Any] = {"name": "a_case", **times.figures()}
        paths.append(tmp_path / f"{name}.json")
        paths[-1].write_text(json.dumps(result))
    program.main(["--compare", *map(str, paths)])
    assert f"{word}\n" in capsys.readouterr().out


def test_an_unknown_letter_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        program.main(["--only", "Z"])
    assert "--only Z: there is no such case, only A, B" in capsys.readouterr().err
