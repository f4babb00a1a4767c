"""Episodes of several data sets, each from one of them, as in Meta-Dataset (Triantafillou et al. 2020)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from torch.utils.data import Dataset

from metanas_pl.data.episodes.dataset import Constants, Episode, EpisodeDataset, episode_rng
from metanas_pl.errors import UserError


class MixtureDataset(Dataset[Episode]):
    """Episode ``i`` is that of one of ``parts``, drawn by weight as a function of the same key.

    Args:
        parts: datasets of one split, seed and length, and of images of one shape.
        weights: how often each is drawn; they need not sum to 1. None draws all alike.

    Raises:
        UserError: numbers that do not fit, or images of different shapes.
    """

    def __init__(
        self, parts: Sequence[EpisodeDataset], weights: Sequence[float] | None = None
    ) -> None:
        weights = [1.0] * len(parts) if weights is None else weights
        if len(weights) != len(parts) or min(weights) < 0 or sum(weights) <= 0:
            raise UserError(
                f"data.weights={list(weights)}: give each of the {len(parts)} data sets of "
                "data.source a weight of at least 0, and one of them more"
            )
        shapes = {part.store.meta.name: part.store.image_shape for part in parts}
        if len(set(shapes.values())) > 1:
            raise UserError(f"data.source: images of a mixture need one shape, they have {shapes}")
        self.parts = list(parts)
        self.epoch = 0
        self._shares = np.array(weights, dtype=float) / sum(weights)

    def set_epoch(self, epoch: int) -> None:
        """Chooses the epoch that ``dataset[i]`` refers to."""
        self.epoch = epoch

    def __len__(self) -> int:
        return len(self.parts[0])

    def __getitem__(self, key: int | tuple[int, int]) -> Episode:
        epoch, i = key if isinstance(key, tuple) else (self.epoch, key)
        return self.part_of(epoch, i)[epoch, i]

    def part_of(self, epoch: int, i: int) -> EpisodeDataset:
        """Returns the dataset that gives episode ``i``."""
        first = self.parts[0]
        epoch = epoch if first.split == "train" else 0
        rng = episode_rng(first.seed, first.split, epoch, i, len(self.parts))
        return self.parts[rng.choice(len(self.parts), p=self._shares)]

    def group_of(self, i: int) -> str:
        """Returns the data set that gives validation or test episode ``i``."""
        return self.part_of(0, i).store.meta.name

    def constants_of(self, index: int) -> Constants:
        """Returns what normalised the images of the episode with this number."""
        return self.part_of(*divmod(index, len(self))).constants
