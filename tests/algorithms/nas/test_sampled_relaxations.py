"""Relaxations that draw: limits, expected values, gradients under common noise."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from metanas_pl.algorithms import noise
from metanas_pl.algorithms.nas import sampled_relaxations as sampling
from metanas_pl.types import Mask
from tests.algorithms.problems import assert_gradient

NAME = "normal_0"
DRAWS = {
    "concrete": (sampling.concrete, noise.gumbel),
    "straight_through": (sampling.straight_through, noise.gumbel),
    "dirichlet": (sampling.dirichlet, noise.gamma),
    "sigmoid": (sampling.sigmoid, noise.uniform),
    "uniform_one_hot": (sampling.uniform_one_hot, noise.uniform),
}


def drawn(kind: str, shape: tuple[int, ...], seed: int = 0) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return {NAME: DRAWS[kind][1](shape, generator).double()}


@pytest.mark.parametrize("kind", DRAWS)
@pytest.mark.parametrize("noisy", [True, False])
def test_weights_are_finite_and_masked_ones_are_zero(kind: str, noisy: bool) -> None:
    alphas = {NAME: torch.randn(3, 4, dtype=torch.float64)}
    mask: Mask = {NAME: torch.tensor([[True, False, True, True]] * 3)}
    given = drawn(kind, (3, 4)) if noisy else None
    weight = DRAWS[kind][0](alphas, 1.0, mask, given)[NAME]
    assert weight.isfinite().all()
    assert (weight[:, 1] == 0).all()
    if kind != "sigmoid":
        torch.testing.assert_close(weight.sum(-1), torch.ones(3, dtype=torch.float64))


@pytest.mark.parametrize("kind", ["concrete", "dirichlet", "sigmoid"])
def test_gradients_under_common_noise_equal_finite_differences(kind: str) -> None:
    alphas = {NAME: torch.randn(3, 4, dtype=torch.float64)}
    given, factors = drawn(kind, (3, 4)), torch.randn(3, 4, dtype=torch.float64)

    def value(alphas: dict[str, Tensor]) -> Tensor:
        return (DRAWS[kind][0](alphas, 1.0, None, given)[NAME] * factors).sum()

    assert_gradient(torch.func.grad(value)(alphas), value, alphas, per_tensor=12)


def test_a_concrete_draw_picks_each_choice_with_its_softmax_probability() -> None:
    """The Gumbel-max theorem, which holds at any temperature."""
    alpha = torch.tensor([1.0, 0.0, -1.0, 0.5], dtype=torch.float64)
    n = 40_000
    given = drawn("concrete", (n, 4))
    weight = sampling.concrete({NAME: alpha.expand(n, 4)}, 0.3, None, given)[NAME]
    shares = torch.bincount(weight.argmax(-1), minlength=4) / n
    torch.testing.assert_close(shares.double(), alpha.softmax(0), atol=0.01, rtol=0)


def test_a_concrete_draw_becomes_one_hot_as_the_temperature_falls() -> None:
    alphas, given = {NAME: torch.randn(5, 4, dtype=torch.float64)}, drawn("concrete", (5, 4))
    weight = sampling.concrete(alphas, 1e-3, None, given)[NAME]
    torch.testing.assert_close(weight.max(-1).values, torch.ones(5, dtype=torch.float64))


def test_straight_through_has_the_value_of_the_choice_and_the_gradient_of_the_sample() -> None:
    alphas, given = {NAME: torch.randn(5, 4, dtype=torch.float64)}, drawn("concrete", (5, 4))
    hard = sampling.straight_through(alphas, 0.5, None, given)[NAME]
    soft = sampling.concrete(alphas, 0.5, None, given)[NAME]
    torch.testing.assert_close(hard.argmax(-1), soft.argmax(-1))
    torch.testing.assert_close(hard.amax(-1), torch.ones(5, dtype=torch.float64))
    factors = torch.randn(5, 4, dtype=torch.float64)
    gradients = [
        torch.func.grad(lambda a, f=f: (f(a, 0.5, None, given)[NAME] * factors).sum())(alphas)
        for f in (sampling.straight_through, sampling.concrete)
    ]
    torch.testing.assert_close(*gradients)


def test_dirichlet_draws_have_the_mean_and_variance_of_the_distribution() -> None:
    alpha, n = torch.tensor([-1.5, 0.0, 1.0, 3.0], dtype=torch.float64), 60_000
    given = drawn("dirichlet", (n, 4))
    weight = sampling.dirichlet({NAME: alpha.expand(n, 4)}, 1.0, None, given)[NAME]
    expected = torch.distributions.Dirichlet(torch.nn.functional.elu(alpha) + 1)
    torch.testing.assert_close(weight.mean(0), expected.mean, atol=0.005, rtol=0)
    torch.testing.assert_close(weight.var(0), expected.variance, atol=0.002, rtol=0)


def test_the_pathwise_gradient_of_a_dirichlet_is_that_of_the_mean_in_expectation() -> None:
    alpha, n = torch.tensor([0.5, -0.5, 1.0], dtype=torch.float64), 60_000
    given, factors = drawn("dirichlet", (n, 3)), torch.tensor([1.0, 3.0, -2.0]).double()

    def mean_draw(alpha: Tensor) -> Tensor:
        weight = sampling.dirichlet({NAME: alpha.expand(n, 3)}, 1.0, None, given)[NAME]
        return (weight @ factors).mean()

    def exact(alpha: Tensor) -> Tensor:
        return sampling.dirichlet({NAME: alpha}, 1.0)[NAME] @ factors

    gradient, expected = torch.func.grad(mean_draw)(alpha), torch.func.grad(exact)(alpha)
    torch.testing.assert_close(gradient, expected, atol=0.01, rtol=0.01)


def test_gamma_draws_follow_their_distribution() -> None:
    """Kolmogorov-Smirnov distance to the exact distribution function, at small and large shapes."""
    n, generator = 20_000, torch.Generator().manual_seed(3)
    for shape in (0.2, 1.0, 7.5):
        given = noise.gamma((n,), generator).double()
        draws = (
            sampling.gamma_draw(torch.full((n,), shape, dtype=torch.float64), given).sort().values
        )
        exact = torch.special.gammainc(torch.tensor(shape, dtype=torch.float64), draws)
        empirical = (torch.arange(n) + 0.5) / n
        assert (exact - empirical).abs().max() < 1.63 / n**0.5  # the 1 % point


def test_sigmoids_do_not_compete() -> None:
    mixing = sampling.sigmoid({NAME: torch.full((2, 3), 4.0)}, 2.0)
    torch.testing.assert_close(mixing[NAME], torch.sigmoid(torch.full((2, 3), 2.0)))


def test_a_random_architecture_is_uniform_and_ignores_the_alphas() -> None:
    n, given = 30_000, drawn("uniform_one_hot", (30_000, 3))
    alphas = {NAME: torch.tensor([9.0, 0.0, -9.0]).expand(n, 3)}
    weight = sampling.uniform_one_hot(alphas, 1.0, None, given)[NAME]
    torch.testing.assert_close(weight.mean(0), torch.full((3,), 1 / 3).double(), atol=0.01, rtol=0)
    assert set(weight.unique().tolist()) == {0.0, 1.0}
