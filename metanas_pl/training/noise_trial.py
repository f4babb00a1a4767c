"""What the search would decide if its meta-gradients were noise: a trial without network and data.

How far logits move, divided by T, decides a softmax search. If normal noise in place of the meta-gradients
decides the choices early, then a decision at that time says nothing about the data.
"""

from __future__ import annotations

import torch
from torch import nn

from metanas_pl.config import MetaConfig, NASConfig
from metanas_pl.engine.inner_schedules import training_schedule
from metanas_pl.training.outer_optimizer import make_outer_optimizer
from metanas_pl.training.rate_schedules import learning_rate_factor
from metanas_pl.types import OuterProgress

N_CHOICES, N_OPTIONS, MOST_STEPS, EVERY = 100, 7, 3000, 5
DECIDED = 0.9
"""Mixing weight from which a choice counts as decided."""


def reach_in_task(nas: NASConfig, meta: MetaConfig, steps: float) -> float:
    """Returns how many T at most an alpha moves in a task, at the end of the training; 0 if it stays.

    Only Adam has such a bound: with gradient descent it is what the gradients are, here taken as 1.

    >>> from metanas_pl.config import InnerConfig
    >>> meta = MetaConfig(inner=InnerConfig(steps=3, alpha_lr=0.01))
    >>> f"{reach_in_task(NASConfig(t_max=0.1, t_min=0.1), meta, 100):.2g}"
    '0.2'
    """
    at_end = training_schedule(nas, meta, OuterProgress(int(min(steps, 2**40)), min(steps, 2**40)))
    return at_end.n_alpha_steps * meta.inner.alpha_lr / nas.t_min


def decided_by_noise(nas: NASConfig, meta: MetaConfig, total_steps: float) -> float | None:
    """Returns the share of the search after which noise has decided half of the choices.

    The search begins after the warm-up. The trial takes at most 3,000 outer steps.

    Args:
        nas, meta: temperatures and rates.
        total_steps: outer steps of the training.

    Returns:
        None if noise does not decide them, or if the size of the meta-gradients matters (gradient descent
        in the outer loop), which only a training can tell.
    """
    displaces = meta.gradient_order == "displacement"
    if not nas.adapts_alphas or (meta.outer.optimizer == "sgd" and not displaces):
        return None
    size = reach_in_task(nas, meta, total_steps) * nas.t_min if displaces else 1.0
    alphas = nn.Parameter(torch.zeros(N_CHOICES, N_OPTIONS))
    optimizer = make_outer_optimizer(meta.outer, [], [alphas], [])
    generator, warm_up = torch.Generator().manual_seed(0), meta.outer.warm_up_steps
    length = max(total_steps - warm_up, 1)
    for step in range(int(min(length, MOST_STEPS))):
        progress = OuterProgress(warm_up + step, total_steps, warm_up - 1)
        factor = learning_rate_factor(meta.outer, warm_up + step, total_steps)
        optimizer.param_groups[0]["lr"] = factor * meta.outer.alpha_lr
        alphas.grad = size * torch.randn(alphas.shape, generator=generator)
        optimizer.step()
        if step % EVERY == 0:
            t = training_schedule(nas, meta, progress).query_temperature
            largest = (alphas.detach() / t).softmax(-1).amax(-1)
            if (largest > DECIDED).float().mean() > 0.5:
                return step / length
    return None
