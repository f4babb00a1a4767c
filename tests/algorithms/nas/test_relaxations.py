"""Relaxations against numpy, and the limits that soft pruning relies on."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from metanas_pl.algorithms.nas.relaxations import (
    apply_threshold,
    entropy,
    is_member,
    keep,
    softmax,
    temperatures,
)


def test_softmax_equals_numpy() -> None:
    alpha = torch.randn(4, 7, dtype=torch.float64)
    exponent = np.exp(alpha.numpy() / 0.3)
    expected = exponent / exponent.sum(-1, keepdims=True)
    np.testing.assert_allclose(softmax({"a": alpha}, 0.3)["a"], expected, rtol=1e-12)


def test_masked_choice_has_no_weight_and_no_gradient() -> None:
    alpha = torch.randn(2, 3, dtype=torch.float64, requires_grad=True)
    mask = torch.tensor([[True, False, True], [True, True, True]])
    mixing = softmax({"a": alpha}, 0.5, {"a": mask})["a"]
    assert mixing[0, 1] == 0
    assert torch.allclose(mixing.sum(-1), torch.ones(2, dtype=torch.float64))
    (grad,) = torch.autograd.grad(mixing.square().sum(), alpha)
    assert grad[0, 1] == 0
    assert grad.isfinite().all()


@given(st.floats(0, 1.5), st.integers(1, 8))
def test_threshold_keeps_what_is_above_it_and_always_the_largest(threshold: float, n: int) -> None:
    weight = torch.softmax(torch.randn(5, n), -1)
    kept = keep(weight, threshold).numpy()
    expected = weight.numpy() > np.float32(threshold)
    expected[np.arange(5), weight.numpy().argmax(-1)] = True
    np.testing.assert_array_equal(kept, expected)


def test_every_choice_under_the_threshold_is_no_empty_sum() -> None:
    """Fault 7 of earlier implementations."""
    mixing = apply_threshold({"a": torch.full((2, 7), 1 / 7)}, 0.5)["a"]
    assert ((mixing > 0).sum(-1) == 1).all()


def test_is_member_under_vmap() -> None:
    indices = torch.tensor([[0, 2], [1, 1]])
    mapped = torch.func.vmap(lambda i: is_member(i, 3))(indices)
    assert mapped.tolist() == [[True, False, True], [False, True, False]]


@pytest.mark.parametrize("schedule", ["linear", "geometric"])
def test_temperature_falls_inside_the_inner_loop(schedule: str) -> None:
    values = temperatures(8, 5, 1.0, 0.1, schedule)
    assert values[0] == 1.0
    assert values[4:] == pytest.approx([0.1] * 4)
    assert all(a > b for a, b in zip(values[:4], values[1:5], strict=True))


def test_temperature_in_warm_up_and_with_one_step_stays_at_t_max() -> None:
    """Fault 7: one adaptation step."""
    assert temperatures(3, 0, 1.0, 0.1) == (1.0,) * 3
    assert temperatures(1, 1, 1.0, 0.1) == (1.0,)


def test_low_temperature_makes_pruning_free() -> None:
    mixing = softmax({"a": torch.randn(6, 7)}, 1e-3)
    assert float(entropy(mixing)) == pytest.approx(0.0, abs=1e-3)


def test_entropy_of_uniform_is_one_and_single_choices_do_not_count() -> None:
    assert float(entropy({"a": torch.full((3, 7), 1 / 7), "b": torch.ones(1)})) == pytest.approx(
        1.0
    )
    assert float(entropy({})) == 0.0
