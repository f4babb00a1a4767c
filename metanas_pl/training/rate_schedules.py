"""Schedules of the outer rates, over steps or over time."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from metanas_pl.config import OuterConfig

if TYPE_CHECKING:
    import pytorch_lightning as pl


def learning_rate_factor(outer: OuterConfig, step: int, total: float) -> float:
    """Returns factor on the outer rates at ``step`` of ``total`` (0 < total): constant, linear or cosine.

    >>> learning_rate_factor(OuterConfig(schedule="linear"), 25, 100)
    0.75
    """
    done = min(step / total, 1.0) if 0 < total < math.inf else 0.0
    if outer.schedule == "linear":
        return 1.0 - done
    if outer.schedule == "cosine":
        return 0.5 * (1.0 + math.cos(math.pi * done))
    return 1.0


def fraction_of_time(trainer: pl.Trainer) -> float | None:
    """Returns how much of its time a training has used, by the clock that ends it (``trainer.max_time``).

    None without such a clock: a callback with ``time_elapsed()`` and ``time_remaining()``, as
    Lightning's Timer. Rank 0 tells the others.
    """
    callbacks = trainer.callbacks  # type: ignore[attr-defined]
    clocks = [c for c in callbacks if hasattr(c, "time_remaining")]
    if not clocks:
        return None
    elapsed, remaining = clocks[0].time_elapsed(), clocks[0].time_remaining() or 0.0
    used = elapsed / max(elapsed + remaining, 1e-9)
    return float(trainer.strategy.broadcast(used))
