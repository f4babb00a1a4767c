"""Penalties on the mixing weights of the operations, added to the loss of the alpha-step."""

from __future__ import annotations

import torch
from torch import Tensor

from metanas_pl.types import Mixing


def zero_one(mixing: Mixing, *, weight: float = 1.0) -> Tensor:
    """FairDARTS (Chu et al. 2020): ``-weight * mean (sigmoid(alpha) - 1/2)^2`` pushes weights to 0 or 1."""
    gates = torch.cat([m.reshape(-1) for m in mixing.values()])
    return -weight * ((gates - 0.5) ** 2).mean()


def cost_penalty(cost: Tensor, weight: float, target: float | None, largest: float) -> Tensor:
    """``weight * cost / largest``, or with a target ``weight * max(0, cost / target - 1)``.

    >>> cost = torch.tensor(30.0)
    >>> cost_penalty(cost, 2.0, 20.0, 100.0), cost_penalty(cost, 2.0, None, 100.0)
    (tensor(1.), tensor(0.6000))
    """
    if target is None:
        return weight * cost / largest
    return weight * (cost / target - 1).clamp_min(0)
