"""Build the three objects of a run from a typed configuration."""

from __future__ import annotations

import warnings
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
from hydra.utils import instantiate
from pytorch_lightning.loggers import CSVLogger

from metanas_pl.conf import Config
from metanas_pl.data import EpisodeDataModule
from metanas_pl.module import MetaNASModule


def make_datamodule(config: Config) -> EpisodeDataModule:
    """Episodes of ``config.data``; their seed is the run's."""
    return EpisodeDataModule(**asdict(config.data), seed=config.seed)


def make_module(config: Config) -> MetaNASModule:
    """The LightningModule of a run, with the whole configuration of the data in its checkpoints."""
    size = config.data.image_size
    return MetaNASModule(
        space=config.space,
        nas=config.nas,
        meta=config.meta,
        evaluation=config.evaluation,
        image_shape=(config.data.channels, size, size),
        n_ways=config.data.n_ways,
        seed=config.seed,
    )


def make_trainer(config: Config, run_dir: Path) -> pl.Trainer:
    """Lightning's Trainer with ``metrics.csv``, the chosen logger and the callbacks."""
    # The tool chooses its loader workers on purpose, and a run folder may be used again to resume.
    warnings.filterwarnings("ignore", message=".*does not have many workers.*")
    warnings.filterwarnings("ignore", message=".*exists and is not empty.*")
    loggers: list[Any] = [CSVLogger(str(run_dir.parent), name=run_dir.name, version="")]
    if config.logger:
        loggers.append(instantiate(config.logger, _convert_="all"))
        loggers[-1].log_hyperparams(asdict(config))
    callbacks = [instantiate(c, _convert_="all") for c in (config.callbacks or {}).values() if c]
    return pl.Trainer(
        **config.trainer, logger=loggers, callbacks=callbacks, default_root_dir=str(run_dir)
    )
