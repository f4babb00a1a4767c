"""Evidence: against formulas in numpy, and against what pure noise gives."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from metanas_pl.algorithms.nas.evidence import (
    Evidence,
    deviations,
    none_yet,
    of_path,
    of_step,
    updated,
)

CHOICES, OPTIONS, STEPS = 2000, 5, 100


def of_steps(
    steps: list[tuple[Tensor, Tensor]], memory: float = 1.0, alive: Tensor | None = None
) -> Evidence:
    """The evidence of gradients and of the options that took part."""
    total = none_yet(steps[0][0])
    for gradient, part in steps:
        total = updated(total, of_step(gradient, part, alive), memory)
    return total


def noise(n: int = STEPS, shift: float = 0.0) -> Tensor:
    """Gradients of pure noise, of which the last option's are ``shift`` higher."""
    gradients = torch.randn(n, CHOICES, OPTIONS, dtype=torch.float64)
    gradients[..., -1] += shift
    return gradients


@pytest.mark.parametrize("memory", [1.0, 0.9])
def test_deviations_are_those_of_weighted_means(memory: float) -> None:
    """Three options of one choice, two of which take part in each step."""
    steps = 12
    rng = np.random.default_rng(0)
    gradients, parts = rng.normal(size=(steps, 3)), np.ones((steps, 3), dtype=bool)
    parts[np.arange(steps), rng.integers(3, size=steps)] = False
    pairs = [(torch.tensor(g), torch.tensor(p)) for g, p in zip(gradients, parts, strict=True)]
    found = deviations(of_steps(pairs, memory), torch.tensor([1])).numpy()

    means, errors = np.zeros(3), np.zeros(3)
    for option in range(3):
        took = np.flatnonzero(parts[:, option])
        weights = memory ** (steps - 1 - took)
        values = np.array([gradients[t, option] - gradients[t, parts[t]].mean() for t in took])
        means[option] = np.average(values, weights=weights)
        squares = 2 * values**2  # n / (n - 1) of two options
        errors[option] = (weights**2 * squares).sum() / weights.sum() ** 2
    expected = (means - means[1]) / np.sqrt(errors + errors[1])
    np.testing.assert_allclose(found, expected, atol=1e-12)


@pytest.mark.parametrize("n_part", [OPTIONS, 3, 2])
@pytest.mark.parametrize("memory", [1.0, 1 - 1 / 25])
def test_noise_gives_about_standard_normal_deviations(n_part: int, memory: float) -> None:
    """However many options a step samples."""
    everyone = torch.ones(CHOICES, OPTIONS, dtype=torch.bool)

    def drawn() -> Tensor:
        keys = torch.rand(CHOICES, OPTIONS).argsort(-1)
        return everyone if n_part == OPTIONS else keys < n_part

    evidence = of_steps([(gradient, drawn()) for gradient in noise()], memory, everyone)
    z = deviations(evidence, torch.zeros(CHOICES, 1, dtype=torch.long))
    assert (z[:, 0] == 0).all()
    others = z[:, 1:]
    assert others.mean().abs() < 0.1
    assert others.std() == pytest.approx(1.0, abs=0.08)
    assert (others > 3).double().mean() < 0.005


def test_an_option_that_is_worse_stands_out() -> None:
    everyone = torch.ones(CHOICES, OPTIONS, dtype=torch.bool)
    evidence = of_steps([(gradient, everyone) for gradient in noise(shift=1.0)])
    z = deviations(evidence, torch.zeros(CHOICES, 1, dtype=torch.long))
    assert (z[:, -1] > 3).double().mean() > 0.99
    assert (z[:, 1:-1] > 3).double().mean() < 0.005
    better = deviations(evidence, torch.full((CHOICES, 1), OPTIONS - 1))
    assert (better[:, :-1] < -3).double().mean() > 0.99


def test_what_was_said_before_gradients_vanished_still_counts() -> None:
    """At a low T an option that is behind has no gradient any more, and that is no news in its favour."""
    everyone = torch.ones(CHOICES, OPTIONS, dtype=torch.bool)
    steps = [(gradient, everyone) for gradient in noise(shift=1.0)]
    quiet = [(1e-3 * gradient, everyone) for gradient in noise()]
    leader = torch.zeros(CHOICES, 1, dtype=torch.long)
    early, late = (
        deviations(of_steps(some, memory=1 - 1 / 25), leader)[:, -1]
        for some in (steps, steps + quiet)
    )
    assert early.mean() > 4
    torch.testing.assert_close(late, early, rtol=0.05, atol=0.1)


def test_the_loss_of_a_path_speaks_of_the_choice_that_matters() -> None:
    """Of 2,000 choices the loss depends on the first: its last option adds 1 to it."""
    places, total = torch.arange(OPTIONS), none_yet(torch.zeros(CHOICES, OPTIONS))
    for _ in range(400):
        taken = torch.randint(OPTIONS, (CHOICES, 1)) == places
        loss = torch.randn(()) + taken[0, -1].float()
        total = updated(total, of_path(loss - 0.2, taken), 1.0)
    z = deviations(total, torch.zeros(CHOICES, 1, dtype=torch.long))
    assert z[0, -1] > 4 and (z[0, :-1] < 3).all()
    assert z[1:, 1:].std() == pytest.approx(1.0, abs=0.1)
    assert (z[1:, 1:] > 3).double().mean() < 0.005


def test_without_evidence_nothing_deviates() -> None:
    nothing = none_yet(torch.zeros(2, 3))
    leader = torch.zeros(2, 1, dtype=torch.long)
    assert not deviations(nothing, leader).any()
    alone = of_step(torch.ones(2, 3), torch.tensor([True, False, False]).expand(2, 3))
    assert not any(part.any() for part in alone), "an option is compared with others or not at all"
    without_leader = of_step(torch.ones(2, 3), torch.tensor([False, True, True]).expand(2, 3))
    assert not deviations(without_leader, leader).any()
