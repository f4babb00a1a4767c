"""Two sides timed in turn, so that both meet the same machine, and the ratio between them."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Sequence
from statistics import median, quantiles
from typing import Any, NamedTuple

Clock = Callable[[], float]


class Spread(NamedTuple):
    """Median and quartiles of repeated measurements."""

    median: float
    low: float
    high: float


def spread(values: Sequence[float]) -> Spread:
    """Median and quartiles.

    >>> spread([1.0, 2.0, 3.0, 4.0, 9.0])
    Spread(median=3.0, low=2.0, high=4.0)
    """
    if len(values) == 1:
        return Spread(values[0], values[0], values[0])
    low, _, high = quantiles(values, n=4, method="inclusive")
    return Spread(median(values), low, high)


class Comparison(NamedTuple):
    """Seconds of each round on both sides."""

    ours: tuple[float, ...]
    reference: tuple[float, ...]

    @property
    def ratio(self) -> Spread:
        """How many times faster ours is, round by round."""
        return spread([r / o for o, r in zip(self.ours, self.reference, strict=True)])

    def figures(self) -> dict[str, Any]:
        """For a results file."""
        sides = {"ours_s": spread(self.ours), "reference_s": spread(self.reference)}
        return {k: v._asdict() for k, v in {"ratio": self.ratio, **sides}.items()}


def seconds(run: Callable[[], Any], clock: Clock = time.perf_counter) -> float:
    """Seconds of one call, without the garbage that earlier calls left."""
    gc.collect()
    begin = clock()
    run()
    return clock() - begin


def compare(
    ours: Callable[[], Any],
    reference: Callable[[], Any],
    rounds: int,
    clock: Clock = time.perf_counter,
    long: bool = False,
) -> Comparison:
    """Time both sides ``rounds`` times in turn, each first once without counting.

    The side that begins changes from round to round. Sides that take ``long``, minutes, do a third of the
    rounds and no first one: what a first run costs more is nothing beside them.
    """
    sides = (ours, reference)
    if long:
        rounds = max(1, rounds // 3)
    else:
        for run in sides:
            run()
    times: tuple[list[float], list[float]] = ([], [])
    for number in range(rounds):
        for side in (0, 1) if number % 2 == 0 else (1, 0):
            times[side].append(seconds(sides[side], clock))
    return Comparison(tuple(times[0]), tuple(times[1]))
