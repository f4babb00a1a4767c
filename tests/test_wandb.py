"""Weights & Biases, offline."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any
from unittest.mock import MagicMock

import pytest

from metanas_pl.train import run
from tests.runs import compose, make_images, tiny


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning")
def test_an_offline_run_holds_config_metrics_and_cells(tmp_path: Path, monkeypatch: Any) -> None:
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
    images = make_images(tmp_path / "images")
    run(compose([*tiny(images, tmp_path / "run"), "logger=wandb"]))
    assert wandb.run is None, "the run is finished, so the next one starts afresh"
    assert sorted(seen["images"]) == ["cell/normal", "cell/reduce"]
    assert seen["config"]["data"]["n_ways"] == 3
    assert {"val/accuracy", "test/accuracy", "test/adaptation_gain"} <= seen["metrics"]
    media = [path.name for path in (tmp_path / "run" / "wandb").rglob("*.png")]
    assert sum("normal" in name for name in media) == 1
    assert sum("reduce" in name for name in media) == 1


@pytest.mark.parametrize(
    ("mistake", "codes"), [("trainer.max_steps=x", []), ("data.n_ways=99", [1])]
)
def test_a_run_that_fails_is_no_finished_one(
    mistake: str, codes: list[int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before the Trainer there is no run on W&B, and none is begun to be ended."""
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
    options = tiny(make_images(tmp_path / "images"), tmp_path / "run")
    with pytest.raises((ValueError, TypeError)):
        run(compose([*options, "logger=wandb", mistake]))
    assert ended == codes and len(begun) == len(codes)


def test_wandb_is_imported_only_where_it_is_used() -> None:
    code = "import sys, metanas_pl.train, metanas_pl.cli; assert 'wandb' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
