"""The tasks of an outer step, over all ranks: their scores, and which came to no finite meta-gradient."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor

from metanas_pl.training.ranks import of_all_ranks

if TYPE_CHECKING:
    from pytorch_lightning.strategies import Strategy


class OuterStep(NamedTuple):
    """What an outer step was, over all ranks and accumulated batches.

    Attributes:
        n_tasks: all tasks.
        n_finite: those with a finite meta-gradient.
        scores: means over the latter, NaN without any.
        skipped: numbers of the episodes of the others.
    """

    n_tasks: int
    n_finite: int
    scores: Tensor
    skipped: list[int]


class TaskCounter:
    """Counts over ranks and accumulated batches, one outer step after the other.

    Attributes:
        n_skipped: tasks skipped in this run.
    """

    def __init__(self) -> None:
        self.n_skipped = 0
        self._last: OuterStep | None = None
        self._batches: list[tuple[Tensor, Tensor, Tensor]] = []

    def add(self, index: Tensor, finite: Tensor, scores: Tensor) -> None:
        """Adds a batch of this rank.

        Args:
            index: numbers of its episodes, ``(T,)``.
            finite: which of them have a finite meta-gradient, ``(T,)``.
            scores: means over these, ``(S,)``; anything without one.
        """
        self._batches.append((index, finite, scores))

    def close_step(self, strategy: Strategy) -> OuterStep:
        """Ends an outer step, with one exchange between the ranks.

        Args:
            strategy: Lightning's.
        """
        sums = torch.stack([_sums(finite, scores) for _, finite, scores in self._batches]).sum(0)
        sums = strategy.reduce(sums, reduce_op="sum")
        n_tasks, n_finite = (int(count) for count in sums[:2].tolist())
        missed = [index[~finite] for index, finite, _ in self._batches]
        skipped = sorted(of_all_ranks(torch.cat(missed).tolist())) if n_finite < n_tasks else []
        self._batches = []
        self.n_skipped += n_tasks - n_finite
        self._last = OuterStep(n_tasks, n_finite, sums[2:] / n_finite, skipped)
        return self._last

    def take(self) -> OuterStep | None:
        """Returns the outer step that ended since the last call; None if there is none."""
        last, self._last = self._last, None
        return last


def _sums(finite: Tensor, scores: Tensor) -> Tensor:
    """Returns numbers of tasks and of finite tasks, and sums of scores over the latter."""
    scores = scores.detach().to(torch.promote_types(scores.dtype, torch.float32))
    n_finite = finite.sum().to(scores)
    total = torch.where(n_finite > 0, scores * n_finite, 0)
    return torch.cat([torch.full_like(total[:1], finite.numel()), n_finite.view(1), total])
