"""What the tasks of the search have said about the options of each choice.

Every outer step gives a meta-gradient of the alphas, the mean over its tasks. Compared with the other
options of its choice, an option's gradient says whether training wants more or less of it. Sums over the
steps tell how far the difference of two options is from what chance would give. Tasks are drawn anew for
every step. So under pure noise the statistic below is about standard normal, however far the alphas have
walked. The sum of squares is the error of the sum, whatever the size of each step's gradient: those of an
option that is behind vanish at a low T, and then what was said before they did still counts.

Shapes: ``*E`` edges or nodes, O options of one choice.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor

if TYPE_CHECKING:
    from jaxtyping import Bool, Float, Int


class Evidence(NamedTuple):
    """Sums over the outer steps in which an option took part, for one architecture parameter.

    Attributes:
        weight: of the steps.
        first: gradients, less the mean over the options of the choice that took part; of a single path
            its loss, less what is usual.
        second: squares of these, scaled to be those of options that do not differ (see ``of_step``).
    """

    weight: Float[Tensor, "*E O"]
    first: Float[Tensor, "*E O"]
    second: Float[Tensor, "*E O"]


def none_yet(alpha: Float[Tensor, "*E O"]) -> Evidence:
    """Returns the evidence of no step."""
    return Evidence(*(torch.zeros_like(alpha) for _ in Evidence._fields))


def of_step(
    gradient: Float[Tensor, "*E O"],
    part: Bool[Tensor, "*E O"],
    alive: Bool[Tensor, "*E O"] | None = None,
) -> Evidence:
    """Returns the evidence of one outer step.

    The squares are those of the gradients less their mean, times a / (a - 1) for a options that may take
    part. Two options that do not differ then have the error that their difference has, however many are
    sampled in a step: a smaller sample makes each gradient less certain, but it is shared less often.

    Args:
        gradient: its meta-gradient.
        part: options that took part.
        alive: options that may take part; None: the same.

    >>> of_step(torch.tensor([1.0, 3.0]), torch.tensor([True, True])).first
    tensor([-1.,  1.])
    """
    took = part.to(gradient)
    n = took.sum(-1, keepdim=True)
    weight = took * (n > 1)  # alone, an option is compared with nothing
    centred = (gradient - (gradient * took).sum(-1, keepdim=True) / n.clamp_min(1)) * weight
    a = (part if alive is None else alive).to(gradient).sum(-1, keepdim=True)
    second = centred.square() * a / (a - 1).clamp_min(1)
    return Evidence(weight, centred, second)


def of_path(advantage: Float[Tensor, ""], taken: Bool[Tensor, "*E O"]) -> Evidence:
    """Returns the evidence of one outer step on a single path: its loss speaks of the options it takes.

    Args:
        advantage: loss of the path less what is usual.
        taken: the option of each choice.

    >>> of_path(torch.tensor(0.5), torch.tensor([True, False])).first
    tensor([0.5000, 0.0000])
    """
    weight = taken.to(advantage)
    return Evidence(weight, advantage * weight, advantage.square() * weight)


def updated(old: Evidence, new: Evidence, memory: float) -> Evidence:
    """Returns old and new evidence together; the old counts ``memory`` (0 to 1) times as much as before.

    The variance of a sum goes with the square of its weights.

    >>> one = Evidence(*torch.ones(3, 1))
    >>> updated(one, one, 0.5).first, updated(one, one, 0.5).second
    (tensor([1.5000]), tensor([1.2500]))
    """
    second = memory**2 * old.second + new.second
    sums = (memory * before + now for before, now in zip(old, new, strict=True))
    return Evidence(*sums)._replace(second=second)


def deviations(evidence: Evidence, leader: Int[Tensor, "*E 1"]) -> Float[Tensor, "*E O"]:
    """Returns by how many standard errors each option's gradient lies above that of the leader.

    A gradient above that of the leader says that training wants less of the option, in comparison. The
    error is that of two options which do not differ. The answer is 0 without evidence, and for the leader.

    Args:
        evidence: of the steps so far.
        leader: index of the option to compare with, for each choice.

    >>> both = torch.tensor([True, True])
    >>> steps = [of_step(torch.tensor([0.0, g]), both) for g in (1.0, 3.0)]
    >>> deviations(updated(*steps, memory=1.0), torch.tensor([0]))
    tensor([0.0000, 1.2649])
    """
    weight = evidence.weight.clamp_min(1e-12)
    mean = evidence.first / weight
    error = evidence.second / weight.square()
    total = (error + error.gather(-1, leader)).sqrt()
    known = (evidence.weight > 0) & (evidence.weight.gather(-1, leader) > 0) & (total > 0)
    is_leader = torch.zeros_like(known).scatter(-1, leader, True)
    return torch.where(known & ~is_leader, (mean - mean.gather(-1, leader)) / total, 0.0)
