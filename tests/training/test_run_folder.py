"""A run folder belongs to one run at a time, and a finished or stopped run in it is not overwritten."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from metanas_pl.cli import app, train
from metanas_pl.errors import UserError
from metanas_pl.training import run_folder
from metanas_pl.training.run_folder import check_free, held
from tests import runs

HOLD = """
import sys, time
from metanas_pl.training.run_folder import held
with held(sys.argv[1]):
    print("held", flush=True)
    {more}
    time.sleep(60)
"""
WORKER = "import os; os.fork() or time.sleep(2) or os._exit(0)"  # outlives its parent by 2 s


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_folder, "PATIENCE_S", 0.1)


def holder(folder: Path, more: str = "") -> subprocess.Popen[str]:
    """Another process that is at work in ``folder``."""
    command = [sys.executable, "-c", HOLD.format(more=more), str(folder)]
    process = subprocess.Popen(
        command, env=runs.environment(), stdout=subprocess.PIPE, text=True, cwd=folder.parent
    )
    assert process.stdout is not None and process.stdout.readline() == "held\n"
    return process


def kill(process: subprocess.Popen[str]) -> None:
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert process.stdout is not None
    process.stdout.close()


def test_a_second_run_in_the_folder_is_refused_until_the_first_is_killed(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    other = holder(folder)
    try:
        with pytest.raises(UserError, match=r"another run is at work in this folder; .*run\.dir$"):
            with held(folder):
                pass
    finally:
        kill(other)
    with held(folder):
        pass


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there are no forks")
def test_workers_of_a_killed_run_are_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run_folder, "PATIENCE_S", 20.0)
    other = holder(tmp_path / "run", WORKER)
    kill(other)
    with held(tmp_path / "run"):
        pass


@pytest.mark.parametrize("name", ["RANK", "LOCAL_RANK", "NODE_RANK", "GROUP_RANK", "SLURM_PROCID"])
def test_the_other_ranks_of_a_run_share_its_folder(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with held(tmp_path):
        monkeypatch.setenv(name, "1")
        with held(tmp_path):
            pass


@pytest.mark.parametrize("name", ["a b", "a=b,c", "'a' \"b\"", "(größe)", "實驗", "link"])
def test_awkward_names(name: str, tmp_path: Path) -> None:
    if name == "link":
        (tmp_path / "there").mkdir()
        (tmp_path / name).symlink_to(tmp_path / "there")
    with held(tmp_path / name):
        with pytest.raises(UserError, match="another run"), held((tmp_path / name).resolve()):
            pass


@pytest.mark.parametrize("name", ["file", "file/run", "/proc/run", "/dev/null/run", "x" * 300])
def test_where_no_folder_can_be_is_a_line(name: str, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match=r"run_dir=.* cannot be written \(.*hydra\.run\.dir$"):
        with held(tmp_path / name):
            pass


@pytest.mark.parametrize(
    ("files", "told"),
    [
        (["results.json"], r"holds a finished run, .*: give another"),
        (
            ["results.json", "checkpoints/last.ckpt"],
            r"holds a finished run, .*resume=auto resumes it",
        ),
        (["checkpoints/best.ckpt"], r"holds a run that was stopped, .*resume=auto resumes it"),
    ],
)
def test_what_a_run_left_is_not_overwritten(files: list[str], told: str, tmp_path: Path) -> None:
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "config.yaml").touch()  # of a run that failed before its first checkpoint
    check_free(tmp_path, None)
    for name in files:
        (tmp_path / name).touch()
    for elsewhere in (None, "/runs/b/checkpoints/last.ckpt"):
        with pytest.raises(UserError, match=told):
            check_free(tmp_path, elsewhere)
    check_free(tmp_path, str(tmp_path / "checkpoints" / "last.ckpt"))


def test_a_second_training_in_a_folder_is_refused(
    images: Path, finished: Path, tmp_path: Path
) -> None:
    """That it may go on is in ``test_train.py``."""
    folder = shutil.copytree(finished, tmp_path / "run")
    options = runs.tiny(images, folder, draws=True)
    before = {p: p.read_bytes() for p in folder.rglob("*") if p.is_file()}
    with pytest.raises(UserError, match="finished run.*resume=auto"):
        train.run(runs.compose([*options, "seed=1"]))
    assert {p: p.read_bytes() for p in folder.rglob("*") if p.is_file()} == before
    (folder / "results.json").unlink()
    with pytest.raises(UserError, match="was stopped.*resume=auto"):
        train.run(runs.compose(options))


def test_runs_of_the_same_second_have_folders_of_their_own() -> None:
    from hydra import compose, initialize_config_dir

    app.register_schemas()
    found = set()
    with initialize_config_dir(app.CONFIG_DIR, version_base="1.3"):
        for more in ([], [], ["hydra.mode=MULTIRUN"], ["hydra.mode=MULTIRUN"]):
            hydra = compose("config", overrides=more, return_hydra_config=True).hydra
            found.add(hydra.sweep.dir if more else hydra.run.dir)
    assert len(found) == 4
