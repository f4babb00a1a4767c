"""Means and intervals against numpy, over batches, ranks and edge cases."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cache

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from metanas_pl.engine.metrics import EpisodeMean, episode_accuracy, mean_interval95, paired_gain95
from tests.conftest import make_module

ACCURACIES = st.lists(st.floats(0, 1, width=32), min_size=2, max_size=50)


def numpy_interval(values: np.ndarray) -> float:
    n = len(values)
    quantile = student(n - 1) if n < 30 else 1.96
    return quantile * values.std(ddof=1) / np.sqrt(n)


@cache
def student(degrees: int) -> float:
    """The 97.5 % quantile of Student's t: the integral of its density, solved by bisection."""
    norm = math.gamma((degrees + 1) / 2) / math.gamma(degrees / 2) / math.sqrt(degrees * math.pi)
    low, high = 1.9, 20.0
    for _ in range(40):
        middle = (low + high) / 2
        x = np.linspace(0, middle, 4_001)
        density = norm * (1 + x**2 / degrees) ** (-(degrees + 1) / 2)
        area = float((density[1:] + density[:-1]).sum() * (x[1] - x[0]) / 2)
        low, high = (middle, high) if area < 0.475 else (low, middle)
    return low


def gather_with(other: EpisodeMean) -> Callable[..., list[Tensor]]:
    """A ``dist_sync_fn`` that gathers each state of this rank with that of ``other``."""
    states = iter([])

    def gather(state: Tensor, group: object = None) -> list[Tensor]:
        nonlocal states
        following = next(states, None)
        if following is None:
            states = iter([other.n, other.total, other.squares])
            following = next(states)
        return [state, following]

    return gather


@given(ACCURACIES, st.integers(0, 50))
def test_agrees_with_numpy_whatever_the_batches(values: list[float], cut: int) -> None:
    metric = EpisodeMean()
    for part in (values[:cut], values[cut:]):
        metric.update(torch.tensor(part))
    expected = np.array(values)
    mean, interval = mean_interval95(torch.tensor(values))
    assert metric.compute().item() == pytest.approx(expected.mean(), abs=1e-12)
    assert mean == pytest.approx(expected.mean(), abs=1e-12)
    assert interval == pytest.approx(numpy_interval(expected), rel=1e-4, abs=1e-12, nan_ok=True)
    assert metric.interval95().item() == pytest.approx(
        numpy_interval(expected), rel=1e-4, abs=1e-7, nan_ok=True
    )


def test_two_uneven_ranks_give_the_numbers_of_one() -> None:
    values = torch.rand(31)
    whole, other = EpisodeMean(), EpisodeMean()
    rank = EpisodeMean(dist_sync_fn=gather_with(other), distributed_available_fn=lambda: True)
    whole.update(values)
    rank.update(values[:20])
    other.update(values[20:])
    torch.testing.assert_close(rank.compute(), whole.compute())
    torch.testing.assert_close(rank.interval95(), whole.interval95())
    assert rank.n == 20, "the rank goes on with its own episodes"


def test_interval_of_a_metric_that_is_synchronised_already() -> None:
    other = EpisodeMean()
    rank = EpisodeMean(dist_sync_fn=gather_with(other), distributed_available_fn=lambda: True)
    rank.update(torch.tensor([0.2]))
    other.update(torch.tensor([0.4]))
    rank.sync(dist_sync_fn=rank.dist_sync_fn)
    assert rank.interval95().item() == pytest.approx(12.7062 * 0.1)
    rank.unsync()
    assert rank.n == 1


def test_forward_returns_the_batch_and_accumulates() -> None:
    metric = EpisodeMean()
    assert metric(torch.tensor([0.0, 1.0])).item() == 0.5
    assert metric(torch.tensor([1.0, 1.0])).item() == 1.0
    assert metric.compute().item() == 0.75
    assert metric.compute().dtype == torch.float64


def test_of_one_episode_no_interval_is_known() -> None:
    metric = EpisodeMean()
    assert metric.interval95().isnan()
    metric.update(torch.tensor([0.3]))
    assert metric.interval95().isnan()
    mean, interval = mean_interval95(torch.tensor([0.5]))
    assert mean == 0.5 and np.isnan(interval)
    assert np.isnan(mean_interval95(torch.tensor([]))).all()


@pytest.mark.parametrize("n", [2, 3, 10, 29])
def test_few_episodes_take_the_quantile_of_student(n: int) -> None:
    values = torch.rand(n, dtype=torch.float64)
    expected = student(n - 1) * values.std() / n**0.5
    assert mean_interval95(values)[1] == pytest.approx(float(expected), rel=1e-4)


def test_a_device_without_float64_gets_float32() -> None:
    """As Apple's MPS, whose conversion of float64 raises a TypeError."""

    def to_mps(x: Tensor) -> Tensor:
        if x.dtype == torch.float64:
            raise TypeError("Cannot convert a MPS Tensor to float64 dtype")
        return x

    metric, values = EpisodeMean(), torch.rand(40)
    metric._apply(to_mps)
    metric.update(values)
    assert metric.compute().dtype == torch.float32
    assert metric.interval95() == pytest.approx(mean_interval95(values)[1], rel=1e-4)
    metric.reset()
    assert {getattr(metric, name).dtype for name in ("n", "total", "squares")} == {torch.float32}
    make_module()._apply(to_mps)


def test_reset_forgets_every_episode() -> None:
    metric = EpisodeMean()
    metric.update(torch.ones(3))
    metric.reset()
    metric.update(torch.zeros(2))
    assert metric.compute() == 0
    assert metric.n == 2


def test_equal_values_have_no_negative_variance() -> None:
    metric = EpisodeMean()
    for _ in range(100):
        metric.update(torch.full((7,), 0.1))
    assert 0 <= metric.interval95() < 1e-8


def test_states_survive_a_state_dict() -> None:
    metric, restored = EpisodeMean(), EpisodeMean()
    for m in (metric, restored):
        m.persistent(True)
    metric.update(torch.rand(5))
    restored.load_state_dict(metric.state_dict())
    assert restored.interval95() == metric.interval95()


def test_no_graph_is_kept() -> None:
    metric = EpisodeMean()
    metric.update(torch.rand(3, requires_grad=True))
    assert not metric.total.requires_grad


@pytest.mark.parametrize("shape", [(), (2, 3)])
def test_values_that_are_not_one_per_episode_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="one value per episode"):
        EpisodeMean().update(torch.zeros(shape))
    with pytest.raises(ValueError, match="one value per episode"):
        mean_interval95(torch.zeros(shape))


def test_paired_gain_removes_what_the_models_share() -> None:
    generator = torch.Generator().manual_seed(0)
    difficulty = torch.rand(200, generator=generator)
    noise = 0.01 * torch.randn(200, generator=generator)
    a, b = difficulty, difficulty + 0.02 + noise
    gain, interval = paired_gain95(a, b)
    difference = (b.double() - a.double()).numpy()
    assert gain == pytest.approx(difference.mean())
    assert interval == pytest.approx(numpy_interval(difference))
    assert interval < mean_interval95(a)[1] / 10
    assert paired_gain95(b, a) == pytest.approx((-gain, interval))


def test_paired_gain_needs_the_same_episodes() -> None:
    with pytest.raises(ValueError, match="same episodes"):
        paired_gain95(torch.zeros(3), torch.zeros(1))


def test_episode_accuracy_agrees_with_a_loop() -> None:
    logits, y = torch.randn(2, 3, 10, 5), torch.randint(5, (2, 3, 10))
    accuracy = episode_accuracy(logits, y)
    assert accuracy.shape == (2, 3)
    for t in np.ndindex(2, 3):
        hits = [int(logits[t][q].argmax()) == int(y[t][q]) for q in range(10)]
        assert accuracy[t].item() == pytest.approx(sum(hits) / 10)


def test_episode_accuracy_refuses_shapes_that_do_not_match() -> None:
    with pytest.raises(ValueError, match=r"\(\.\.\., Q, N\)"):
        episode_accuracy(torch.zeros(4, 10, 5), torch.zeros(10))
