"""Training tasks that came to no finite meta-gradient: how many, and which."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor


class OuterStep(NamedTuple):
    """Tasks of an outer step, over all ranks, and the numbers of the episodes that were skipped."""

    n_tasks: int
    skipped: list[int]


class SkippedTasks:
    """Counts over ranks and accumulated batches, one outer step after the other.

    Attributes:
        total: tasks skipped in this run.
    """

    def __init__(self) -> None:
        self.total = 0
        self._last: OuterStep | None = None
        self._batches: list[tuple[Tensor, Tensor]] = []

    def add(self, index: Tensor, finite: Tensor) -> None:
        """A batch of this rank: numbers of its episodes ``(T,)`` and which are finite ``(T,)``."""
        self._batches.append((index, finite))

    def close_step(self, strategy: Any) -> tuple[int, int]:
        """End an outer step; returns its tasks and how many of them are finite, on all ranks together.

        Args:
            strategy: Lightning's.
        """
        index, finite = (torch.cat(parts) for parts in zip(*self._batches, strict=True))
        self._batches = []
        counts = torch.stack([torch.ones_like(finite).sum(), finite.sum()])
        n_tasks, n_finite = strategy.reduce(counts, reduce_op="sum").tolist()
        self.total += n_tasks - n_finite
        skipped = _of_all_ranks(index[~finite].tolist()) if n_finite < n_tasks else []
        self._last = OuterStep(n_tasks, skipped)
        return n_tasks, n_finite

    def take(self) -> OuterStep | None:
        """The outer step that ended since the last call; None if there is none."""
        last, self._last = self._last, None
        return last


def _of_all_ranks(episodes: list[int]) -> list[int]:
    parts = [episodes]
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        parts = [[] for _ in range(torch.distributed.get_world_size())]
        torch.distributed.all_gather_object(parts, episodes)
    return sorted(episode for part in parts for episode in part)
