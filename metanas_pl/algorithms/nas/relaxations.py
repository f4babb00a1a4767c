"""Relaxations: from architecture logits (alphas) to mixing weights.

An architecture is a flat ``dict[str, Tensor]``. Every tensor's **last** dimension holds one choice:
the primitives of an edge, ``(..., O)``, or the input pairs of a node, ``(P,)``. A relaxation turns
logits into weights of the same shape, so it need not know which is which.

Shapes: ``*E`` edges or nodes, O options of one choice, n numbers of options.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from metanas_pl.types import Alphas, Mask, Mixing, Params

if TYPE_CHECKING:
    from jaxtyping import Bool, Float, Int


def softmax(
    alphas: Alphas,
    temperature: float = 1.0,
    mask: Mask | None = None,
    noise: Params | None = None,
) -> Mixing:
    """Returns mixing weights ``softmax(alpha / T)`` of every choice (MetaNAS, section 4; DARTS at T = 1).

    Args:
        alphas: logits, last dimension one choice.
        temperature: ``T > 0``; towards 0 the weights become one-hot.
        mask: boolean tensors like ``alphas``; entries that are False get weight 0 (meta-pruning).
        noise: not used; another relaxation draws with it. Without noise each gives its most likely
            or its mean weights, which is what an adapted network is tested with.

    >>> softmax({"normal_0": torch.tensor([0.0, math.log(3.0)])})["normal_0"]
    tensor([0.2500, 0.7500])
    """
    return {
        name: torch.softmax(switch_off(alpha, mask, name) / temperature, dim=-1)
        for name, alpha in alphas.items()
    }


def switch_off(alpha: Float[Tensor, "*E O"], mask: Mask | None, name: str) -> Float[Tensor, "*E O"]:
    """Returns logits with minus infinity where ``mask`` is False.

    >>> switch_off(torch.tensor([1.0, 2.0]), {"normal_0": torch.tensor([True, False])}, "normal_0")
    tensor([1., -inf])
    """
    if mask is None or name not in mask:
        return alpha
    return alpha.masked_fill(~mask[name], -math.inf)


def apply_threshold(mixing: Mixing, threshold: float) -> Mixing:
    """Returns mixing weights, 0 where they are not above ``threshold``; the largest of a choice stays.

    The weights that stay are not rescaled, as in the paper's soft pruning.

    >>> apply_threshold({"normal_0": torch.tensor([0.6, 0.39, 0.01])}, 0.05)["normal_0"]
    tensor([0.6000, 0.3900, 0.0000])
    """
    if threshold <= 0:
        return mixing
    return {name: weight * keep(weight, threshold) for name, weight in mixing.items()}


def keep(weight: Float[Tensor, "*E O"], threshold: float) -> Bool[Tensor, "*E O"]:
    """Returns which weights are above ``threshold``; the largest of each choice is always kept.

    >>> keep(torch.tensor([0.5, 0.5]), 0.9)
    tensor([ True, False])
    """
    return (weight > threshold) | is_member(weight.argmax(-1, keepdim=True), weight.shape[-1])


def is_member(indices: Int[Tensor, "*E n"], size: int) -> Bool[Tensor, "*E {size}"]:
    """Returns which of 0..size-1 occur in the last dimension of ``indices``.

    It runs under ``vmap``, where ``torch.nn.functional.one_hot`` does not.

    >>> is_member(torch.tensor([0, 2]), 4)
    tensor([ True, False,  True, False])
    """
    return (indices.unsqueeze(-1) == torch.arange(size, device=indices.device)).any(-2)


def one_hot(weight: Float[Tensor, "*E O"]) -> Float[Tensor, "*E O"]:
    """Returns 1 for the largest of each choice (the first of several), 0 for the others.

    >>> one_hot(torch.tensor([[0.2, 0.8], [0.5, 0.5]]))
    tensor([[0., 1.],
            [1., 0.]])
    """
    return is_member(weight.argmax(-1, keepdim=True), weight.shape[-1]).to(weight)


def temperatures(
    steps: int, arch_steps: int, t_max: float, t_min: float, schedule: str = "linear"
) -> tuple[float, ...]:
    """Returns the temperature of each inner step, falling from ``t_max`` to ``t_min`` while alphas adapt.

    Args:
        steps: inner steps.
        arch_steps: leading steps in which the architecture adapts; 0 keeps ``t_max`` (warm-up).
        schedule: ``linear`` (the paper) or ``geometric`` (equal ratios).

    >>> temperatures(4, 3, 1.0, 0.5)
    (1.0, 0.75, 0.5, 0.5)
    >>> temperatures(1, 1, 1.0, 0.1)
    (1.0,)
    """
    if arch_steps <= 0:
        return (t_max,) * steps
    last = max(arch_steps - 1, 1)
    fractions = (min(step / last, 1.0) for step in range(steps))
    if schedule == "geometric":
        return tuple(t_max * (t_min / t_max) ** f for f in fractions)
    return tuple(t_max - (t_max - t_min) * f for f in fractions)


def entropy(mixing: Mixing) -> Float[Tensor, ""]:
    """Returns the mean entropy of the choices relative to a uniform one: 1 undecided, 0 one-hot.

    Choices of one option are left out. Without any choice the entropy is 0.

    >>> entropy({"normal_0": torch.tensor([[0.5, 0.5], [1.0, 0.0]])})
    tensor(0.5000)
    """
    parts = [
        torch.special.entr(w).sum(-1).reshape(-1) / math.log(w.shape[-1])
        for w in mixing.values()
        if w.shape[-1] > 1
    ]
    return torch.cat(parts).mean() if parts else torch.tensor(0.0)


def n_open(mixing: Mixing, threshold: float) -> Float[Tensor, ""]:
    """Returns the number of choices in which more than one option weighs more than ``threshold``.

    >>> n_open({"normal_0": torch.tensor([[0.5, 0.5], [0.99, 0.01]])}, 0.05)
    tensor(1.)
    """
    counts = [((w > threshold).sum(-1) > 1).sum() for w in mixing.values()]
    return torch.stack(counts).sum().float() if counts else torch.tensor(0.0)
