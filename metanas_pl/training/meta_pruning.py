"""Meta-pruning: what the tasks say about the options of each choice, and which of them go when."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor, nn

from metanas_pl.algorithms.nas.evidence import Evidence, deviations, none_yet, of_tasks, updated
from metanas_pl.algorithms.nas.pruning import alive_after
from metanas_pl.config import NASConfig
from metanas_pl.search_spaces.base import SearchSpace
from metanas_pl.types import Alphas, Mask, Mixing, OuterProgress

if TYPE_CHECKING:
    from pytorch_lightning.strategies import Strategy

MEMORY = 0.25
"""Share of the training over which the tasks' word fades to 1/e: early weights judge unlike late ones."""


class Removed(NamedTuple):
    """An option that was pruned for good.

    Attributes:
        name, place: the architecture parameter and the indices of the entry in it.
        weight: its mixing weight at the T at which a task ended.
        deviation: what spoke against it, in standard errors.
    """

    name: str
    place: tuple[int, ...]
    weight: float
    deviation: float


class TaskEvidence(nn.Module):
    """The evidence of all tasks so far, as buffers: it belongs to a checkpoint and is equal on all ranks.

    Args:
        alphas: the architecture parameters.
    """

    weights: Tensor

    def __init__(self, alphas: Alphas) -> None:
        super().__init__()
        alphas = {name: alpha.detach() for name, alpha in alphas.items()}
        empty = none_yet(alphas)
        self.names = list(alphas)
        self.register_buffer("weights", empty.weights)
        for name in alphas:
            self.register_buffer(f"first_{name}", empty.first[name])
            self.register_buffer(f"second_{name}", empty.second[name])
        self._batches: list[Evidence] = []

    def value(self) -> Evidence:
        """Returns the evidence."""
        first = {name: getattr(self, f"first_{name}") for name in self.names}
        second = {name: getattr(self, f"second_{name}") for name in self.names}
        return Evidence(self.weights, first, second)

    def add(self, gradients: Alphas, finite: Tensor) -> None:
        """Adds the tasks of a batch of this rank, to count when the outer step ends."""
        self._batches.append(of_tasks(gradients, finite))

    def close_step(self, strategy: Strategy, total_steps: float) -> None:
        """Ends an outer step: its tasks on all ranks count, and earlier ones a little less."""
        batches, self._batches = self._batches, []
        if not batches:
            return
        new = batches[0]
        for more in batches[1:]:
            new = updated(new, more, 1.0)
        flat = torch.cat([leaf.reshape(-1) for leaf in _leaves(new)])
        flat = strategy.reduce(flat, reduce_op="sum")
        parts = flat.split([leaf.numel() for leaf in _leaves(new)])
        shaped = [part.view_as(leaf) for part, leaf in zip(parts, _leaves(new), strict=True)]
        n = len(self.names)
        new = Evidence(
            shaped[0],
            dict(zip(self.names, shaped[1 : n + 1], strict=True)),
            dict(zip(self.names, shaped[n + 1 :], strict=True)),
        )
        memory = max(0.0, 1 - 1 / (MEMORY * total_steps))
        later = _leaves(updated(self.value(), new, memory))
        for buffer, value in zip(_leaves(self.value()), later, strict=True):
            buffer.copy_(value)


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
    nas: NASConfig, space: SearchSpace, mixing: Mixing, mask: Mask, evidence: Evidence
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
        against = deviations(evidence, name, leader) if nas.meta_prune_deviation > 0 else None
        after[name] = alive_after(
            weight,
            mask[name],
            nas.meta_prune_threshold,
            nameable,
            against,
            nas.meta_prune_deviation,
        )
        for place in (mask[name] & ~after[name]).nonzero().tolist():
            spoke = 0.0 if against is None else float(against[tuple(place)])
            removed.append(Removed(name, tuple(place), float(weight[tuple(place)]), spoke))
    return after, removed


def _leaves(evidence: Evidence) -> list[Tensor]:
    return [evidence.weights, *evidence.first.values(), *evidence.second.values()]
