"""Penalties on the mixing weights of the operations, added to the loss of the alpha-step."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from metanas_pl.types import Mixing

if TYPE_CHECKING:
    from jaxtyping import Float


def zero_one(mixing: Mixing, *, weight: float = 1.0) -> Float[Tensor, ""]:
    """FairDARTS (Chu et al. 2020): ``-weight * mean (sigmoid(alpha) - 1/2)^2`` pushes weights to 0 or 1.

    >>> zero_one({"normal_0": torch.tensor([1.0, 0.5])})
    tensor(-0.1250)
    """
    gates = torch.cat([m.reshape(-1) for m in mixing.values()])
    return -weight * ((gates - 0.5) ** 2).mean()


def cost_penalty(
    cost: Float[Tensor, ""], weight: float, target: float | None, largest: float
) -> Float[Tensor, ""]:
    """Returns ``weight * cost / largest``, or with a target ``weight * max(0, cost / target - 1)``.

    Args:
        cost: expected cost of the network, in the unit of its kind (parameters, FLOPs).
        weight: strength of the penalty.
        target: in the same unit; None counts every unit.
        largest: cost of the dearest network, in the same unit.
    >>> cost = torch.tensor(30.0)
    >>> cost_penalty(cost, 2.0, 20.0, 100.0), cost_penalty(cost, 2.0, None, 100.0)
    (tensor(1.), tensor(0.6000))
    """
    if target is None:
        return weight * cost / largest
    return weight * (cost / target - 1).clamp_min(0)
