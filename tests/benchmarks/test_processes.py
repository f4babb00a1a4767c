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
DDP = ("trainer=ddp", "trainer.devices=2")


def test_a_limit_is_a_ratio_of_at_least_one() -> None:
    found = processes.start_up(["-c", "pass"], limit_s=100.0)(2)
    assert found["ratio"]["median"] > 1
    assert found["reference_s"]["median"] == 100.0


def test_a_process_that_fails_says_why() -> None:
    with pytest.raises(RuntimeError, match="no module for this"):
        processes.python(["-c", "raise SystemExit('no module for this')"])


@pytest.mark.nightly
def test_the_clock_counts_steps_and_nothing_else() -> None:
    begin = time.perf_counter()
    found = processes.training(*FEW, "trainer.max_steps=3")
    assert 0 < found.waiting_s < found.seconds < 0.5 * (time.perf_counter() - begin)
    assert len(found.memory_mb) == 2
    assert min(found.memory_mb) > 50


def test_two_ranks_are_compared_with_one_process(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def training(*overrides: str) -> processes.Training:
        asked.append(overrides)
        return processes.Training(1.0 if overrides[1:] else 1.9, 0.019, [200.0, 200.0, 210.0])

    monkeypatch.setattr(processes, "training", training)
    found = processes.two_ranks(7)
    assert found["ratio"]["median"] == 1.9
    assert found["share_waiting_for_data"] == pytest.approx(0.01)
    assert found["memory_mb"] == [200.0, 210.0]
    assert asked == [("trainer.max_steps=200", *d) for d in ((), DDP)] * 2
    processes.two_ranks(2)
    assert asked[-2] == ("trainer.max_steps=40",)
