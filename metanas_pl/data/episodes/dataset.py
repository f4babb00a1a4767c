"""Episodes: numbered few-shot tasks, drawn from a :class:`ClassStore` as a pure function.

Episode ``i`` of a split depends on ``(seed, split, epoch, i)`` and on nothing else: not on the
rank, the worker, the order of access or on a resumed run. Shapes: T tasks, N ways, S shots,
Q queries per class, images ``(C, H, W)``; N, S and Q may differ from episode to episode.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence
from torch.utils.data import Dataset, Sampler

from metanas_pl.data.episodes.composition import (
    Composition,
    check_composition,
    draw_classes,
    draw_counts,
    pools_of,
)
from metanas_pl.data.store.class_store import SPLITS, ClassInfo, ClassStore
from metanas_pl.utils.ranges import Range

IGNORED = -100
"""Label of a row without an image; ``torch.nn.functional.cross_entropy`` passes over it."""

Constants = tuple[list[float] | None, list[float] | None]
"""Mean and standard deviation of each channel, or None and None."""


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
    """Stacks episodes along a new first dimension; smaller ones are filled up at the end.

    Rows that fill up are zeros with the label ``IGNORED``, which no loss and no statistics count.

    >>> small, large = (Episode(*(torch.zeros(n) for _ in range(4)), torch.tensor(n)) for n in (1, 2))
    >>> batch = collate([small, large])
    >>> batch.index, batch.support_y
    (tensor([1, 2]), tensor([[   0., -100.],
            [   0.,    0.]]))
    """
    fills = (0, IGNORED, 0, IGNORED, 0)
    parts = zip(zip(*episodes, strict=True), fills, strict=True)
    return Episode(*(_stacked(part, fill) for part, fill in parts))


def _stacked(parts: Sequence[Tensor], fill: int) -> Tensor:
    if len({part.shape for part in parts}) > 1:
        return pad_sequence(list(parts), batch_first=True, padding_value=fill)
    return torch.stack(list(parts))


class EpisodeDataset(Dataset[Episode]):
    """The episodes ``0 .. n_episodes-1`` of one split.

    ``dataset[i]`` is episode ``i`` of the current epoch (see :meth:`set_epoch`), and
    ``dataset[epoch, i]`` names the epoch itself. Only the train split has epochs: validation and
    test are one fixed list.

    Args:
        store: where the images are.
        split: ``train``, ``val`` or ``test``.
        n_ways: classes an episode, a number or a range ``[least, largest]``.
        n_shots: support images per class, a number or a range.
        n_queries: query images per class, none of which is in the support.
        n_episodes: length of the list (train: episodes per epoch).
        seed: another seed gives other episodes.
        rotations: turn each train class by 90, 180 and 270 degrees into three more classes;
            without effect on the other splits.
        more: ``sampling``, ``shots_per``, ``small_classes``: see
            :class:`~metanas_pl.data.episodes.composition.Composition`.

    Attributes:
        constants: mean and standard deviation of each channel, by which images are normalised; the
            store's own at first. ``(None, None)`` leaves images in [0, 1].

    Raises:
        ValueError: the split has too few classes, or one of them too few images.
    """

    def __init__(
        self,
        store: ClassStore,
        split: str,
        n_ways: Range,
        n_shots: Range,
        n_queries: int,
        n_episodes: int,
        seed: int,
        rotations: bool = False,
        **more: str,
    ) -> None:
        self.store = store
        self.split = split
        self.n_episodes = n_episodes
        self.seed = seed
        self.composition = Composition(n_ways, n_shots, n_queries, **more)
        self.turns = 4 if rotations and split == "train" else 1
        self.epoch = 0
        self.constants = store.mean, store.std
        classes = store.classes(split)
        where = f"the {split} split of {store.meta.name}"
        check_composition(classes, self.turns, self.composition, where)
        self._offsets = np.array([info.offset for info in classes])
        self._counts = np.array([info.count for info in classes])
        self._pools = pools_of(classes, self.turns, self.composition)

    def set_epoch(self, epoch: int) -> None:
        """Chooses the epoch that ``dataset[i]`` refers to."""
        self.epoch = epoch

    def __len__(self) -> int:
        return self.n_episodes

    def __getitem__(self, key: int | tuple[int, int]) -> Episode:
        epoch, i = self._located(key)
        rng = episode_rng(self.seed, self.split, epoch, i)
        classes, turns = self._choose(rng)
        n_support, n_query = draw_counts(rng, self._counts[classes], self.composition)
        n_images = n_support + n_query
        rows = np.concatenate(
            [
                offset + rng.choice(count, n, replace=False)
                for offset, count, n in zip(
                    self._offsets[classes], self._counts[classes], n_images, strict=True
                )
            ]
        )
        first = np.cumsum(n_images) - n_images  # of each class, in rows
        shot, support_y = _in_turn(n_support)
        order = rng.permutation(n_query.sum())
        rank, query_y = (column[order] for column in _in_turn(n_query))
        return Episode(
            self._images(rows[first[support_y] + shot], turns[support_y]),
            torch.from_numpy(support_y),
            self._images(rows[(first + n_support)[query_y] + rank], turns[query_y]),
            torch.from_numpy(query_y),
            torch.tensor(epoch * self.n_episodes + i),
        )

    def episode_classes(self, key: int | tuple[int, int]) -> list[ClassInfo]:
        """Returns the classes that labels ``0 .. N-1`` of episode ``key`` stand for, turned or not."""
        numbers, _ = self._choose(episode_rng(self.seed, self.split, *self._located(key)))
        classes = self.store.classes(self.split)
        return [classes[number] for number in numbers]

    def group_of(self, i: int) -> str:
        """Returns the group of the classes of validation or test episode ``i``; empty if of several."""
        groups = {info.group for info in self.episode_classes(i)}
        return groups.pop() if len(groups) == 1 else ""

    def constants_of(self, index: int) -> Constants:
        """Returns what normalised the images of the episode with this number."""
        return self.constants

    def _located(self, key: int | tuple[int, int]) -> tuple[int, int]:
        """Returns epoch and number of an episode."""
        epoch, i = key if isinstance(key, tuple) else (self.epoch, key)
        if not 0 <= i < self.n_episodes:
            raise IndexError(f"episode {i} is outside 0..{self.n_episodes - 1}")
        return (epoch if self.split == "train" else 0), i

    def _choose(self, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """Returns the number and quarter turns of each class of an episode, in the order of its labels."""
        drawn = draw_classes(rng, self._pools, self.composition)
        classes, turns = np.divmod(drawn, self.turns)
        return classes, turns

    def _images(self, rows: np.ndarray, turns: np.ndarray) -> Tensor:
        """Returns images of the store, each turned by quarter turns, as float32.

        From uint8 to [0, 1], and to zero mean and unit variance if there are constants.
        """
        images = self.store.images[rows]
        for turn in range(1, self.turns):
            images[turns == turn] = np.rot90(images[turns == turn], turn, axes=(2, 3))
        pixels = torch.from_numpy(images).float().div_(255)
        mean, std = self.constants
        if mean is None or std is None:
            return pixels
        return pixels.sub_(_by_channel(mean)).div_(_by_channel(std))


def episode_rng(*key: int | str) -> np.random.Generator:
    """Returns the generator of an episode, by (seed, split, epoch, number) and what it is drawn for."""
    words = [SPLITS.index(word) if isinstance(word, str) else word for word in key]
    return np.random.Generator(np.random.Philox(np.random.SeedSequence(words)))


def _in_turn(counts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns number in its class, and class, of all images: classes take turns while they have some.

    >>> _in_turn(np.array([2, 1]))
    (array([0, 0, 1]), array([0, 1, 0]))
    """
    number, k = np.nonzero(np.arange(counts.max())[:, None] < counts)
    return number, k


def _by_channel(values: Sequence[float]) -> Tensor:
    return torch.tensor(values).view(-1, 1, 1)


class EpisodeSampler(Sampler[tuple[int, int]]):
    """The keys ``(epoch, i)`` of one rank: ``i = start + rank, start + rank + world_size, …``

    Nothing is padded or repeated: the ranks together take every episode from ``start`` on once.

    Args:
        n_episodes: episodes per epoch, over all ranks.
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
        """Goes to the beginning of ``epoch``, or stays if this is the epoch already."""
        if epoch != self.epoch:
            self.epoch, self.start = epoch, 0

    def __len__(self) -> int:
        """Returns the number of episodes of this rank in a whole epoch, wherever it starts."""
        return len(range(self.rank, self.n_episodes, self.world_size))

    def __iter__(self) -> Iterator[tuple[int, int]]:
        for i in range(self.start + self.rank, self.n_episodes, self.world_size):
            yield self.epoch, i
