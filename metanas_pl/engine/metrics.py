"""Accuracy of episodes, and means over episodes with their 95 % intervals.

An interval is the half-width ``t * s / sqrt(n)`` over ``n`` episodes, ``s`` the sample standard deviation
(divisor ``n - 1``). From 30 episodes on t is 1.96, the convention of the few-shot literature; for fewer it
is the quantile of Student's t distribution.

Shapes: T tasks or episodes, S support images, Q queries, N ways; ``*T`` is nothing for one task.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torchmetrics import Metric

from metanas_pl.errors import UserError
from metanas_pl.types import Episodes

if TYPE_CHECKING:
    from jaxtyping import Float, Int

_Z95 = 1.96
# fmt: off
_T95 = (
    12.7062, 4.3027, 3.1824, 2.7764, 2.5706, 2.4469, 2.3646, 2.3060, 2.2622, 2.2281,
    2.2010, 2.1788, 2.1604, 2.1448, 2.1314, 2.1199, 2.1098, 2.1009, 2.0930, 2.0860,
    2.0796, 2.0739, 2.0687, 2.0639, 2.0595, 2.0555, 2.0518, 2.0484,
)
# fmt: on
"""The 97.5 % quantile of Student's t for 1, 2, … degrees of freedom."""


def episode_accuracy(logits: Tensor, y: Tensor) -> Float[Tensor, "*T"]:
    """Returns the fraction of each episode's queries that are classified correctly, between 0 and 1.

    Args:
        logits: ``(*T, Q, N)`` scores of Q queries for N classes.
        y: ``(*T, Q)`` class indices; a negative label is no query.

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


def sound_accuracy(logits: Float[Tensor, "Q N"], y: Int[Tensor, " Q"]) -> Float[Tensor, ""]:
    """Returns :func:`episode_accuracy` of one episode, NaN if logits of a query are NaN or infinite.

    Minus infinity is the logit of a class that the episode does not have.

    >>> sound_accuracy(torch.tensor([[2.0, 1.0], [0.0, torch.nan]]), torch.tensor([0, 0]))
    tensor(nan)
    """
    sound = (logits < torch.inf).all(-1) | (y < 0)
    return torch.where(sound.all(), episode_accuracy(logits, y), torch.nan)


def mean_interval95(values: Tensor) -> tuple[float, float]:
    """Returns the mean of ``values (T,)`` and the half-width of its 95 % interval, in float64.

    The interval of one value is NaN, as nothing is known of it; without values the mean is NaN, too.

    Raises:
        UserError: ``values`` is not one value per episode.

    >>> mean, interval = mean_interval95(torch.tensor([0.4, 0.6, 0.8]))
    >>> f"{mean:.2f} +- {interval:.3f}"
    '0.60 +- 0.497'
    """
    values = _per_episode(values).cpu().double()
    n = torch.tensor(values.numel(), device=values.device)
    mean = values.mean()
    return mean.item(), _half_width(n, (values - mean).square().sum()).item()


def paired_gain95(a: Tensor, b: Tensor) -> tuple[float, float]:
    """Returns the mean of ``b - a`` over the same episodes, and the half-width of its 95 % interval.

    Pairing removes the difficulty of the episodes, so it resolves smaller differences between two
    models than their two separate intervals do.

    Args:
        a: ``(T,)`` one value for each episode, of the model to compare with.
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
    return mean_interval95(b.cpu().double() - a.cpu().double())


class EpisodeMean(Metric):
    """Mean of a per-episode value and its 95 % interval, exact over batches and ranks.

    The states are sums, so ranks may hold different numbers of episodes: in float64, or float32 on a device
    that has no other, such as Apple's MPS. Logging the metric in Lightning
    (``self.log("test/accuracy", metric)``) logs the mean.

    Args:
        kwargs: options of :class:`torchmetrics.Metric` on synchronisation.

    >>> metric = EpisodeMean()
    >>> metric.update(torch.tensor([0.4, 0.6]))
    >>> metric.update(torch.tensor([0.8]))
    >>> print(f"{metric.compute():.2f} +- {metric.interval95():.3f}")
    0.60 +- 0.497
    """

    full_state_update = False
    is_differentiable = False

    n: Tensor
    total: Tensor
    squares: Tensor

    def __init__(self, **kwargs: object) -> None:
        super().__init__(**kwargs)
        for name in ("n", "total", "squares"):
            self.add_state(name, torch.zeros((), dtype=torch.float64), dist_reduce_fx="sum")

    def update(self, values: Tensor) -> None:
        """Adds episodes.

        Args:
            values: ``(T,)`` one for each episode.

        Raises:
            UserError: ``values`` has another number of dimensions.
        """
        values = _per_episode(values).to(self.total.dtype)
        self.n += values.numel()
        self.total += values.sum()
        self.squares += values.square().sum()

    def _apply(
        self, fn: Callable[[Tensor], Tensor], exclude_state: Sequence[str] = ""
    ) -> torch.nn.Module:
        try:
            return super()._apply(fn, exclude_state)
        except TypeError:  # there is no float64 where it goes
            return super().set_dtype(torch.float32)._apply(fn, exclude_state)

    def compute(self) -> Float[Tensor, ""]:
        """Returns the mean over all episodes, a float64 scalar; NaN without any."""
        return self.total / self.n

    def interval95(self) -> Float[Tensor, ""]:
        """Returns the half-width of the 95 % interval of the mean, a float64 scalar.

        NaN for one episode, and for none. With several ranks it is a collective operation: call it on
        all of them, before the metric is reset.
        """
        local = not self._is_synced
        with self.sync_context(self.dist_sync_fn, should_sync=local, should_unsync=local):
            return _half_width(self.n, self.squares - self.total.square() / self.n)


def _per_episode(values: Tensor) -> Tensor:
    """``values`` without gradient; refused unless there is one per episode."""
    if values.ndim != 1:
        raise UserError(
            f"values {tuple(values.shape)} must have shape (T,), one value per episode: "
            "average within each episode first"
        )
    return values.detach()


def _half_width(n: Tensor, squared_deviations: Tensor) -> Tensor:
    """``t s / sqrt(n)`` from the sum of squared deviations from the mean; NaN for n = 1."""
    variance = squared_deviations.clamp(min=0) / (n - 1)
    quantile = _T95[int(n) - 2] if 2 <= n < 2 + len(_T95) else _Z95
    return quantile * (variance / n).sqrt()


def pixel_nearest_neighbour(episode: Episodes) -> Float[Tensor, " T"]:
    """Returns the accuracy of a nearest neighbour on pixels, of each task: the floor to beat."""
    queries, known = (x.flatten(2).float() for x in (episode.query_x, episode.support_x))
    distance_TQS = torch.cdist(queries, known)  # which takes no half precision
    n_ways = int(episode.support_y.max()) + 1
    classes = episode.support_y.unsqueeze(-1) == torch.arange(n_ways, device=distance_TQS.device)
    nearest = distance_TQS.unsqueeze(-1).masked_fill(~classes.unsqueeze(1), torch.inf).amin(2)
    return episode_accuracy(-nearest, episode.query_y)
