"""Who can mend an error decides how a command line tells it."""

from __future__ import annotations

import errno
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from metanas_pl.cli.errors import OF_THE_MACHINE, with_short_errors
from metanas_pl.errors import RunFailed, UserError
from tests.runs import environment


def ends(error: BaseException, capsys: Any, run_dir: Path | None = None) -> tuple[Any, str]:
    """Exit code and stderr of an action that raises ``error``."""

    def action() -> None:
        raise error

    with pytest.raises(SystemExit) as stopped:
        with_short_errors(action, run_dir)
    return stopped.value.code, capsys.readouterr().err


@pytest.fixture(autouse=True)
def in_short(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HYDRA_FULL_ERROR", "0")
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))


@pytest.mark.parametrize("file", [None, "/somewhere/file"])
@pytest.mark.parametrize("number", OF_THE_MACHINE)
def test_errors_of_the_machine_are_a_line(number: int, file: str | None, capsys: Any) -> None:
    code, told = ends(OSError(number, "it says why", file), capsys)
    assert code == 2 and len(told.splitlines()) == 1
    assert told.startswith(f"error: {file}: it says why: " if file else "error: it says why: ")


def test_a_mistake_is_a_line_and_a_failed_run_too(capsys: Any) -> None:
    assert ends(UserError("data.x=1\nmakes no sense"), capsys) == (
        2,
        "error: data.x=1 makes no sense\n",
    )
    assert ends(RunFailed("no space"), capsys) == (1, "error: no space\n")


@pytest.mark.parametrize(
    "error",
    [
        ValueError("of our own code\nin two lines"),
        TypeError("no"),
        KeyError("x"),
        AssertionError(),
        OSError(errno.ENOENT, "No such file or directory", "lost"),
    ],
)
def test_anything_else_is_a_fault_with_its_trace_in_the_run_folder(
    error: Exception, tmp_path: Path, capsys: Any
) -> None:
    run_dir = tmp_path / "run"
    run_dir.mkdir()
    code, told = ends(error, capsys, run_dir)
    (file,) = run_dir.glob("fault-*.txt")
    assert code == 1 and len(told.splitlines()) == 2
    assert "this is a fault of metanas_pl" in told and type(error).__name__ in told
    assert str(file) in told and "report" in told and "Traceback" not in told
    text = file.read_text()
    assert "Traceback" in text and "in action" in text and "torch 2" in text
    assert sys.argv[0] in text


@pytest.mark.parametrize("run_dir", [None, "nowhere"])
def test_without_a_run_folder_the_trace_is_in_a_temporary_one(
    run_dir: str | None, tmp_path: Path, capsys: Any
) -> None:
    ends(ValueError("x"), capsys, run_dir and tmp_path / run_dir)
    assert len(list(tmp_path.glob("fault-*.txt"))) == 1


def test_where_nothing_can_be_written_the_way_to_the_trace_is_told(
    monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    monkeypatch.setattr("tempfile.tempdir", "/nowhere")
    code, told = ends(ValueError("x"), capsys)
    assert code == 1 and "HYDRA_FULL_ERROR=1" in told


def test_on_demand_every_error_comes_through(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HYDRA_FULL_ERROR", "1")
    for error in (UserError("x"), ValueError("x"), OSError(errno.EACCES, "x")):
        with pytest.raises(type(error)):
            with_short_errors(lambda error=error: (_ for _ in ()).throw(error))  # type: ignore[misc]


def test_ctrl_c_is_no_fault(capsys: Any) -> None:
    code, told = ends(KeyboardInterrupt(), capsys)
    assert code == 130 and "interrupted" in told and "fault" not in told


def test_a_reader_that_leaves_early_gets_no_trace(tmp_path: Path) -> None:
    command = f"{sys.executable} -m metanas_pl.cli.data.main list | head -1"
    env = environment(METANAS_DATA=str(tmp_path))
    done = subprocess.run(command, shell=True, env=env, capture_output=True, text=True, check=True)
    assert done.stderr == "" and len(done.stdout.splitlines()) <= 1
