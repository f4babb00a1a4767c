"""Augmentation of episodes: every image is changed a little, by numbers of its own.

It runs on a whole meta-batch, on the device the episodes are on. What happens to an image depends on the
seed and the number of its episode, so it is the same on any number of ranks and workers.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from metanas_pl.data.episodes import transforms
from metanas_pl.data.episodes.dataset import Episode
from metanas_pl.errors import UserError

if TYPE_CHECKING:
    from metanas_pl.types import Settings

SETS = ("both", "support", "query")
_AFFINE, _OTHERS = (
    4,
    6,
)  # numbers of an image: angle, scale, two shifts; crop (two), flip, three colours


class Augmentation(NamedTuple):
    """What may happen to an image; 0 leaves a transform out.

    Attributes:
        shift, rotation, scale: largest move in pixels, turn in degrees and change of size (0.1: by up to
            10 %), each drawn uniformly between minus and plus it.
        crop: black pixels around an image, out of which a piece of its size is cut.
        flip: mirror left and right, half of the time.
        brightness, contrast, saturation: largest change of the factor 1 of each (at most 1).
        sets: ``both``, ``support`` or ``query``: which images.
        at_test: validation and test episodes, too.
    """

    shift: float = 0.0
    rotation: float = 0.0
    scale: float = 0.0
    crop: int = 0
    flip: bool = False
    brightness: float = 0.0
    contrast: float = 0.0
    saturation: float = 0.0
    sets: str = "both"
    at_test: bool = False

    @classmethod
    def of(cls, settings: Settings) -> Augmentation:
        """Makes one from a mapping of some of the fields.

        Raises:
            UserError: one is unknown.
        """
        if unknown := set(settings) - set(cls._fields):
            known = ", ".join(cls._fields)
            raise UserError(f"augment: {unknown.pop()} is unknown, known are {known}")
        if settings.get("sets", "both") not in SETS:
            raise UserError(f"augment: sets={settings['sets']}, choose one of {', '.join(SETS)}")
        return cls(**settings)

    @property
    def changes(self) -> bool:
        """Whether anything happens at all."""
        return any(self[: self._fields.index("sets")])


def augment(
    batch: Episode, seed: int, how: Augmentation, mean: Tensor | float = 0, std: Tensor | float = 1
) -> Episode:
    """Returns episodes whose images are changed, each in a way of its own.

    Args:
        batch: episodes with a leading task dimension.
        seed: of the episodes.
        how: the transforms and their limits.
        mean, std: what the images in [0, 1] were normalised by, ``(T, C)``.

    >>> x, y = torch.rand(1, 2, 1, 8, 8), torch.tensor([[0, 1]])
    >>> batch = Episode(x, y, x, y, torch.tensor([3]))
    >>> after = augment(batch, 0, Augmentation(flip=True, sets="query"))
    >>> torch.equal(after.support_x, x), after.query_x.shape
    (True, torch.Size([1, 2, 1, 8, 8]))
    """
    mean, std = (v[:, None, :, None, None] if isinstance(v, Tensor) else v for v in (mean, std))
    parts = {}
    for name, draws in zip(("support", "query"), _draws(seed, batch), strict=True):
        if how.sets in ("both", name):
            normalised = getattr(batch, f"{name}_x")
            images = normalised * std + mean
            changed = _changed(images.flatten(0, 1), draws.flatten(0, 1), how).view_as(images)
            parts[f"{name}_x"] = (changed - mean) / std
    return batch._replace(**parts)


def _draws(seed: int, batch: Episode) -> tuple[Tensor, Tensor]:
    """Returns numbers in [-1, 1) for each support and query image, ``(T, S, 10)`` and ``(T, Q, 10)``.

    Rows without an image get zeros: they must not shift the numbers of the images after them.
    """
    labels, numbers = (batch.support_y, batch.query_y), tuple[list[Tensor], list[Tensor]](([], []))
    sizes = zip(*((y >= 0).sum(1).tolist() for y in labels), strict=True)
    for index, of_sets in zip(batch.index.tolist(), sizes, strict=True):
        rng = np.random.Generator(np.random.Philox(np.random.SeedSequence([seed, index])))
        blocks = [rng.uniform(-1, 1, (sum(of_sets), n)) for n in (_AFFINE, _OTHERS)]
        drawn = torch.from_numpy(np.concatenate(blocks, 1)).float()
        for rows, y, numbers_of_set in zip(drawn.split(of_sets), labels, numbers, strict=True):
            numbers_of_set.append(F.pad(rows, (0, 0, 0, y.shape[1] - len(rows))))
    support, query = (torch.stack(rows).to(batch.support_x) for rows in numbers)
    return support, query


def _changed(images: Tensor, draws: Tensor, how: Augmentation) -> Tensor:
    """Returns images ``(n, C, H, W)`` in [0, 1] under the transforms that ``how`` asks for."""
    angle, scale, shift_x, shift_y, crop_y, crop_x, mirror, *colours = draws.unbind(-1)
    for name, number in zip(("brightness", "contrast", "saturation"), colours, strict=True):
        if limit := getattr(how, name):
            images = getattr(transforms, name)(images, 1 + limit * number)
    if how.shift or how.rotation or how.scale:
        shift = torch.stack([shift_x, shift_y], -1) * (2 * how.shift / images.shape[-1])
        turn = math.radians(how.rotation) * angle
        images = transforms.warp(images, turn, 1 + how.scale * scale, shift)
    if how.crop:
        places = 2 * how.crop + 1
        down, right = (
            ((u + 1) / 2 * places).long().clamp(max=places - 1) for u in (crop_y, crop_x)
        )
        images = transforms.crop(images, down, right, how.crop)
    return transforms.flip(images, mirror < 0) if how.flip else images
