"""The outer optimizer: a group each for weights, alphas and inner hyper-parameters."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import nn

from metanas_pl.config import NASConfig, OuterConfig
from metanas_pl.errors import UserError


def make_outer_optimizer(
    outer: OuterConfig,
    weights: Sequence[nn.Parameter],
    alphas: Sequence[nn.Parameter],
    hyper: Sequence[nn.Parameter],
) -> torch.optim.Optimizer:
    """Returns the optimizer of theta; a group without parameters is left out."""
    groups = [
        {"params": list(weights), "lr": outer.weight_lr, "name": "weights"},
        {"params": list(alphas), "lr": outer.alpha_lr, "name": "alphas"},
        {"params": list(hyper), "lr": outer.hyper_lr, "name": "hyper"},
    ]
    make = torch.optim.SGD if outer.optimizer == "sgd" else torch.optim.Adam
    return make([group for group in groups if group["params"]])


def check_end(nas: NASConfig, outer: OuterConfig, total_steps: float, is_timed: bool) -> None:
    """Refuses what falls over a training, where the training has no end.

    Args:
        nas, outer: what may fall.
        total_steps: outer steps of the training.
        is_timed: a clock ends it.

    Raises:
        UserError: names the setting.

    >>> check_end(NASConfig(), OuterConfig(schedule="cosine"), 100, is_timed=False)
    """
    if is_timed or math.isfinite(total_steps):
        return
    falling = {
        f"meta.outer.schedule={outer.schedule}": outer.schedule != "constant",
        f"nas={nas.name}": nas.auxiliary_skip > 0,
        f"nas.outer_t_factor={nas.outer_t_factor:g}": nas.outer_t_factor > 1,
        f"nas.meta_prune_from={nas.meta_prune_from:g}": bool(
            nas.meta_prune_interval and nas.meta_prune_from > 0
        ),
    }
    for name, falls in falling.items():
        if falls:
            raise UserError(
                f"{name} goes by the share of the training that is over, and this training has no end: "
                "set trainer.max_steps"
            )
