"""Arguments of the Trainer: what makes no sense ends before anything is built."""

from __future__ import annotations

import inspect
import os
import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest
import pytorch_lightning as pl
import torch
import yaml
from pytorch_lightning.callbacks import Checkpoint, ProgressBar
from pytorch_lightning.loggers import WandbLogger
from pytorch_lightning.utilities.exceptions import MisconfigurationException

from metanas_pl.cli import app
from metanas_pl.cli.trainer import make_callbacks, make_logger, make_trainer
from metanas_pl.config import Config, DataConfig
from metanas_pl.config.schemas.trainer import OURS, SETTINGS, checked_trainer
from metanas_pl.errors import RunFailed, UserError
from tests.runs import compose

DEFAULTS = yaml.safe_load(Path(app.CONFIG_DIR, "trainer", "default.yaml").read_text())
NOT_HERE = {"model_registry"}
WRONG: dict[str, list[Any]] = {
    "accelerator": [None, 5],
    "strategy": [None, 5],
    "devices": [None, 0, -5, "two", 1.5, [], [-1], True],
    "num_nodes": [0, "ten", None],
    "precision": [1.5, True],
    "max_epochs": ["ten", -7, 1.5, True],
    "max_steps": ["ten", -5, 2.5, None, True],
    "min_steps": ["ten", -1],
    "min_epochs": ["ten", -1],
    "max_time": ["foo", 5, {"secs": 5}, {"seconds": 0}],
    "fast_dev_run": ["maybe", -1],
    "limit_train_batches": ["ten", -1, 1.5],
    "limit_val_batches": ["ten", -1, 1.5],
    "limit_test_batches": ["ten", -1, 1.5, 0, 0.0],
    "limit_predict_batches": ["ten"],
    "overfit_batches": ["ten", -1],
    "val_check_interval": ["ten", 0, -1, 1.5],
    "check_val_every_n_epoch": ["ten", 0, -1],
    "num_sanity_val_steps": ["ten", -2],
    "log_every_n_steps": ["ten", -1],
    "accumulate_grad_batches": ["ten", 0, 1.5],
    "gradient_clip_val": ["ten", -1],
    "gradient_clip_algorithm": ["foo"],
    "deterministic": ["maybe"],
    "profiler": ["fast"],
    "barebones": [True],
    "reload_dataloaders_every_n_epochs": ["ten", -1],
}
SWITCHES = [key for key in SETTINGS if isinstance(DEFAULTS[key], bool) and key not in WRONG]
SWITCHES += ["enable_checkpointing", "enable_progress_bar", "benchmark"]
CASES = [(k, v) for k, values in WRONG.items() for v in values] + [(k, "maybe") for k in SWITCHES]


def test_every_argument_of_lightning_is_known() -> None:
    theirs = set(inspect.signature(pl.Trainer.__init__).parameters) - {"self"}
    assert set(SETTINGS) == set(DEFAULTS) == theirs - set(OURS) - NOT_HERE
    assert {key for key, _ in CASES} | {"enable_model_summary"} == set(SETTINGS)


def test_the_defaults_are_taken() -> None:
    assert checked_trainer(DEFAULTS) == DEFAULTS


@pytest.mark.parametrize(("key", "value"), CASES)
def test_a_wrong_value_is_named_with_what_is_allowed(key: str, value: Any) -> None:
    with pytest.raises(UserError, match=rf"^trainer\.{key}=.* makes no sense: give "):
        Config(trainer={key: value})


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("devices", "0,1"),
        ("max_time", "00:00:10:00"),
        ("max_time", {"hours": 2}),
        ("val_check_interval", 0.5),
        ("val_check_interval", "00:00:10:00"),
        ("limit_val_batches", 0),
        ("deterministic", "warn"),
        ("max_steps", 0),
    ],
)
def test_a_right_value(key: str, value: Any) -> None:
    assert Config(trainer={key: value}).trainer == {key: value}


def test_unknown_keys() -> None:
    with pytest.raises(UserError, match="did you mean trainer.max_steps"):
        Config(trainer={"max_stepz": 5})
    with pytest.raises(UserError, match=r"^trainer\.logger: .*groups logger"):
        Config(trainer={"logger": False})


def test_limits_that_lightning_notices_after_the_training() -> None:
    data = DataConfig(n_test_episodes=30, eval_batch_size=10, n_train_episodes=40)
    Config(data=data, trainer={"limit_test_batches": 0.34})
    with pytest.raises(UserError, match=r"limit_test_batches=0\.3 .*3 batches"):
        Config(data=data, trainer={"limit_test_batches": 0.3})
    Config(data=data, trainer={"val_check_interval": 5, "check_val_every_n_epoch": None})
    with pytest.raises(UserError, match=r"val_check_interval=5 .*4 batches"):
        Config(data=data, trainer={"val_check_interval": 5})


@pytest.mark.parametrize(
    ("key", "kind"), [("enable_checkpointing", Checkpoint), ("enable_progress_bar", ProgressBar)]
)
def test_what_is_switched_off_has_no_callback(key: str, kind: type[Any], tmp_path: Path) -> None:
    options = ["space.channels=4", f"run_dir={tmp_path}"]
    with_it, without = (
        make_callbacks(app.to_config(compose([*options, f"trainer.{key}={value}"])))
        for value in ("true", "false")
    )
    assert any(isinstance(c, kind) for c in with_it)
    assert [type(c) for c in without] == [type(c) for c in with_it if not isinstance(c, kind)]


@pytest.mark.parametrize(
    ("error", "becomes", "told"),
    [
        (MisconfigurationException("no such monitor"), UserError, "no such monitor"),
        (torch.OutOfMemoryError("CUDA out of memory"), RunFailed, "meta.chunk_size=1"),
        (ValueError("a bug"), ValueError, "a bug"),
    ],
)
def test_errors_of_lightning_in_a_run(
    error: Exception, becomes: type[Exception], told: str, tmp_path: Path
) -> None:
    config = app.to_config(compose([f"run_dir={tmp_path}"]))
    with pytest.raises(becomes, match=told) as caught, make_trainer(config, tmp_path):
        raise error
    assert type(caught.value) is becomes


@pytest.mark.parametrize(
    ("callback", "told"),
    [
        ({"_target_": "no.such.thing"}, "callbacks.mine=no.such.thing: .*no"),
        (
            {"_target_": "pytorch_lightning.callbacks.ModelCheckpoint", "mode": "x"},
            "callbacks.mine=.*mode",
        ),
    ],
)
def test_a_callback_that_cannot_be_made(callback: dict[str, str], told: str) -> None:
    with pytest.raises(UserError, match=told):
        make_callbacks(Config(callbacks={"mine": callback}))


def test_a_resumed_run_goes_on_in_its_wandb_run(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The checkpoint names the run; a copy of the folder, or a chosen id, begins anew."""
    made: list[dict[str, Any]] = []

    def make(_: str, settings: dict[str, Any]) -> WandbLogger:
        made.append(settings)
        return Mock(spec=WandbLogger)

    monkeypatch.setattr("metanas_pl.cli.trainer.make", make)
    monkeypatch.setattr("metanas_pl.cli.trainer.read", lambda _: {})
    monkeypatch.setattr("metanas_pl.cli.trainer.run_id_in", lambda *_: "abc")
    config = Config(run_dir=str(tmp_path), ckpt_path="last.ckpt", logger={"name": "mine"})
    make_logger(config, resumes=True)
    assert made == [{"name": "mine"}, {"name": "mine", "id": "abc"}]
    make_logger(config, resumes=False)
    make_logger(replace(config, logger={"id": "chosen"}), resumes=True)
    assert made[2:] == [{"name": "mine"}, {"id": "chosen"}]


@pytest.mark.filterwarnings("ignore:You passed `deterministic=True` and `benchmark=True`")
def test_a_run_leaves_the_process_as_it_was(tmp_path: Path) -> None:
    def settings() -> tuple[object, ...]:
        deterministic = torch.are_deterministic_algorithms_enabled()
        workspace = os.environ.get("CUBLAS_WORKSPACE_CONFIG")
        switches = (deterministic, torch.backends.cudnn.benchmark, workspace)
        return torch.get_num_threads(), list(warnings.filters), *switches

    strict = ["num_threads=2", "trainer.deterministic=true", "trainer.benchmark=true"]
    config = app.to_config(compose([f"run_dir={tmp_path}", *strict]))
    before = settings()
    with make_trainer(config, tmp_path):
        assert all(now != then for now, then in zip(settings(), before, strict=True))
    assert settings() == before
    with pytest.raises(ValueError, match="a bug"), make_trainer(config, tmp_path):
        raise ValueError("a bug")
    assert settings() == before


def test_connections_between_ranks_are_closed(tmp_path: Path) -> None:
    ddp = ["trainer.strategy=ddp", "trainer.devices=1", "trainer.accelerator=cpu"]
    config = app.to_config(compose([f"run_dir={tmp_path}", *ddp]))
    with make_trainer(config, tmp_path) as trainer:
        trainer.strategy.setup_environment()
        assert torch.distributed.is_initialized()
    assert not torch.distributed.is_initialized()
