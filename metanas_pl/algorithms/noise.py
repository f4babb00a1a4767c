"""Randomness of the inner loop, drawn outside it.

Minibatches and drop path are pure functions of (seed, episode index), so the loop and vmap backends,
any chunk size and any number of ranks see the same noise.

Shapes: k inner steps, B images of a minibatch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:
    from jaxtyping import Float, Int

# Mixes seed and episode into one generator seed (odd constants of splitmix64).
_SEED_FACTOR, _INDEX_FACTOR = 0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9


def episode_generator(seed: int, index: int) -> torch.Generator:
    """Returns a CPU generator that depends on ``seed`` and the episode's number alone.

    >>> first, again = (torch.rand(2, generator=episode_generator(0, 7)) for _ in range(2))
    >>> torch.equal(first, again)
    True
    """
    mixed = (seed * _SEED_FACTOR + (index + 1) * _INDEX_FACTOR) % 2**63
    return torch.Generator().manual_seed(mixed)


def minibatches(
    size: int, batch_size: int | None, steps: int, generator: torch.Generator
) -> Int[Tensor, "{steps} B"]:
    """Returns the rows of the minibatch of each step: shuffled passes over ``size`` samples.

    ``batch_size`` None, or not below ``size``, gives the full set in order at each step.

    >>> minibatches(3, None, 2, episode_generator(0, 0))
    tensor([[0, 1, 2],
            [0, 1, 2]])
    """
    if batch_size is None or batch_size >= size:
        return torch.arange(size).expand(steps, size)
    passes = -(-steps * batch_size // size)
    rows = torch.cat([torch.randperm(size, generator=generator) for _ in range(passes)])
    return rows[: steps * batch_size].view(steps, batch_size)


def drop_path(
    shape: tuple[int, ...], probability: float, generator: torch.Generator
) -> Float[Tensor, "*shape"]:
    """Returns drop-path factors (Larsson et al. 2017): 0 with ``probability``, else 1 / (1 - probability).

    >>> drop_path((2, 3), 0.0, episode_generator(0, 0))
    tensor([[1., 1., 1.],
            [1., 1., 1.]])
    """
    kept = torch.rand(shape, generator=generator) >= probability
    return kept.float() / (1 - probability)


CANDIDATES, BOOST = 3, 10
"""Proposals of a gamma draw (see ``sampled_relaxations.gamma_draw``) and its shape augmentation."""


def gumbel(shape: tuple[int, ...], generator: torch.Generator) -> Float[Tensor, "*shape"]:
    """Returns standard Gumbel noise, for relaxations that draw a choice (Jang et al. 2017).

    >>> gumbel((4, 2), episode_generator(0, 0)).shape
    torch.Size([4, 2])
    """
    return -torch.log(-torch.log(_open_uniform(shape, generator)))


def uniform(shape: tuple[int, ...], generator: torch.Generator) -> Float[Tensor, "*shape"]:
    """Returns uniform noise in (0, 1)."""
    return _open_uniform(shape, generator)


def gamma(shape: tuple[int, ...], generator: torch.Generator) -> Float[Tensor, "*shape 16"]:
    """Returns what ``sampled_relaxations.gamma_draw`` draws with: ``(*shape, 2 CANDIDATES + BOOST)``.

    >>> gamma((4, 2), episode_generator(0, 0)).shape
    torch.Size([4, 2, 16])
    """
    normal = torch.randn((*shape, CANDIDATES), generator=generator)
    return torch.cat([normal, _open_uniform((*shape, CANDIDATES + BOOST), generator)], dim=-1)


def _open_uniform(shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
    return torch.rand(shape, generator=generator).clamp(1e-6, 1 - 1e-6)
