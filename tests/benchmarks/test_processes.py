"""Benchmarks of whole processes."""

import time

import pytest

from benchmarks import processes

FEW = [
    "data.n_train_episodes=20",
    "space.channels=4",
    "data.meta_batch_size=2",
    "meta.inner.steps=1",
]


def test_a_limit_is_a_ratio_of_at_least_one() -> None:
    found = processes.start_up(["-c", "pass"], limit_s=100.0)(2)
    assert found["ratio"]["median"] > 1
    assert found["reference_s"]["median"] == 100.0


def test_a_process_that_fails_says_why() -> None:
    with pytest.raises(RuntimeError, match="no module for this"):
        processes.python(["-c", "raise SystemExit('no module for this')"])


def test_the_clock_counts_steps_and_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    begin = time.perf_counter()
    steps = processes.training_seconds(*FEW, "trainer.max_steps=3")
    assert 0 < steps < 0.5 * (time.perf_counter() - begin)


def test_two_ranks_are_compared_with_one_process(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def training_seconds(*overrides: str) -> float:
        asked.append(overrides)
        return 1.0 if overrides else 1.9

    monkeypatch.setattr(processes, "training_seconds", training_seconds)
    assert processes.two_ranks(7)["ratio"]["median"] == 1.9
    assert asked == [(), ("trainer=ddp", "trainer.devices=2")] * 2
