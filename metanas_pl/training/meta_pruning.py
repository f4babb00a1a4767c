"""Meta-pruning: what the tasks say about the options of each choice, and which of them go when."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import torch
from torch import nn

from metanas_pl.algorithms.nas.evidence import Evidence, deviations, none_yet, updated
from metanas_pl.algorithms.nas.pruning import alive_after
from metanas_pl.config import NASConfig
from metanas_pl.search_spaces.base import SearchSpace
from metanas_pl.types import Alphas, Mask, Mixing, OuterProgress

MEMORY = 0.25
"""Share of the training over which the tasks' word fades to 1/e: early weights judge unlike late ones."""


class Removed(NamedTuple):
    """An option that was pruned for good.

    Attributes:
        name, place: the architecture parameter and the indices of the option in it.
        option: what the space calls it.
        weight: its mixing weight at the T at which a task ended.
        deviation: what spoke against it, in standard errors.
    """

    name: str
    place: str
    option: str
    weight: float
    deviation: float


class SearchEvidence(nn.Module):
    """The evidence of all outer steps so far, as a buffer for each architecture parameter.

    It belongs to a checkpoint, and is the same on all ranks, as the meta-gradient is.

    Args:
        alphas: the architecture parameters.
    """

    def __init__(self, alphas: Alphas) -> None:
        super().__init__()
        self.names = list(alphas)
        for name, alpha in alphas.items():
            self.register_buffer(name, torch.stack(none_yet(alpha.detach())))

    def value(self) -> dict[str, Evidence]:
        """Returns the evidence, by architecture parameter."""
        return {name: Evidence(*getattr(self, name)) for name in self.names}

    def add(self, of_step: Mapping[str, Evidence], total_steps: float) -> None:
        """Adds that of an outer step; earlier ones count a little less, by the length of the training."""
        memory = max(0.0, 1 - 1 / (MEMORY * total_steps))
        for name, new in of_step.items():
            buffer = getattr(self, name)
            buffer.copy_(torch.stack(updated(Evidence(*buffer), new, memory)))


def is_due(nas: NASConfig, done: OuterProgress) -> bool:
    """Returns whether options may go for good after so many outer steps.

    >>> nas = NASConfig(meta_prune_interval=5, meta_prune_from=0.5)
    >>> [is_due(nas, OuterProgress(step, 20)) for step in (5, 10, 11)]
    [False, True, False]
    """
    if nas.meta_prune_interval == 0 or done.outer_step <= done.warm_up_steps:
        return False
    return done.share >= nas.meta_prune_from and done.outer_step % nas.meta_prune_interval == 0


def pruned(
    nas: NASConfig, space: SearchSpace, mixing: Mixing, mask: Mask, evidence: dict[str, Evidence]
) -> tuple[Mask, list[Removed]]:
    """Returns which operations are alive after meta-pruning, and those that it removed.

    Args:
        nas: threshold and least deviation.
        space: says which parameters choose operations, and which of them a genotype may name.
        mixing: mixing weights of the meta-architecture.
        mask: what is alive now.
        evidence: of the tasks.
    """
    after, removed = dict(mask), list[Removed]()
    for name, weight in space.of_kind("operation", mixing).items():
        nameable = space.eligible(weight)
        leader = nameable.masked_fill(~mask[name], -torch.inf).argmax(-1, keepdim=True)
        against = deviations(evidence[name], leader) if nas.meta_prune_deviation > 0 else None
        after[name] = alive_after(
            weight,
            mask[name],
            nas.meta_prune_threshold,
            nameable,
            against,
            nas.meta_prune_deviation,
        )
        for place in (mask[name] & ~after[name]).nonzero().tolist():
            at = tuple(place)
            spoke = 0.0 if against is None else float(against[at])
            option = space.option_name(name, place[-1])
            where = " ".join(map(str, place))
            removed.append(Removed(name, where, option, float(weight[at]), spoke))
    return after, removed
