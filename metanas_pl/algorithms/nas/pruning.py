"""Pruning of the meta-architecture for good (MetaNAS, section 4: soft pruning).

Shapes: ``*E`` edges or nodes, O options of one choice.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from metanas_pl.algorithms.nas.relaxations import is_member

if TYPE_CHECKING:
    from jaxtyping import Bool, Float


def alive_after(
    weight: Float[Tensor, "*E O"],
    alive: Bool[Tensor, "*E O"],
    threshold: float,
    nameable: Float[Tensor, "*E O"],
    deviation: Float[Tensor, "*E O"] | None = None,
    least_deviation: float = 0.0,
) -> Bool[Tensor, "*E O"]:
    """Returns which options stay alive: those that weigh ``threshold``, or that too little speaks against.

    The largest of a choice always stays, and so does the largest that a genotype may name.

    Args:
        weight: mixing weights, the last dimension one choice.
        alive: options that are alive now.
        threshold: the least weight that stays.
        nameable: ``weight`` with minus infinity for options that no genotype names.
        deviation: what speaks against an option, in standard errors (``evidence.deviations``); None where
            the weight alone decides, as in the paper.
        least_deviation: an option with less stays.

    >>> weight, alive = torch.tensor([0.9, 0.06, 0.04]), torch.ones(3, dtype=torch.bool)
    >>> alive_after(weight, alive, 0.05, weight)
    tensor([ True,  True, False])
    >>> alive_after(weight, alive, 0.05, weight, torch.tensor([0.0, 9.0, 1.0]), 3.0)
    tensor([True, True, True])
    """
    stays = weight >= threshold
    if deviation is not None:
        stays = stays | (deviation < least_deviation)
    kept = alive & stays
    for candidates in (weight, nameable):
        best = candidates.masked_fill(~alive, -torch.inf).argmax(-1, keepdim=True)
        kept = kept | is_member(best, weight.shape[-1])
    return kept
