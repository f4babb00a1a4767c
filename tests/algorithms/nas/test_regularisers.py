"""Penalties on mixing weights."""

from __future__ import annotations

import math

import torch

from metanas_pl.algorithms.nas.regularisers import cost_penalty, zero_one
from metanas_pl.algorithms.nas.sampled_relaxations import sigmoid


def test_zero_one_pushes_a_gate_away_from_a_half() -> None:
    """Descent on -(sigmoid(a) - 1/2)^2 moves each logit away from zero."""
    alphas = {"normal_0": torch.tensor([[0.3, -0.2]])}
    gradient = torch.func.grad(lambda a: zero_one(sigmoid(a, 1.0)))(alphas)
    assert (gradient["normal_0"].sign() == -alphas["normal_0"].sign()).all()
    s = 1 / (1 + math.exp(-0.3))
    expected = -2 * (s - 0.5) * s * (1 - s) / 2
    torch.testing.assert_close(gradient["normal_0"][0, 0], torch.tensor(expected))


def test_a_cost_under_its_target_is_free() -> None:
    cost = torch.tensor(30.0)
    assert cost_penalty(cost, 5.0, 40.0, 100.0) == 0
    torch.testing.assert_close(cost_penalty(cost, 5.0, 20.0, 100.0), torch.tensor(2.5))
    torch.testing.assert_close(cost_penalty(cost, 5.0, None, 100.0), torch.tensor(1.5))
