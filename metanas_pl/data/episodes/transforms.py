"""Transforms of images in [0, 1]: pure functions of images ``(n, C, H, W)`` and of a number for each.

All run on the device of the images, and treat every image by its own number ``(n,)``.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

LUMA = (0.299, 0.587, 0.114)
"""Weights of red, green and blue in the grey of ITU-R BT.601."""


def crop(images: Tensor, down: Tensor, right: Tensor, padding: int) -> Tensor:
    """Pads all sides by black, and cuts out the size of before ``down`` and ``right`` of the top left.

    Args:
        images: ``(n, C, H, W)``.
        down, right: whole numbers ``(n,)`` in ``0 .. 2 * padding``; ``padding`` leaves an image as it is.
        padding: pixels.

    >>> image = torch.arange(4.0).view(1, 1, 2, 2)
    >>> crop(image, torch.tensor([2]), torch.tensor([1]), 1)[0, 0]
    tensor([[2., 3.],
            [0., 0.]])
    """
    n, _, height, width = images.shape
    padded = F.pad(images, [padding] * 4).permute(0, 2, 3, 1)
    image = torch.arange(n, device=images.device)[:, None, None]
    row = down[:, None] + torch.arange(height, device=images.device)
    column = right[:, None] + torch.arange(width, device=images.device)
    return padded[image, row[:, :, None], column[:, None, :]].permute(0, 3, 1, 2).contiguous()


def flip(images: Tensor, chosen: Tensor) -> Tensor:
    """Mirrors left and right where ``chosen (n,)``."""
    return torch.where(chosen[:, None, None, None], images.flip(-1), images)


def warp(images: Tensor, angle: Tensor, scale: Tensor, shift: Tensor) -> Tensor:
    """Returns one affine map for each image; what comes in from outside repeats the border.

    Args:
        images: ``(n, C, H, W)``.
        angle: radians ``(n,)``.
        scale: factors ``(n,)``.
        shift: ``(n, 2)`` to the left and up, in halves of a side, as ``affine_grid`` counts.
    """
    cos, sin = angle.cos() * scale, angle.sin() * scale
    rows = [torch.stack([cos, -sin, shift[:, 0]], -1), torch.stack([sin, cos, shift[:, 1]], -1)]
    grid = F.affine_grid(torch.stack(rows, -2), list(images.shape), align_corners=False)
    return F.grid_sample(images, grid, padding_mode="border", align_corners=False)


def brightness(images: Tensor, factor: Tensor) -> Tensor:
    """Blends with black: 0 is black, 1 the image, more is brighter."""
    return _blend(images, torch.zeros_like(images[:1]), factor)


def contrast(images: Tensor, factor: Tensor) -> Tensor:
    """Blends with the mean grey of the image."""
    return _blend(images, grey(images).mean((1, 2, 3), keepdim=True), factor)


def saturation(images: Tensor, factor: Tensor) -> Tensor:
    """Blends with the grey image."""
    return _blend(images, grey(images), factor)


def grey(images: Tensor) -> Tensor:
    """``(n, 3, H, W) -> (n, 1, H, W)``; grey images stay.

    >>> grey(torch.tensor([1.0, 0.5, 0.0]).view(1, 3, 1, 1)).flatten()
    tensor([0.5925])
    """
    if images.shape[1] == 1:
        return images
    return (images * images.new_tensor(LUMA)[:, None, None]).sum(1, keepdim=True)


def _blend(images: Tensor, other: Tensor, factor: Tensor) -> Tensor:
    factor = factor[:, None, None, None]
    return (factor * images + (1 - factor) * other).clamp(0, 1)
