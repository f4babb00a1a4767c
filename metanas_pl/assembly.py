"""Build the three objects of a run from a typed configuration."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from hydra.utils import instantiate
from pytorch_lightning.loggers import WandbLogger
from pytorch_lightning.plugins.environments import SLURMEnvironment, TorchElasticEnvironment
from pytorch_lightning.profilers import (
    AdvancedProfiler,
    Profiler,
    PyTorchProfiler,
    SimpleProfiler,
)

from metanas_pl.allocator import keep_freed_memory
from metanas_pl.cli import is_first_process
from metanas_pl.conf import Config, NASConfig, check_choice, from_plain
from metanas_pl.data import EpisodeDataModule
from metanas_pl.errors import UserError
from metanas_pl.module import MetaNASModule
from metanas_pl.ranges import bounds
from metanas_pl.search_space import build_space, check_builder, is_ours
from metanas_pl.survival.checkpoint_io import WholeCheckpointIO
from metanas_pl.survival.resume import is_inside
from metanas_pl.survival.run_log import LogPosition, RunLog

PROFILERS = {
    "simple": SimpleProfiler,
    "advanced": AdvancedProfiler,
    "pytorch": PyTorchProfiler,
}
PROFILE = "profile"  # in the names of its files

# Lightning's warnings that are no news to a user of this tool.
NOT_FOR_USERS = (
    ".*does not have many workers.*",  # episodes are cheap: data.num_workers is chosen on purpose
    ".*exists and is not empty.*",  # a run folder may be used again, to resume
    ".*is smaller than the logging interval.*",  # log_every_n_steps counts through all epochs
)


def make_datamodule(config: Config) -> EpisodeDataModule:
    """Episodes of ``config.data``; their seed is the run's."""
    return EpisodeDataModule(**asdict(config.data), seed=config.seed)


def make_module(config: Config) -> MetaNASModule:
    """The LightningModule of a run, with the whole configuration of the data in its checkpoints."""
    data = config.data
    return MetaNASModule(
        space=config.space,
        nas=config.nas,
        meta=config.meta,
        evaluation=config.evaluation,
        image_shape=(data.channels, data.image_size, data.image_size),
        n_ways=bounds(data.n_train_ways or data.n_ways)[1],
        seed=config.seed,
    )


def trained_module(checkpoint: Mapping[str, Any], config: Config) -> MetaNASModule:
    """The LightningModule of a checkpoint that ``cli.read_checkpoint`` returned.

    Args:
        checkpoint: its hyper-parameters and parameters are taken.
        config: how to evaluate it; ``ckpt_path`` is what messages call it.

    Raises:
        UserError: the parameters are not those of the network that its hyper-parameters describe.
    """
    known, state = checkpoint["hyper_parameters"], checkpoint["state_dict"]
    check_builder(known["space"])
    check_sizes(known, state, f"ckpt_path={config.ckpt_path}")
    module = MetaNASModule(**{**known, "evaluation": config.evaluation})
    try:
        module.load_state_dict(state)
    except RuntimeError as error:
        reason = " ".join(str(error).split())[:200]
        raise UserError(f"ckpt_path={config.ckpt_path} is damaged: {reason}") from error
    module.on_load_checkpoint(dict(checkpoint))
    return module


def check_sizes(known: Mapping[str, Any], state: Mapping[str, Any], name: str) -> None:
    """Refuse hyper-parameters of another network than ``state`` is of, before memory is taken for it."""
    if not is_ours(known["space"]):  # a builder from elsewhere need not work without memory
        return
    nas = from_plain(NASConfig, known["nas"])
    try:
        with torch.device("meta"):
            sketch = build_space(known["space"], nas, tuple(known["image_shape"]), known["n_ways"])
    except (RuntimeError, TypeError, OverflowError) as error:
        raise UserError(f"{name} is damaged: there is no network of these sizes") from error
    for key, parameter in sketch.named_parameters():
        found = state.get(f"space.{key}")
        if found is None or found.shape != parameter.shape:
            raise UserError(f"{name} is damaged: {key} is not {tuple(parameter.shape)}")


def make_profiler(config: Config, run_dir: Path) -> Profiler | None:
    """Lightning's profiler ``trainer.profiler``, which writes into the run folder, on the first process.

    Raises:
        UserError: there is no such profiler.
    """
    name = config.trainer.get("profiler")
    if name is None:
        return None
    check_choice("trainer.profiler", name, tuple(PROFILERS))
    return PROFILERS[name](dirpath=run_dir, filename=PROFILE) if is_first_process() else None


@contextmanager
def make_trainer(config: Config, run_dir: Path) -> Iterator[pl.Trainer]:
    """Lightning's Trainer with ``metrics.csv``, the chosen logger and the callbacks.

    A W&B run ends with the block: otherwise the next run of this process would go on in it.
    """
    if config.num_threads is not None:
        torch.set_num_threads(config.num_threads)
    keep_freed_memory()
    for message in NOT_FOR_USERS:
        warnings.filterwarnings("ignore", message=message)
    log = RunLog(run_dir)
    loggers: list[Any] = [log]
    if config.logger:
        loggers.append(instantiate(config.logger, _convert_="all"))
    callbacks = [instantiate(c, _convert_="all") for c in (config.callbacks or {}).values() if c]
    callbacks.append(LogPosition(log, resumes=is_inside(config.ckpt_path, config.run_dir)))
    settings = {**config.trainer, "profiler": make_profiler(config, run_dir)}
    plugins: list[Any] = [WholeCheckpointIO()]
    if SLURMEnvironment.detect() and not TorchElasticEnvironment.detect():
        # Its signal is for GracefulInterrupt: Lightning would save in the middle of a step.
        plugins.append(SLURMEnvironment(auto_requeue=False))
    try:
        trainer = pl.Trainer(
            **settings,
            logger=loggers,
            callbacks=callbacks,
            plugins=plugins,
            default_root_dir=str(run_dir),
        )
        if settings["profiler"] is not None:
            print(f"{'profile':<10}{run_dir}/*-{PROFILE}*.txt")
        for logger in loggers[1:]:  # not before the Trainer has found out which rank this is
            logger.log_hyperparams(asdict(config))
        yield trainer
    except BaseException:
        finish_wandb(loggers, exit_code=1)
        raise
    finish_wandb(loggers, exit_code=0)


def finish_wandb(loggers: Sequence[Any], exit_code: int) -> None:
    """End the W&B run of this process, if one of ``loggers`` began it; other ranks have none."""
    if any(isinstance(logger, WandbLogger) for logger in loggers):
        import wandb

        if wandb.run is not None:
            wandb.finish(exit_code=exit_code)
