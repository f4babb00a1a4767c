"""The clock ends a training, and its schedules with it."""

from __future__ import annotations

import time
from types import SimpleNamespace
from typing import Any

import pytest

from benchmarks.cpu_time import CPUTime
from metanas_pl.config import OuterConfig
from metanas_pl.errors import UserError
from metanas_pl.training.rate_schedules import fraction_of_time, learning_rate_factor


def test_rates_fall_over_the_time_and_not_over_the_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr(time, "process_time", lambda: now)
    clock = CPUTime(seconds=8)
    strategy = SimpleNamespace(broadcast=lambda value: value)
    trainer = SimpleNamespace(callbacks=[clock], strategy=strategy, should_stop=False, world_size=1)
    assert fraction_of_time(trainer) == 0
    clock.on_train_start(trainer, None)
    factors = []
    while not trainer.should_stop:
        now += 2
        step = len(factors) + 1
        total = step / fraction_of_time(trainer)
        factors.append(learning_rate_factor(OuterConfig(schedule="linear"), step, total))
        clock.on_train_batch_end(trainer, None)
    assert factors == [0.75, 0.5, 0.25, 0.0]
    assert fraction_of_time(SimpleNamespace(callbacks=[])) is None


def test_several_processes_are_refused() -> None:
    """Each would stop at a step of its own, and the others wait for it in vain."""
    trainer: Any = SimpleNamespace(world_size=2)
    with pytest.raises(UserError, match="2 processes have 2 clocks: set trainer.devices=1"):
        CPUTime(seconds=8).on_train_start(trainer, None)  # type: ignore[arg-type]
