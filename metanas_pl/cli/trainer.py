"""Lightning's Trainer of a run, its loggers and callbacks, and what its errors mean for the user."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from hydra.errors import InstantiationException
from hydra.utils import instantiate
from pytorch_lightning.callbacks import Checkpoint, ProgressBar
from pytorch_lightning.loggers import Logger, WandbLogger
from pytorch_lightning.plugins import CheckpointIO, ClusterEnvironment
from pytorch_lightning.plugins.environments import SLURMEnvironment, TorchElasticEnvironment
from pytorch_lightning.profilers import (
    AdvancedProfiler,
    Profiler,
    PyTorchProfiler,
    SimpleProfiler,
)
from pytorch_lightning.utilities.exceptions import MisconfigurationException
from torch.backends import cudnn

from metanas_pl.config import Config
from metanas_pl.config.schemas.trainer import check_precision
from metanas_pl.errors import RunFailed, UserError
from metanas_pl.training.checkpointing.checkpoint import read
from metanas_pl.training.checkpointing.checkpoint_io import WholeCheckpointIO
from metanas_pl.training.checkpointing.resume import is_inside
from metanas_pl.training.loggers.metrics_csv import LogPosition, RunLog
from metanas_pl.training.loggers.wandb import answering_wandb, finish_wandb, run_id_in
from metanas_pl.training.ranks import closing_connections, is_first_process

PROFILERS = {
    "simple": SimpleProfiler,
    "advanced": AdvancedProfiler,
    "pytorch": PyTorchProfiler,
}
PROFILE = "profile"  # in the names of its files
WORKSPACE = "CUBLAS_WORKSPACE_CONFIG"  # which Lightning sets for deterministic algorithms

# Lightning's warnings that are no news to a user of this tool.
NOT_FOR_USERS = (
    ".*does not have many workers.*",  # episodes are cheap: data.num_workers is chosen on purpose
    ".*exists and is not empty.*",  # a run folder may be used again, to resume
    ".*is smaller than the logging interval.*",  # log_every_n_steps counts through all epochs
)


SWITCHED_OFF = {"enable_checkpointing": Checkpoint, "enable_progress_bar": ProgressBar}
"""Settings of the Trainer that leave out callbacks; Lightning would refuse to have both."""


def make_profiler(config: Config, run_dir: Path) -> Profiler | None:
    """Returns Lightning's ``trainer.profiler``, which writes into the run folder, on the first process."""
    name = config.trainer.get("profiler")
    if name is None or not is_first_process():
        return None
    return PROFILERS[name](dirpath=run_dir, filename=PROFILE)


@contextmanager
def process_settings(num_threads: int | None) -> Iterator[None]:
    """Threads of one CPU operation, and which warnings are shown, for the block.

    What ``trainer.deterministic`` and ``trainer.benchmark`` set ends with it, too.
    """
    before = torch.get_num_threads()
    deterministic, benchmark = torch.are_deterministic_algorithms_enabled(), cudnn.benchmark
    workspace = os.environ.get(WORKSPACE)
    with warnings.catch_warnings():
        for message in NOT_FOR_USERS:
            warnings.filterwarnings("ignore", message=message)
        if num_threads is not None:
            torch.set_num_threads(num_threads)
        try:
            yield
        finally:
            torch.set_num_threads(before)
            torch.use_deterministic_algorithms(deterministic)
            cudnn.benchmark = benchmark
            os.environ.pop(WORKSPACE, None)
            os.environ.update({} if workspace is None else {WORKSPACE: workspace})


@contextmanager
def make_trainer(config: Config, run_dir: Path) -> Iterator[pl.Trainer]:
    """Makes Lightning's Trainer with ``metrics.csv``, the chosen logger and the callbacks.

    A W&B run ends with the block: otherwise the next run of this process would go on in it. So do the
    number of threads and the filters of warnings.

    Raises:
        UserError: a setting that Lightning refuses, now or in the block.
        RunFailed: the memory was used up in the block.
    """
    log = RunLog(run_dir)
    loggers: list[Logger] = [log]
    resumes = is_inside(config.ckpt_path, config.run_dir)
    if config.logger:
        loggers.append(make_logger(config, resumes))
    callbacks = make_callbacks(config)
    callbacks.append(LogPosition(log, resumes))
    try:
        with process_settings(config.num_threads), closing_connections():
            trainer = build(
                **{**config.trainer, "profiler": make_profiler(config, run_dir)},
                logger=loggers,
                callbacks=callbacks,
                plugins=make_plugins(),
                default_root_dir=str(run_dir),
            )
            if config.trainer.get("profiler") is not None and trainer.is_global_zero:
                print(f"{'profile':<10}{run_dir}/*-{PROFILE}*.txt")
            yield trainer
    except BaseException as error:
        finish_wandb(loggers, exit_code=1)
        if isinstance(error, MisconfigurationException):
            raise UserError(f"Lightning refuses these settings: {error}") from error
        if isinstance(error, MemoryError | torch.OutOfMemoryError):
            raise RunFailed(
                "the memory is used up: set meta.chunk_size=1 (tasks at once), or take fewer or smaller "
                f"images or channels ({error})"
            ) from error
        raise
    finish_wandb(loggers, exit_code=0)


def build(**settings: Any) -> pl.Trainer:
    """Returns the Trainer.

    Raises:
        UserError: Lightning refuses a setting; that each is of the right kind is known before.
    """
    try:
        trainer = pl.Trainer(**settings)
    except (MisconfigurationException, ValueError, TypeError, RuntimeError, ImportError) as error:
        raise UserError(f"trainer: {error}") from error
    check_precision(str(trainer.precision))
    return trainer


def make(key: str, config: Mapping[str, object]) -> Any:
    """Returns what the configuration names at ``key``, by its ``_target_``.

    Raises:
        UserError: there is none, or it refuses its settings.
    """
    try:
        return instantiate(config, _convert_="all")
    except InstantiationException as error:
        cause = error.__cause__ or error
        raise UserError(f"{key}={config.get('_target_')}: {cause}") from error


def make_logger(config: Config, resumes: bool) -> Logger:
    """Returns the chosen logger; W&B resumes the run that a checkpoint of this run folder names.

    In a copy of the folder a run begins anew on W&B: that of the original may go on, too.
    """
    logger = make("logger", config.logger)
    chosen = config.logger.get("id") or config.logger.get("version")
    if not (resumes and isinstance(logger, WandbLogger)) or chosen:
        return logger
    assert config.ckpt_path is not None
    known = run_id_in(read(config.ckpt_path), Path(config.run_dir).resolve())
    return logger if known is None else make("logger", {**config.logger, "id": known})


def make_callbacks(config: Config) -> list[pl.Callback]:
    """Returns the callbacks of the configuration that no setting of the Trainer switches off."""
    chosen = (config.callbacks or {}).items()
    callbacks = [make(f"callbacks.{name}", callback) for name, callback in chosen if callback]
    off = tuple(kind for key, kind in SWITCHED_OFF.items() if config.trainer.get(key) is False)
    return [callback for callback in callbacks if not isinstance(callback, off)]


def make_plugins() -> list[CheckpointIO | ClusterEnvironment]:
    """Lightning's plugins: whole checkpoints, and signals of SLURM that are left to GracefulInterrupt."""
    plugins: list[CheckpointIO | ClusterEnvironment] = [WholeCheckpointIO()]
    if SLURMEnvironment.detect() and not TorchElasticEnvironment.detect():
        # Lightning would save in the middle of a step.
        plugins.append(SLURMEnvironment(auto_requeue=False))
    return plugins


def begin_logging(trainer: pl.Trainer, config: Config) -> None:
    """Hands the configuration to the chosen logger, which begins its run.

    Raises:
        UserError: W&B has no key, or is out of reach.
    """
    for logger in trainer.loggers[1:]:  # the first one is metrics.csv
        with answering_wandb(logger):
            logger.log_hyperparams(asdict(config))
