"""Weights & Biases, offline."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any
from unittest.mock import MagicMock

import pytest

from metanas_pl.cli.train import run
from metanas_pl.errors import UserError
from tests.runs import compose, execute, tiny


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning")
def test_an_offline_run_holds_config_metrics_and_cells(
    images: Path, tmp_path: Path, monkeypatch: Any
) -> None:
    import wandb
    from pytorch_lightning.loggers import WandbLogger

    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_SILENT", "true")
    seen: dict[str, Any] = {}
    image = WandbLogger.log_image

    def log_image(self: WandbLogger, key: str, images: list[str], **options: Any) -> None:
        seen.setdefault("images", []).append(key)
        seen["config"] = dict(self.experiment.config)
        image(self, key, images, **options)

    log = WandbLogger.log_metrics

    def log_metrics(self: WandbLogger, metrics: Any, step: int | None = None) -> None:
        seen.setdefault("metrics", set()).update(metrics)
        log(self, metrics, step)

    monkeypatch.setattr(WandbLogger, "log_image", log_image)
    monkeypatch.setattr(WandbLogger, "log_metrics", log_metrics)
    run(compose([*tiny(images, tmp_path / "run", draws=True), "logger=wandb"]))
    assert wandb.run is None, "the run is finished, so the next one starts afresh"
    assert sorted(seen["images"]) == ["cell/normal", "cell/reduce"]
    assert seen["config"]["data"]["n_ways"] == 3
    assert {"val/accuracy", "test/accuracy", "test/adaptation_gain"} <= seen["metrics"]
    media = [path.name for path in (tmp_path / "run" / "wandb").rglob("*.png")]
    assert sum("normal" in name for name in media) == 1
    assert sum("reduce" in name for name in media) == 1


@pytest.mark.parametrize(
    ("mistake", "codes"),
    [
        ("trainer.max_steps=x", []),
        ("data.n_ways=99", []),
        ("trainer.limit_train_batches=0.01", [1]),
    ],
)
def test_a_run_that_fails_is_no_finished_one(
    images: Path, mistake: str, codes: list[int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before the settings and the data are checked no run on W&B is begun."""
    import wandb

    begun, ended = [], []
    monkeypatch.setattr(wandb, "run", None)

    def init(**_: Any) -> Any:
        begun.append(True)
        wandb.run = MagicMock()
        return wandb.run

    def finish(exit_code: int) -> None:
        ended.append(exit_code)

    monkeypatch.setattr(wandb, "init", init)
    monkeypatch.setattr(wandb, "finish", finish)
    options = tiny(images, tmp_path / "run")
    with pytest.raises(UserError):
        run(compose([*options, "logger=wandb", mistake]))
    assert ended == codes and len(begun) == len(codes)


def test_wandb_is_imported_only_where_it_is_used() -> None:
    code = "import sys, metanas_pl.cli.train, metanas_pl.cli.app; assert 'wandb' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.nightly
def test_without_a_key_a_line_says_what_to_do_before_the_training(
    images: Path, tmp_path: Path
) -> None:
    """In a process of its own: W&B reads its environment once."""
    home = {"HOME": str(tmp_path), "NETRC": str(tmp_path / "netrc")}
    options = tiny(images, tmp_path / "run")
    env = {"WANDB_MODE": "online", "WANDB_API_KEY": "", "WANDB_BASE_URL": "http://127.0.0.1:9"}
    done = execute("train", [*options, "logger=wandb"], tmp_path, **home, **env)
    assert done.returncode == 2, done.stderr
    assert "Traceback" not in done.stderr
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith("error: logger=wandb: ")
    assert "wandb login" in last and "WANDB_MODE=offline" in last
    assert not (tmp_path / "run" / "metrics.csv").exists()


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning")
def test_a_run_that_goes_on_does_so_on_wandb(
    images: Path, tmp_path: Path, monkeypatch: Any
) -> None:
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_SILENT", "true")
    folder = tmp_path / "run"
    options = [*tiny(images, folder), "logger=wandb"]

    def begun() -> list[str]:
        """The ids in the names of the folders of the runs, ``offline-run-<time>-<id>``."""
        return [path.name.rpartition("-")[2] for path in (folder / "wandb").glob("offline-run-*")]

    run(compose(options))
    (first,) = begun()
    run(compose([*options, "trainer.max_steps=4", "resume=auto"]))
    assert set(begun()) == {first}
    copied = shutil.copytree(folder, tmp_path / "copy")
    shutil.rmtree(copied / "wandb")
    mine = [word for word in options if not word.startswith("run_dir=")]
    run(compose([*mine, f"run_dir={copied}", "trainer.max_steps=6", "resume=auto"]))
    (other,) = (path.name.rpartition("-")[2] for path in (copied / "wandb").glob("offline-run-*"))
    assert other != first
    run(compose([*options, "trainer.max_steps=6", "resume=auto", "+logger.id=mine"]))
    assert set(begun()) == {first, "mine"}
