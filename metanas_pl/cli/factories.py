"""Build the three objects of a run from a typed configuration."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING

import torch

from metanas_pl.config import Config, NASConfig, from_plain
from metanas_pl.data import EpisodeDataModule
from metanas_pl.engine.space_factory import build_space, check_builder, is_ours
from metanas_pl.errors import UserError
from metanas_pl.module import MetaNASModule
from metanas_pl.utils.ranges import bounds

if TYPE_CHECKING:
    from torch import Tensor

    from metanas_pl.types import Checkpoint, Settings


def make_datamodule(config: Config) -> EpisodeDataModule:
    """Returns episodes of ``config.data``; those of training have the run's seed."""
    return EpisodeDataModule(**asdict(config.data), seed=config.seed)


def opened(datamodule: EpisodeDataModule) -> EpisodeDataModule:
    """Returns it with all stores built and open, so that an error in the data comes before any other.

    Raises:
        UserError: no such data, or episodes that they cannot give.
    """
    datamodule.prepare_data()
    datamodule.setup()
    return datamodule


def make_module(config: Config) -> MetaNASModule:
    """Returns the LightningModule of a run, with the whole configuration of the data in its checkpoints."""
    data = config.data
    return MetaNASModule(
        space=config.space,
        nas=config.nas,
        meta=config.meta,
        evaluation=config.evaluation,
        image_shape=(data.channels, data.image_size, data.image_size),
        n_ways=bounds(data.n_train_ways or data.n_ways)[1],
        seed=config.seed,
        eval_seed=data.eval_seed,
    )


def trained_module(checkpoint: Checkpoint, config: Config) -> MetaNASModule:
    """Returns the LightningModule of a checkpoint that ``cli.read_checkpoint`` returned.

    Args:
        checkpoint: its hyper-parameters and parameters are taken.
        config: how to evaluate it, and with which seeds; ``ckpt_path`` is what messages call it.

    Raises:
        UserError: the parameters are not those of the network that its hyper-parameters describe.
    """
    known, content = checkpoint["hyper_parameters"], dict(checkpoint)
    check_builder(known["space"])
    check_sizes(known, checkpoint["state_dict"], f"ckpt_path={config.ckpt_path}")
    seeds = {"seed": config.seed, "eval_seed": config.data.eval_seed}
    module = MetaNASModule(**{**known, **seeds, "evaluation": config.evaluation})
    module.on_load_checkpoint(content)
    try:
        module.load_state_dict(content["state_dict"])
    except RuntimeError as error:
        reason = " ".join(str(error).split())[:200]
        raise UserError(f"ckpt_path={config.ckpt_path} is damaged: {reason}") from error
    return module


def check_sizes(known: Settings, state: Mapping[str, Tensor], name: str) -> None:
    """Refuses hyper-parameters of another network than ``state`` is of, before memory is taken for it."""
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
