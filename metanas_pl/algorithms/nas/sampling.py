"""Sampled sub-networks: each outer step computes a few options of each choice.

Two sampled options are a paired comparison on the same tasks (ProxylessNAS, Cai et al. 2019); one is a
single path (SPOS, Guo et al. 2020). Either costs little more than a fixed network.

Shapes: T tasks, ``*E`` edges or nodes, O options of one choice.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from metanas_pl.algorithms.nas.relaxations import is_member
from metanas_pl.algorithms.noise import gumbel

if TYPE_CHECKING:
    from jaxtyping import Bool, Float


def sampled(
    logits: Float[Tensor, "*E O"],
    alive: Bool[Tensor, "*E O"],
    n: int,
    generator: torch.Generator,
) -> Bool[Tensor, "*E O"]:
    """Returns ``n`` alive options of each choice, drawn without replacement with chances softmax(logits).

    All alive options are taken where there are no more. The draw is the top n of logits with Gumbel noise
    (Kool et al. 2019).

    Args:
        logits: log-probabilities up to a constant; zeros draw uniformly.
        alive: options to draw from.
        n: options of each choice, at least 1.
        generator: on the CPU.

    >>> alive = torch.tensor([True, True, False])
    >>> sampled(torch.zeros(3), alive, 2, torch.Generator())
    tensor([ True,  True, False])
    """
    noise = gumbel(tuple(logits.shape), generator).to(logits)
    keys = (logits + noise).masked_fill(~alive, -torch.inf)
    return alive & is_member(keys.topk(min(n, keys.shape[-1]), -1).indices, keys.shape[-1])


def path_gradient(
    advantage: Float[Tensor, " T"],
    taken: Bool[Tensor, "*E O"],
    chance: Float[Tensor, "*E O"],
) -> Float[Tensor, "T *E O"]:
    """Returns the gradient of the expected loss of a path with respect to logits over T, for each task.

    The score function (Williams 1992; ENAS, Pham et al. 2018):  (L - usual loss) grad log p(path).

    Args:
        advantage: loss of each task less what is usual.
        taken: the option that the path takes in each choice.
        chance: of each option.

    >>> taken = torch.tensor([True, False])
    >>> path_gradient(torch.tensor([2.0]), taken, torch.tensor([0.5, 0.5]))
    tensor([[ 1., -1.]])
    """
    return advantage.view(-1, *(1,) * taken.ndim) * (taken.to(chance) - chance)
