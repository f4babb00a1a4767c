"""What a run survives: kills, a full disk, the death of a rank."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import pytest

from metanas_pl.cli import app, train
from tests import runs


@pytest.mark.nightly
def test_a_killed_run_ends_like_an_undisturbed_one(tmp_path: Path) -> None:
    """By the clock or in the middle of writing; ``python -m benchmarks.endurance kill`` for longer."""
    command = [sys.executable, "-m", "benchmarks.endurance", "kill", "--moments", "3"]
    done = runs.finish(runs.spawn(command, tmp_path))
    assert done.returncode == 0, done.stderr[-2000:]
    assert "killed 3 times" in done.stdout


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", ["config.yaml", "metrics.csv", "alpha_history.png", "genotype.json"]
)
def test_whichever_file_fills_the_disk_is_named_in_one_line(
    name: str, images: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "run" / name
    path.parent.mkdir(parents=True)
    for full in (path, path.with_name(f".{path.name}.part")):
        full.symlink_to("/dev/full")
    options = runs.tiny(images, tmp_path / "run", draws=True)
    with pytest.raises(SystemExit) as ended:
        app.with_short_errors(lambda: train.run(runs.compose(options)))
    assert ended.value.code == 1
    (line,) = [text for text in capsys.readouterr().err.splitlines() if "error" in text.lower()]
    assert line.startswith(f"error: cannot write {path}: its disk is full")


@pytest.mark.nightly
@pytest.mark.parametrize("name", ["checkpoints", "metrics.csv"])
def test_on_a_full_disk_the_last_good_checkpoint_stays(
    name: str, images: Path, finished: Path, tmp_path: Path
) -> None:
    """No file may be larger than half a checkpoint, and the rows before it are many."""
    shutil.copytree(finished, tmp_path / "run")
    options = runs.tiny(images, tmp_path / "run", draws=True)
    last = tmp_path / "run" / "checkpoints" / "last.ckpt"
    before, blocks = last.read_bytes(), last.stat().st_size // 2048
    if name == "metrics.csv":
        rows = tmp_path / "run" / name
        rows.write_text(rows.read_text().replace("\n", f"{'0' * 1024 * blocks}\n"))
    limited = ["bash", "-c", f'ulimit -f {blocks}; exec "$@"', "bash", sys.executable]
    limited += ["-m", "metanas_pl.cli.train", *options, "resume=auto", "trainer.max_steps=4"]
    done = runs.finish(runs.spawn(limited, tmp_path))
    assert done.returncode == 1
    (line,) = [text for text in done.stderr.splitlines() if "error" in text.lower()]
    assert line.startswith(f"error: cannot write {tmp_path / 'run' / name}")
    assert "largest size" in line
    assert last.read_bytes() == before
    assert sorted(path.name for path in last.parent.iterdir()) == ["best.ckpt", "last.ckpt"]


@pytest.mark.slow
def test_a_signal_to_one_rank_ends_both_with_a_checkpoint(images: Path, tmp_path: Path) -> None:
    options = [*runs.tiny(images), "trainer=ddp", "trainer.devices=2"]
    options += ["trainer.accelerator=cpu", "trainer.max_steps=9", "hydra.run.dir=run"]
    send = "+callbacks.send={_target_: tests.runs.Send, step: 3, name: SIGUSR1, rank: 1}"
    done = runs.execute("train", [*options, send], tmp_path)
    assert done.returncode == 138, done.stderr[-2000:]
    assert "stopped by SIGUSR1 after outer step 3" in done.stdout
    assert runs.load(tmp_path / "run" / "checkpoints" / "last.ckpt")["global_step"] == 3


@pytest.mark.slow
@pytest.mark.parametrize("rank", [pytest.param(0, marks=pytest.mark.nightly), 1])
def test_the_death_of_a_rank_ends_the_other_with_its_name(
    rank: int, images: Path, tmp_path: Path
) -> None:
    options = [*runs.tiny(images), "trainer=ddp", "trainer.devices=2"]
    options += ["trainer.accelerator=cpu", "trainer.max_steps=2", "hydra.run.dir=run"]
    kill = f"{{_target_: tests.runs.Send, step: 2, name: SIGKILL, rank: {rank}}}"
    done = runs.execute("train", [*options, f"+callbacks.kill={kill}"], tmp_path)
    assert done.returncode != 0
    told = "rank 0 is gone" if rank == 0 else "rank 1 ended by SIGKILL"
    by_us = f"error: rank {1 - rank} ends: {told}" in done.stderr
    by_lightning = "[rank: 1] Child process" in done.stdout  # it looks every five seconds
    assert by_us or (by_lightning and rank == 1), done.stderr[-2000:]
