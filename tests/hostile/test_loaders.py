"""A few of the damaged files of ``python -m benchmarks.endurance hostile``, for every loader."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.endurance._loaders import LOADERS
from benchmarks.endurance.hostile import Watch, cases
from metanas_pl.errors import UserError

FEW = {"resumption": 2, "checkpoint_values": 8, "overrides": 5, "sources": 12}
NUMBERS = [
    *(pytest.param(name, FEW.get(name, 20), id=name) for name in LOADERS if name != "resumption"),
    *(
        pytest.param(name, 10 * FEW.get(name, 20), id=f"{name}, many", marks=pytest.mark.nightly)
        for name in LOADERS
    ),
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("hostile")


@pytest.mark.slow
@pytest.mark.parametrize(("name", "n_cases"), NUMBERS)
def test_damaged_files_are_taken_or_refused(name: str, n_cases: int, folder: Path) -> None:
    found = cases(name, n_cases, 7, folder / f"{name}{n_cases}", Watch())
    assert [outcome.reason for outcome in found if outcome.verdict == "bad"] == []
    assert any(outcome.verdict == "refused" for outcome in found)


def test_what_a_watch_sees(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Programs, memory and errors of the wrong kind are noticed."""
    import os

    def prepare(folder: Path) -> object:
        def attempt(rng: object) -> None:
            if misdeed == "a program":
                os.system("true")
            raise KeyError("x") if misdeed == "an error" else UserError("x")

        return attempt

    monkeypatch.setitem(LOADERS, "planted", (prepare, 1))
    verdicts = {}
    for misdeed in ("a program", "an error", "nothing"):
        (outcome,) = cases("planted", 1, 0, tmp_path / misdeed, Watch())
        verdicts[misdeed] = outcome.verdict
    assert verdicts == {"a program": "bad", "an error": "bad", "nothing": "refused"}
