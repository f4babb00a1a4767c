"""Accuracy of episodes, and means over episodes with their 95 % intervals.

An interval is the half-width ``1.96 * s / sqrt(n)`` over ``n`` episodes, ``s`` the sample standard
deviation (divisor ``n - 1``): the convention of the few-shot literature.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torchmetrics import Metric

from metanas_pl.errors import UserError

_Z95 = 1.96


def episode_accuracy(logits: Tensor, y: Tensor) -> Tensor:
    """Fraction of each episode's queries that are classified correctly; a negative label is no query.

    Args:
        logits: ``(..., Q, N)`` scores of Q queries for N classes.
        y: ``(..., Q)`` class indices.

    Returns:
        ``(...)`` accuracies between 0 and 1.

    Raises:
        UserError: the shapes do not belong together.

    >>> episode_accuracy(torch.tensor([[[2.0, 1.0], [0.0, 3.0]]]), torch.tensor([[0, 0]]))
    tensor([0.5000])
    """
    if logits.shape[:-1] != y.shape:
        raise UserError(
            f"logits {tuple(logits.shape)} and y {tuple(y.shape)} do not match: "
            "give (..., Q, N) and (..., Q)"
        )
    return (logits.argmax(-1) == y).sum(-1) / (y >= 0).sum(-1)


def mean_interval95(values: Tensor) -> tuple[float, float]:
    """Mean of ``values (T,)`` and the half-width of its 95 % interval, in float64.

    One value has the interval 0; no value has mean and interval NaN.

    Raises:
        UserError: ``values`` is not one value per episode.

    >>> mean, interval = mean_interval95(torch.tensor([0.4, 0.6, 0.8]))
    >>> f"{mean:.2f} +- {interval:.3f}"
    '0.60 +- 0.226'
    """
    values = _per_episode(values)
    n = torch.tensor(values.numel(), device=values.device)
    mean = values.mean()
    return mean.item(), _half_width(n, (values - mean).square().sum()).item()


def paired_gain95(a: Tensor, b: Tensor) -> tuple[float, float]:
    """Mean of ``b - a`` over the same episodes, and the half-width of its 95 % interval.

    Pairing removes the difficulty of the episodes, so it resolves smaller differences between two
    models than their two separate intervals do.

    Args:
        a: ``(T,)`` one value per episode of the model to compare with.
        b: ``(T,)`` values of the other model on the same episodes in the same order.

    Raises:
        UserError: the numbers of episodes differ.

    >>> gain, interval = paired_gain95(torch.tensor([0.2, 0.9]), torch.tensor([0.3, 1.0]))
    >>> f"{gain:.2f} +- {interval:.2f}"
    '0.10 +- 0.00'
    """
    if a.shape != b.shape:
        raise UserError(
            f"a {tuple(a.shape)} and b {tuple(b.shape)} must hold the same episodes: "
            "evaluate both models on one list of episodes"
        )
    return mean_interval95(b.double() - a.double())


class EpisodeMean(Metric):
    """Mean of a per-episode value and its 95 % interval, exact over batches and ranks.

    The states are float64 sums, so ranks may hold different numbers of episodes. Logging the metric
    in Lightning (``self.log("test/accuracy", metric)``) logs the mean.

    Args:
        kwargs: options of :class:`torchmetrics.Metric` on synchronisation.

    >>> metric = EpisodeMean()
    >>> metric.update(torch.tensor([0.4, 0.6]))
    >>> metric.update(torch.tensor([0.8]))
    >>> print(f"{metric.compute():.2f} +- {metric.interval95():.3f}")
    0.60 +- 0.226
    """

    full_state_update = False
    is_differentiable = False

    n: Tensor
    total: Tensor
    squares: Tensor

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        for name in ("n", "total", "squares"):
            self.add_state(name, torch.zeros((), dtype=torch.float64), dist_reduce_fx="sum")

    def update(self, values: Tensor) -> None:
        """Add episodes.

        Args:
            values: ``(T,)`` one value per episode.

        Raises:
            UserError: ``values`` has another number of dimensions.
        """
        values = _per_episode(values)
        self.n += values.numel()
        self.total += values.sum()
        self.squares += values.square().sum()

    def compute(self) -> Tensor:
        """Mean over all episodes, a float64 scalar; NaN without any."""
        return self.total / self.n

    def interval95(self) -> Tensor:
        """Half-width of the 95 % interval of the mean, a float64 scalar.

        0 for one episode, NaN for none. With several ranks it is a collective operation: call it on
        all of them, before the metric is reset.
        """
        local = not self._is_synced
        with self.sync_context(self.dist_sync_fn, should_sync=local, should_unsync=local):
            return _half_width(self.n, self.squares - self.total.square() / self.n)


def _per_episode(values: Tensor) -> Tensor:
    """``values`` without gradient in float64; refused unless there is one per episode."""
    if values.ndim != 1:
        raise UserError(
            f"values {tuple(values.shape)} must have shape (T,), one value per episode: "
            "average within each episode first"
        )
    return values.detach().double()


def _half_width(n: Tensor, squared_deviations: Tensor) -> Tensor:
    """``1.96 s / sqrt(n)`` from the sum of squared deviations from the mean; 0 for n = 1."""
    variance = squared_deviations.clamp(min=0) / (n - 1).clamp(min=1)
    return _Z95 * (variance / n).sqrt()


def pixel_nearest_neighbour(episode: Any) -> Tensor:
    """Accuracy of a nearest neighbour on pixels, per task: the floor that learning must beat.

    Args:
        episode: a batch of T episodes.

    Returns:
        Accuracies, shape ``(T,)``.
    """
    pixels = (x.flatten(2).float() for x in (episode.query_x, episode.support_x))
    distance_TQS = torch.cdist(*pixels)  # which takes no half precision
    n_ways = int(episode.support_y.max()) + 1
    classes = episode.support_y.unsqueeze(-1) == torch.arange(n_ways, device=distance_TQS.device)
    nearest = distance_TQS.unsqueeze(-1).masked_fill(~classes.unsqueeze(1), torch.inf).amin(2)
    return episode_accuracy(-nearest, episode.query_y)
