"""Which images the alpha-steps of an inner loop see.

An architecture that is chosen by the images on which its weights were just adapted is chosen by how well
it memorises them. So the alpha-steps get other shots of each class, or, where there is only one, changed
copies of the images. DARTS splits its training set for the same reason (Liu et al. 2019, section 2.3).

Shapes: S support images, W of them for w-steps and A for alpha-steps; C, H, W an image.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from metanas_pl.data.episodes.transforms import warp
from metanas_pl.errors import UserError

if TYPE_CHECKING:
    from jaxtyping import Float, Int

SHIFT, ROTATION, SCALE = 0.08, 12.0, 0.1
"""Largest changes of a copy: a share of the image's side, degrees, a share of the size."""


def splits(alpha_images: str, y: Int[Tensor, " S"]) -> bool:
    """Returns whether the alpha-steps of an episode see shots of their own.

    Args:
        alpha_images: as ``nas.alpha_images``.
        y: labels of the support images.

    Raises:
        UserError: they must, and a class has a single shot.

    >>> splits("held_out", torch.tensor([0, 1, 0, 1])), splits("held_out", torch.tensor([0, 1, 1]))
    (True, False)
    """
    if alpha_images not in ("split", "held_out"):
        return False
    enough = int(y.bincount().min()) >= 2
    if alpha_images == "split" and not enough:
        raise UserError(
            "nas.alpha_images=split: a class has one shot, which cannot be split: take held_out, which "
            "changes copies of it instead"
        )
    return enough


def split_rows(
    y: Int[Tensor, " S"], generator: torch.Generator
) -> tuple[Int[Tensor, " W"], Int[Tensor, " A"]]:
    """Returns the rows of the w-steps and those of the alpha-steps: every class shares out its shots.

    Of an odd number the w-steps get the larger part. Classes take turns, so that any number of leading rows
    holds about as many of each.

    >>> train, arch = split_rows(torch.tensor([0, 1, 0, 1, 0, 1]), torch.Generator())
    >>> len(train), len(arch), sorted(torch.cat([train, arch]).tolist())
    (4, 2, [0, 1, 2, 3, 4, 5])
    """
    order = torch.randperm(len(y), generator=generator)
    of_class = y[order]
    number = torch.tensor([int((of_class[:i] == c).sum()) for i, c in enumerate(of_class)])
    in_turn = (number * (of_class.max() + 1) + of_class).argsort()
    order, for_weights = order[in_turn], number[in_turn] % 2 == 0
    return order[for_weights], order[~for_weights]


def changed_copies(
    x: Float[Tensor, "S C H W"], generator: torch.Generator
) -> Float[Tensor, "S C H W"]:
    """Returns copies, each turned, shifted and scaled a little; what moves in continues the border.

    >>> x = torch.rand(3, 1, 8, 8)
    >>> changed_copies(x, torch.Generator()).shape
    torch.Size([3, 1, 8, 8])
    """
    turn, scale, right, down = (2 * torch.rand(4, len(x), generator=generator) - 1).to(x)
    shift = 2 * SHIFT * torch.stack([right, down], -1)
    return warp(x, math.radians(ROTATION) * turn, 1 + SCALE * scale, shift)
