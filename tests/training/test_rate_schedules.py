"""Schedules of the outer rates."""

from __future__ import annotations

import pytest

from metanas_pl.config import OuterConfig
from metanas_pl.training.rate_schedules import learning_rate_factor


@pytest.mark.parametrize("schedule", ["constant", "linear", "cosine"])
def test_outer_schedule(schedule: str) -> None:
    outer = OuterConfig(schedule=schedule)
    factors = [learning_rate_factor(outer, s, 10) for s in range(11)]
    assert factors[0] == 1.0
    assert factors[-1] == pytest.approx(1.0 if schedule == "constant" else 0.0)
    assert learning_rate_factor(outer, 3, -1) == 1.0
