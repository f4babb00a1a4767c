"""Episodes: numbered few-shot tasks, drawn from a :class:`ClassStore` as a pure function.

Episode ``i`` of a split depends on ``(seed, split, epoch, i)`` and on nothing else: not on the
rank, the worker, the order of access or on a resumed run. Shapes: T tasks, N ways, S shots,
Q queries a class, images ``(C, H, W)``.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset, Sampler

from metanas_pl.data.store import SPLITS, ClassInfo, ClassStore


class Episode(NamedTuple):
    """One few-shot task; after :func:`collate` every field has a leading task dimension T.

    Attributes:
        support_x: ``(N*S, C, H, W)`` float32, shot by shot: row ``s * N + k`` is of class ``k``.
        support_y: ``(N*S,)`` int64 labels in ``0 .. N-1``.
        query_x: ``(N*Q, C, H, W)`` float32, in random order.
        query_y: ``(N*Q,)`` int64 labels.
        index: ``()`` int64, the number of the episode in its split; for training counted through
            all epochs, so that it never occurs twice in a run.
    """

    support_x: Tensor
    support_y: Tensor
    query_x: Tensor
    query_y: Tensor
    index: Tensor  # type: ignore[assignment]  # shadows tuple.index, which nobody needs here


EpisodeBatch = Episode
"""An :class:`Episode` whose fields have a leading task dimension."""


def collate(episodes: Sequence[Episode]) -> EpisodeBatch:
    """Stack episodes of equal shapes along a new first dimension.

    >>> episode = Episode(*(torch.zeros(2) for _ in range(4)), torch.tensor(7))
    >>> collate([episode, episode]).index
    tensor([7, 7])
    """
    return Episode(*(torch.stack(parts) for parts in zip(*episodes, strict=True)))


class EpisodeDataset(Dataset[Episode]):
    """The episodes ``0 .. n_episodes-1`` of one split.

    ``dataset[i]`` is episode ``i`` of the current epoch (see :meth:`set_epoch`), and
    ``dataset[epoch, i]`` names the epoch itself. Only the train split has epochs: validation and
    test are one fixed list.

    Args:
        store: where the images are.
        split: ``train``, ``val`` or ``test``.
        n_ways: classes an episode.
        n_shots: support images a class.
        n_queries: query images a class, none of which is in the support.
        n_episodes: length of the list (train: episodes an epoch).
        seed: another seed gives other episodes.
        rotations: turn each train class by 90, 180 and 270 degrees into three more classes;
            without effect on the other splits.

    Raises:
        ValueError: the split has too few classes, or one of them too few images.
    """

    def __init__(
        self,
        store: ClassStore,
        split: str,
        n_ways: int,
        n_shots: int,
        n_queries: int,
        n_episodes: int,
        seed: int,
        rotations: bool = False,
    ) -> None:
        self.store = store
        self.split = split
        self.n_ways = n_ways
        self.n_shots = n_shots
        self.n_queries = n_queries
        self.n_episodes = n_episodes
        self.seed = seed
        self._n_images = n_shots + n_queries  # of a class
        self.turns = 4 if rotations and split == "train" else 1
        self.epoch = 0
        classes = store.classes(split)
        self._offsets = [info.offset for info in classes]
        self._counts = [info.count for info in classes]
        self._check()

    def _check(self) -> None:
        where = f"the {self.split} split of {self.store.meta.name}"
        available = len(self._counts) * self.turns
        if not 0 < self.n_ways <= available:
            raise ValueError(
                f"data.n_ways={self.n_ways}, but {where} has {available} classes: "
                f"choose 2..{available}"
            )
        smallest = min(self._counts)
        if self._n_images > smallest:
            raise ValueError(
                f"data.n_shots={self.n_shots} and data.n_queries={self.n_queries} (data.n_train_* "
                f"in training) need {self._n_images} images a class, but the "
                f"smallest class of {where} has {smallest}: their sum must be at most {smallest}"
            )

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch that ``dataset[i]`` refers to."""
        self.epoch = epoch

    def __len__(self) -> int:
        return self.n_episodes

    def __getitem__(self, key: int | tuple[int, int]) -> Episode:
        epoch, i = self._located(key)
        rng = self._generator(epoch, i)
        classes = self._choose(rng)
        images = np.stack([self._draw(rng, int(k)) for k in classes], axis=1)
        shape = images.shape[2:]
        labels = np.arange(self.n_ways)
        order = rng.permutation(self.n_ways * self.n_queries)
        query = images[self.n_shots :].reshape(-1, *shape)
        return Episode(
            self._to_float(images[: self.n_shots].reshape(-1, *shape)),
            torch.from_numpy(np.tile(labels, self.n_shots)),
            self._to_float(query[order]),
            torch.from_numpy(np.tile(labels, self.n_queries)[order]),
            torch.tensor(epoch * self.n_episodes + i),
        )

    def episode_classes(self, key: int | tuple[int, int]) -> list[ClassInfo]:
        """The classes that labels ``0 .. N-1`` of episode ``key`` stand for, turned or not."""
        numbers = self._choose(self._generator(*self._located(key)))
        classes = self.store.classes(self.split)
        return [classes[number // self.turns] for number in numbers]

    def _located(self, key: int | tuple[int, int]) -> tuple[int, int]:
        """Epoch and number of an episode."""
        epoch, i = key if isinstance(key, tuple) else (self.epoch, key)
        if not 0 <= i < self.n_episodes:
            raise IndexError(f"episode {i} is outside 0..{self.n_episodes - 1}")
        return (epoch if self.split == "train" else 0), i

    def _choose(self, rng: np.random.Generator) -> np.ndarray:
        """The numbers of the classes of an episode, in the order of its labels."""
        return rng.choice(len(self._counts) * self.turns, self.n_ways, replace=False)

    def _generator(self, epoch: int, i: int) -> np.random.Generator:
        key = [self.seed, SPLITS.index(self.split), epoch, i]
        return np.random.Generator(np.random.Philox(np.random.SeedSequence(key)))

    def _draw(self, rng: np.random.Generator, number: int) -> np.ndarray:
        """S + Q different images of one class, ``(S+Q, C, H, W)``."""
        k, turn = divmod(number, self.turns)
        rows = rng.choice(self._counts[k], self._n_images, replace=False)
        images = self.store.images[self._offsets[k] + rows]
        return np.rot90(images, turn, axes=(2, 3)) if turn else images

    def _to_float(self, images: np.ndarray) -> Tensor:
        """uint8 to [0, 1], and to zero mean and unit variance if the store has statistics."""
        pixels = torch.from_numpy(np.ascontiguousarray(images)).float().div_(255)
        if self.store.mean is None or self.store.std is None:
            return pixels
        mean = torch.tensor(self.store.mean).view(-1, 1, 1)
        return pixels.sub_(mean).div_(torch.tensor(self.store.std).view(-1, 1, 1))


class EpisodeSampler(Sampler[tuple[int, int]]):
    """The keys ``(epoch, i)`` of one rank: ``i = start + rank, start + rank + world_size, …``

    Nothing is padded or repeated: the ranks together take every episode from ``start`` on once.

    Args:
        n_episodes: episodes an epoch, over all ranks.
        rank: this process, ``0 .. world_size-1``.
        world_size: number of processes.

    Attributes:
        epoch: the epoch of the keys.
        start: episodes of this epoch that are already done; 0 unless resumed in mid-epoch.

    >>> [i for _, i in EpisodeSampler(5, rank=1, world_size=2)]
    [1, 3]
    """

    def __init__(self, n_episodes: int, rank: int = 0, world_size: int = 1) -> None:
        self.n_episodes = n_episodes
        self.rank = rank
        self.world_size = world_size
        self.epoch = 0
        self.start = 0

    def set_epoch(self, epoch: int) -> None:
        """Go to the beginning of ``epoch``, or stay where we are if this is the epoch already."""
        if epoch != self.epoch:
            self.epoch, self.start = epoch, 0

    def __len__(self) -> int:
        """Episodes of this rank in a whole epoch, wherever it starts."""
        return len(range(self.rank, self.n_episodes, self.world_size))

    def __iter__(self) -> Iterator[tuple[int, int]]:
        for i in range(self.start + self.rank, self.n_episodes, self.world_size):
            yield self.epoch, i
