"""What the tasks of the search have said about the options of each choice.

Every task hands in its meta-gradient of the alphas. Compared with the other options of its choice, an
option's gradient says whether training wants more or less of it. Running mean and variance over the tasks
tell how far the difference of two options is from what chance would give. Tasks of one outer step are drawn
independently and share theta. So under pure noise the statistic below is about standard normal, however far
the alphas have walked.

Shapes: T tasks; ``*E`` edges or nodes, O options of one choice.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor

from metanas_pl.types import Alphas, Mask

if TYPE_CHECKING:
    from jaxtyping import Bool, Float, Int


class Evidence(NamedTuple):
    """Sums over the tasks in which an option took part, for one architecture parameter.

    Attributes:
        weight: of the tasks.
        squares: squares of these weights.
        first: gradients, less the mean over the options of the choice that took part.
        second: squares of these, times n / (n - 1) for n options: so much larger they would be without
            the mean, which takes a part of each.
    """

    weight: Float[Tensor, "*E O"]
    squares: Float[Tensor, "*E O"]
    first: Float[Tensor, "*E O"]
    second: Float[Tensor, "*E O"]


def none_yet(alpha: Float[Tensor, "*E O"]) -> Evidence:
    """Returns the evidence of no task."""
    return Evidence(*(torch.zeros_like(alpha) for _ in Evidence._fields))


def of_tasks(gradients: Alphas, mask: Mask, finite: Bool[Tensor, " T"]) -> dict[str, Evidence]:
    """Returns the evidence of the tasks of a meta-batch, by architecture parameter.

    Args:
        gradients: meta-gradients of the alphas, with a leading task dimension.
        mask: options that took part.
        finite: tasks that count.

    >>> both = {"a": torch.tensor([True, True])}
    >>> of_tasks({"a": torch.tensor([[1.0, 3.0]])}, both, torch.tensor([True]))["a"].first
    tensor([-1.,  1.])
    """
    n_tasks = finite.sum()
    evidence = {}
    for name, gradient in gradients.items():
        part = mask[name].to(gradient)
        n = part.sum(-1, keepdim=True)
        counts = (part * (n > 1)).to(gradient)  # alone, an option is compared with nothing
        kept = gradient.where(finite.view(-1, *(1,) * (gradient.ndim - 1)), 0)
        centred = (kept - (kept * part).sum(-1, keepdim=True) / n.clamp_min(1)) * counts
        weight = counts * n_tasks
        second = centred.square().sum(0) * n / (n - 1).clamp_min(1)
        evidence[name] = Evidence(weight, weight, centred.sum(0), second)
    return evidence


def updated(old: Evidence, new: Evidence, memory: float) -> Evidence:
    """Returns old and new evidence together; the old counts ``memory`` (0 to 1) times as much as before.

    >>> one = Evidence(*torch.ones(4, 1))
    >>> updated(one, one, 0.5).weight, updated(one, one, 0.5).squares
    (tensor([1.5000]), tensor([1.2500]))
    """
    squares = memory**2 * old.squares + new.squares
    sums = (memory * before + now for before, now in zip(old, new, strict=True))
    return Evidence(*sums)._replace(squares=squares)


def deviations(evidence: Evidence, leader: Int[Tensor, "*E 1"]) -> Float[Tensor, "*E O"]:
    """Returns by how many standard errors each option's gradient lies above that of the leader.

    A gradient above that of the leader says that training wants less of the option, in comparison. The
    error is that of two options which do not differ. The answer is 0 without evidence, and for the leader.

    Args:
        evidence: of the tasks so far.
        leader: index of the option to compare with, for each choice.

    >>> gradients = {"a": torch.tensor([[0.0, 1.0], [0.0, 3.0]])}
    >>> both = {"a": torch.tensor([True, True])}
    >>> evidence = of_tasks(gradients, both, torch.tensor([True, True]))["a"]
    >>> deviations(evidence, torch.tensor([0]))
    tensor([0.0000, 1.2649])
    """
    weight = evidence.weight.clamp_min(1e-12)
    mean = evidence.first / weight
    error = evidence.second / weight * evidence.squares / weight.square()
    total = (error + error.gather(-1, leader)).sqrt()
    known = (evidence.weight > 0) & (evidence.weight.gather(-1, leader) > 0) & (total > 0)
    is_leader = torch.zeros_like(known).scatter(-1, leader, True)
    return torch.where(known & ~is_leader, (mean - mean.gather(-1, leader)) / total, 0.0)
