"""Arms of a test: the same weights and episodes with the alphas of something else.

What adapting the architecture is worth, and whether it knows its task, are differences between arms. In
every arm the alphas are held still from the first inner step on, and only the weights adapt.

Shapes: T tasks; O options of one choice.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from metanas_pl.algorithms.noise import episode_generator
from metanas_pl.types import Alphas, Mask

if TYPE_CHECKING:
    from jaxtyping import Int


def shuffled(alphas: Alphas, mask: Mask, index: Int[torch.Tensor, " T"], seed: int) -> Alphas:
    """Returns alphas whose alive options have changed places, in each choice of each task.

    Args:
        alphas: with a leading task dimension.
        mask: options that are alive.
        index: numbers of the episodes, which decide how.
        seed: of the evaluation.

    >>> own, alive = {"a": torch.tensor([[1.0, 2.0, 9.0]])}, {"a": torch.tensor([True, True, False])}
    >>> sorted(shuffled(own, alive, torch.tensor([4]), 0)["a"][0, :2].tolist())
    [1.0, 2.0]
    """
    moved = {name: alpha.clone() for name, alpha in alphas.items()}
    for t, number in enumerate(index.tolist()):
        generator = episode_generator(seed, number)
        for name, alpha in moved.items():
            rows, alive = alpha[t].view(-1, alpha.shape[-1]), mask[name].view(-1, alpha.shape[-1])
            for row, options in zip(rows, alive, strict=True):
                places = options.nonzero().squeeze(-1)
                order = torch.randperm(len(places), generator=generator).to(places)
                row[places] = row[places[order]].clone()
    return moved
