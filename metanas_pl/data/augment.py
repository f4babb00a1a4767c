"""Augmentation of training episodes: every image is moved, turned and scaled a little.

It runs on a whole meta-batch, on the device the episodes are on. What happens to an image depends on the
seed and the number of its episode, so it is the same on any number of ranks and workers.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from metanas_pl.data.episodes import Episode

LIMITS = ("shift", "rotation", "scale")


def augment(batch: Episode, seed: int, limits: Mapping[str, float]) -> Episode:
    """Episodes whose support and query images are each moved by an affine map of their own.

    Args:
        batch: episodes with a leading task dimension.
        seed: the run's seed.
        limits: largest ``shift`` (pixels), ``rotation`` (degrees) and ``scale`` (0.1: by up to 10 %);
            each is drawn uniformly between minus and plus its limit, 0 leaves it out.

    >>> x, y = torch.rand(1, 2, 1, 8, 8), torch.tensor([[0, 1]])
    >>> batch = Episode(x, y, x, y, torch.tensor([3]))
    >>> torch.allclose(augment(batch, 0, {"shift": 0.0}).support_x, x, atol=1e-6)
    True
    """
    n_support, n_query = batch.support_x.shape[1], batch.query_x.shape[1]
    draws = torch.stack(
        [_draws(seed, index, n_support + n_query) for index in batch.index.tolist()]
    )
    images = torch.cat([batch.support_x, batch.query_x], dim=1)
    angle, scale, *shifts = (draws * _limits(limits, images.shape[-1])).to(images).unbind(-1)
    moved = _warped(images, angle, 1 + scale, torch.stack(shifts, -1))
    support, query = moved.split([n_support, n_query], dim=1)
    return batch._replace(support_x=support, query_x=query)


def _draws(seed: int, index: int, n_images: int) -> Tensor:
    """Numbers in [-1, 1) for angle, scale and both shifts of each image of an episode, ``(n, 4)``."""
    rng = np.random.Generator(np.random.Philox(np.random.SeedSequence([seed, index])))
    return torch.from_numpy(rng.uniform(-1, 1, (n_images, 4))).float()


def _limits(limits: Mapping[str, float], size: int) -> Tensor:
    """Limits of angle (radians), scale and shifts (halves of a side, as ``affine_grid`` counts)."""
    shift = 2 * limits.get("shift", 0.0) / size
    angle = math.radians(limits.get("rotation", 0.0))
    return torch.tensor([angle, limits.get("scale", 0.0), shift, shift])


def _warped(images: Tensor, angle: Tensor, scale: Tensor, shift: Tensor) -> Tensor:
    """Images ``(T, n, C, H, W)`` under one map each; what comes in from outside repeats the border."""
    cos, sin = angle.cos() * scale, angle.sin() * scale
    rows = [torch.stack([cos, -sin, shift[..., 0]], -1), torch.stack([sin, cos, shift[..., 1]], -1)]
    flat = images.flatten(0, 1)
    grid = F.affine_grid(torch.stack(rows, -2).flatten(0, 1), list(flat.shape), align_corners=False)
    moved = F.grid_sample(flat, grid, padding_mode="border", align_corners=False)
    return moved.view_as(images)
