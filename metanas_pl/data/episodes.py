"""Episodes as pure functions of (seed, split, index), and the loader that hands them out.

Episode i of epoch e of the training split has the index e * n + i, so the index alone tells what it
holds: the same on every rank, worker and resume. Validation and test lists never change.

Shapes: T tasks, N ways, S support shots, Q queries of a class.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from metanas_pl.data.store import SPLITS, ClassStore


class Episode(NamedTuple):
    """One few-shot task; after :func:`collate` with a leading task dimension T.

    Attributes:
        support_x: ``(N*S, C, H, W)`` float, support_y: ``(N*S,)`` labels 0..N-1.
        query_x: ``(N*Q, C, H, W)`` float in random order, query_y: ``(N*Q,)``.
        index: its number in the split.
    """

    support_x: Tensor
    support_y: Tensor
    query_x: Tensor
    query_y: Tensor
    index: Tensor


class EpisodeDataset(Dataset[Episode]):
    """Episode number i of a split.

    Args:
        store: the images.
        split: ``train``, ``val`` or ``test``.
        n_ways, n_shots, n_queries: size of an episode.
        n_episodes: length of an epoch, or of the fixed list.
        seed: seed of all draws.
        rotations: classes rotated by 90, 180 and 270 degrees are classes of their own.

    Raises:
        ValueError: the split has too few classes, or a class too few images.
    """

    def __init__(
        self,
        store: ClassStore,
        split: str,
        n_ways: int,
        n_shots: int,
        n_queries: int,
        n_episodes: int,
        seed: int = 0,
        rotations: bool = False,
    ) -> None:
        self.store, self.split, self.seed = store, split, seed
        self.n_ways, self.n_shots, self.n_queries = n_ways, n_shots, n_queries
        self.n_episodes = n_episodes
        self.turns = 4 if rotations else 1
        self.classes = store.of_split(split)
        source = store.meta.get("source", store.path.name)
        n_classes = len(self.classes) * self.turns
        if n_ways > n_classes:
            raise ValueError(
                f"data.n_ways={n_ways}, but the {split} split of {source} has {n_classes} classes: "
                f"choose 2..{n_classes}"
            )
        smallest = min(self.classes, key=lambda c: c.count)
        if n_shots + n_queries > smallest.count:
            raise ValueError(
                f"data.n_shots={n_shots} and data.n_queries={n_queries} need "
                f"{n_shots + n_queries} images of each class, but class {smallest.name!r} of "
                f"{source} ({split}) has {smallest.count}"
            )

    def __len__(self) -> int:
        return self.n_episodes

    def __getitem__(self, index: int) -> Episode:
        """Draw N classes, then S + Q images of each; labels are the order of the draw."""
        rng = np.random.default_rng([self.seed, SPLITS.index(self.split), index])
        chosen = rng.choice(len(self.classes) * self.turns, self.n_ways, replace=False)
        per_class = self.n_shots + self.n_queries
        images = np.stack([self._draw(int(c), per_class, rng) for c in chosen])
        x_NKCHW = torch.from_numpy(images).float().div_(255)
        support, query = x_NKCHW.split([self.n_shots, self.n_queries], dim=1)
        labels = torch.arange(self.n_ways)
        order = torch.from_numpy(rng.permutation(self.n_ways * self.n_queries))
        return Episode(
            support.flatten(0, 1),
            labels.repeat_interleave(self.n_shots),
            query.flatten(0, 1)[order],
            labels.repeat_interleave(self.n_queries)[order],
            torch.tensor(index),
        )

    def _draw(self, choice: int, count: int, rng: np.random.Generator) -> np.ndarray:
        info, turn = self.classes[choice // self.turns], choice % self.turns
        rows = info.offset + rng.choice(info.count, count, replace=False)
        return np.ascontiguousarray(np.rot90(self.store.images[rows], turn, axes=(2, 3)))


def collate(episodes: Sequence[Episode]) -> Episode:
    """Stack episodes along a new first dimension."""
    return Episode(*(torch.stack(parts) for parts in zip(*episodes, strict=True)))


class EpisodeSampler(Sampler[int]):
    """Rank r of R takes episodes r, r+R, …: none twice, none added to fill up.

    >>> list(EpisodeSampler(5, rank=1, world_size=2))
    [1, 3]
    """

    def __init__(self, n_episodes: int, rank: int = 0, world_size: int = 1) -> None:
        self.n_episodes, self.rank, self.world_size = n_episodes, rank, world_size
        self.first = 0
        self.skip = 0

    def set_epoch(self, epoch: int) -> None:
        """Move on to the episodes of another epoch (Lightning calls this for training)."""
        self.first = epoch * self.n_episodes

    def __len__(self) -> int:
        return len(range(self.rank, self.n_episodes, self.world_size))

    def __iter__(self) -> Iterator[int]:
        numbers = range(self.rank, self.n_episodes, self.world_size)[self.skip :]
        return (self.first + i for i in numbers)


class FixedEpisodeSampler(EpisodeSampler):
    """The fixed list of validation or test: epochs do not change it."""

    def set_epoch(self, epoch: int) -> None:
        """Stay with the list."""


class EpisodeLoader(DataLoader[Episode]):
    """A loader whose place in the epoch is saved in checkpoints and restored from them.

    The state counts batches handed out, which is the same on every rank.
    """

    def __init__(self, dataset: EpisodeDataset, sampler: EpisodeSampler, **options: Any) -> None:
        super().__init__(dataset, sampler=sampler, collate_fn=collate, **options)
        self._given = 0
        self._resume_at = 0

    def __iter__(self) -> Iterator[Episode]:  # type: ignore[override]
        begin, self._resume_at = self._resume_at, 0
        assert isinstance(self.sampler, EpisodeSampler) and self.batch_size is not None
        self.sampler.skip = begin * self.batch_size
        self._given = begin
        for batch in super().__iter__():
            self._given += 1
            yield batch

    def state_dict(self) -> dict[str, int]:
        """Batches of this epoch that were handed out."""
        return {"batches": self._given}

    def load_state_dict(self, state: dict[str, int]) -> None:
        """Start the next iteration there; a finished epoch means the start of the next."""
        self._resume_at = state["batches"] % len(self)
