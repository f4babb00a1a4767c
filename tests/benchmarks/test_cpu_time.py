"""The clock ends a training, and its schedules with it."""

from __future__ import annotations

import time
from itertools import count
from types import SimpleNamespace

import pytest

from benchmarks.cpu_time import CPUTime
from metanas_pl.conf import OuterConfig
from metanas_pl.outer import learning_rate_factor


def test_rates_fall_over_the_time_and_not_over_the_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    ticks = count(0, 2)  # seconds of CPU time at each look
    monkeypatch.setattr(time, "process_time", lambda: float(next(ticks)))
    clock, module = CPUTime(seconds=8), SimpleNamespace(total_steps=1e6)
    trainer = SimpleNamespace(global_step=0, should_stop=False)
    clock.on_train_start(trainer, module)
    factors = []
    while not trainer.should_stop:
        trainer.global_step += 1
        clock.on_train_batch_end(trainer, module)
        outer = OuterConfig(schedule="linear")
        factors.append(learning_rate_factor(outer, trainer.global_step, module.total_steps))
    assert factors == [0.75, 0.5, 0.25, 0.0]
