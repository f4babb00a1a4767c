"""SDARTS: the ball around the mixing weights, and an ascent that raises the loss."""

from __future__ import annotations

import pytest
import torch

from metanas_pl.algorithms.inner_optimizers import sgd
from metanas_pl.algorithms.inner_problem import InnerProblem
from metanas_pl.algorithms.nas.perturbations import adversarial, random_ball
from tests.algorithms.problems import inner_problem, make_support, objective_of, toy


def problem() -> InnerProblem:
    net, theta = toy()
    generator = torch.Generator().manual_seed(0)
    drawn = {
        k: torch.rand((1, 2, *a.shape), generator=generator).double()
        for k, a in theta.alphas.items()
    }
    return inner_problem(objective_of(net), theta, sgd(0.1), make_support(1, noise=drawn))


@pytest.mark.parametrize("perturb", [random_ball, adversarial])
def test_perturbed_weights_stay_in_the_ball_and_sum_to_one(perturb: object) -> None:
    given = problem()
    mixing = given.train.mixing(given.alphas)
    radius = 0.03
    moved = perturb(given, radius=radius)  # type: ignore[operator]
    for name, weight in mixing.items():
        assert (moved[name] >= 0).all()
        torch.testing.assert_close(moved[name].sum(-1), weight.sum(-1))
        # A multiple of them, the point before they were made to sum to one, is in the ball.
        least = ((weight - radius) / moved[name]).amax(-1)
        most = ((weight + radius) / moved[name]).amin(-1)
        assert (least <= most + 1e-9).all(), name
    assert any(not torch.equal(moved[k], m) for k, m in mixing.items())


def test_no_ball_is_no_perturbation() -> None:
    given = problem()
    mixing = given.train.mixing(given.alphas)
    for perturb in (random_ball, adversarial):
        torch.testing.assert_close(perturb(given, radius=0.0), mixing)


def test_the_adversary_raises_the_loss_more_than_chance() -> None:
    given = problem()
    loss = given.train.loss(given.weights, given.alphas)
    worst = given.train.loss_at(given.weights, adversarial(given, radius=0.05))
    chance = given.train.loss_at(given.weights, random_ball(given, radius=0.05))
    assert worst > loss
    assert worst > chance
