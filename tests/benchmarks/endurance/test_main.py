"""The cases are the files of the folder."""

from __future__ import annotations

import pytest

from benchmarks.endurance import __main__ as command


def test_cases_are_listed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert {"hostile", "runs", "steps"} <= set(command.CASES)
    for arguments in ([], ["nothing"]):
        monkeypatch.setattr("sys.argv", ["x", *arguments])
        with pytest.raises(SystemExit) as stopped:
            command.main()
        assert stopped.value.code == 2 and "hostile" in capsys.readouterr().out


def test_a_case_gets_its_options(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ["--only", "genotypes,pickles", "--share", "0.005"]
    monkeypatch.setattr("sys.argv", ["x", "hostile", *options])
    command.main()
    assert "| genotypes | 10 |" in (shown := capsys.readouterr().out) and "15 cases, 0 bad" in shown
