"""What the tasks of the search have said about the options of each choice.

Every task hands in its meta-gradient of the alphas. The running mean and covariance of these gradients tell
how far the difference of two options is from what chance would give. Tasks of one outer step are drawn
independently and share theta. So under pure noise the statistic below is about standard normal, however far
the alphas have walked.

Shapes: T tasks; ``*E`` edges or nodes, O options of one choice; ``*S`` the shape of what is counted.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor

from metanas_pl.types import Alphas

if TYPE_CHECKING:
    from jaxtyping import Bool, Float


class Evidence(NamedTuple):
    """Weighted sums over tasks, by architecture parameter.

    Attributes:
        weights: sums of the weights of the tasks and of their squares.
        first: sums of the gradients.
        second: sums of the products of the gradients of two options of a choice.
    """

    weights: Float[Tensor, 2]
    first: Alphas
    second: Alphas


def none_yet(alphas: Alphas) -> Evidence:
    """Returns the evidence of no task."""
    like = next(iter(alphas.values()), torch.zeros(()))
    first = {name: torch.zeros_like(a) for name, a in alphas.items()}
    second = {name: a.new_zeros(*a.shape, a.shape[-1]) for name, a in alphas.items()}
    return Evidence(like.new_zeros(2), first, second)


def of_tasks(gradients: Alphas, finite: Bool[Tensor, " T"]) -> Evidence:
    """Returns the evidence of the tasks of a meta-batch.

    Args:
        gradients: meta-gradients of the alphas, with a leading task dimension.
        finite: tasks that count.

    >>> of_tasks({"a": torch.tensor([[1.0, 3.0]])}, torch.tensor([True])).first
    {'a': tensor([1., 3.])}
    """
    like = next(iter(gradients.values()), torch.zeros(()))
    weights = finite.sum().to(like).expand(2)
    kept = {
        name: g.where(finite.view(-1, *(1,) * (g.ndim - 1)), 0) for name, g in gradients.items()
    }
    second = {name: (g.unsqueeze(-1) * g.unsqueeze(-2)).sum(0) for name, g in kept.items()}
    return Evidence(weights, {name: g.sum(0) for name, g in kept.items()}, second)


def updated(old: Evidence, new: Evidence, memory: float) -> Evidence:
    """Returns old and new evidence together; the old counts ``memory`` (0 to 1) times as much as before.

    >>> once = of_tasks({"a": torch.tensor([[1.0, 3.0]])}, torch.tensor([True]))
    >>> updated(once, once, 0.5).weights
    tensor([1.5000, 1.2500])
    """
    decay = torch.tensor([memory, memory**2], device=old.weights.device, dtype=old.weights.dtype)
    return Evidence(
        decay * old.weights + new.weights,
        {name: memory * s + new.first[name] for name, s in old.first.items()},
        {name: memory * s + new.second[name] for name, s in old.second.items()},
    )


def deviations(
    evidence: Evidence, name: str, leader: Float[Tensor, "*E 1"]
) -> Float[Tensor, "*E O"]:
    """Returns by how many standard errors each option's gradient lies above that of the leader.

    A gradient above that of the leader says that training wants less of the option, in comparison. Without
    evidence, and for the leader itself, it is 0.

    Args:
        evidence: of the tasks so far.
        name: of the architecture parameter.
        leader: index of the option to compare with, for each choice.

    >>> gradients = torch.tensor([[0.0, 1.0], [0.0, 3.0]])
    >>> evidence = of_tasks({"a": gradients}, torch.tensor([True, True]))
    >>> deviations(evidence, "a", torch.tensor([0]))
    tensor([0.0000, 2.8284])
    """
    total, squares = evidence.weights.clamp_min(1e-12)
    mean = evidence.first[name] / total
    covariance = evidence.second[name] / total - mean.unsqueeze(-1) * mean.unsqueeze(-2)
    variance = covariance.diagonal(dim1=-2, dim2=-1)
    with_leader = covariance.gather(-2, leader.unsqueeze(-1).expand(*covariance[..., :1, :].shape))
    spread = variance + variance.gather(-1, leader) - 2 * with_leader.squeeze(-2)
    difference = mean - mean.gather(-1, leader)
    error = (spread.clamp_min(0) * squares).sqrt() / total
    return torch.where(error > 0, difference / error, 0.0)
