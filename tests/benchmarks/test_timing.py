"""Ratios of interleaved times, by a clock that does what it is told."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.timing import Comparison, compare, spread


@pytest.mark.slow
def test_both_sides_run_in_turn_and_the_first_run_does_not_count() -> None:
    order, now = [], [0.0]

    def side(name: str, cost: float) -> None:
        order.append(name)
        now[0] += cost if order.count(name) > 1 else 100.0

    found = compare(lambda: side("a", 1.0), lambda: side("b", 3.0), 3, lambda: now[0])
    assert "".join(order) == "ab" + "abbaab"
    assert found == Comparison((1.0,) * 3, (3.0,) * 3)
    assert found.ratio.median == 3.0


def test_spread_is_that_of_numpy() -> None:
    values = [3.0, 1.0, 4.0, 1.5, 9.0, 2.6]
    assert np.allclose(spread(values), np.quantile(values, [0.5, 0.25, 0.75]))
    assert spread([2.0]) == (2.0, 2.0, 2.0)


@pytest.mark.slow
def test_long_sides_have_no_first_run_and_a_third_of_the_rounds() -> None:
    calls: list[str] = []
    found = compare(lambda: calls.append("o"), lambda: calls.append("r"), rounds=7, long=True)
    assert (len(found.ours), calls) == (2, ["o", "r", "r", "o"])
