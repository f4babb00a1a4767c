"""Alpha-gradients against finite differences of functions that are written without the package."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from metanas_pl.algorithms import noise
from metanas_pl.algorithms.inner_optimizers import InnerOptimizer, adam, sgd
from metanas_pl.algorithms.inner_problem import InnerProblem
from metanas_pl.algorithms.nas import architecture_gradients as architecture_steps
from metanas_pl.algorithms.nas import sampled_relaxations as sampling
from tests.algorithms.problems import (
    assert_gradient,
    inner_problem,
    make_support,
    objective_of,
    toy,
)


def torch_step(
    problem: InnerProblem, alphas: Any, kind: str, n: int = 1
) -> tuple[Any, list[Tensor]]:
    """``n`` w-steps by torch.optim at these alphas: the weights after them, and the losses."""
    weights = {k: w.clone().requires_grad_() for k, w in problem.weights.items()}
    made = {
        "sgd": lambda p: torch.optim.SGD(p, lr=0.1),
        "adam": lambda p: torch.optim.Adam(p, lr=0.01, betas=(0.5, 0.999)),
    }
    optimizer, losses = made[kind](list(weights.values())), []
    for _ in range(n):
        optimizer.zero_grad()
        losses.append(problem.train.loss(weights, alphas))
        losses[-1].backward()
        optimizer.step()
    return {k: w.detach() for k, w in weights.items()}, [loss.detach() for loss in losses]


OPTIMIZERS: dict[str, InnerOptimizer] = {"sgd": sgd(0.1), "adam": adam(0.01, (0.5, 0.999))}


@pytest.mark.parametrize("pair_inputs", [True, False])
def test_first_order(pair_inputs: bool) -> None:
    net, theta = toy(pair_inputs)
    problem = inner_problem(objective_of(net), theta, sgd(0.1))
    gradient = architecture_steps.first_order(problem)
    assert_gradient(gradient, lambda a: problem.arch.loss(theta.weights, a), theta.alphas)


@pytest.mark.parametrize("kind", ["sgd", "adam"])
def test_second_order_goes_through_the_step_of_the_actual_optimizer(kind: str) -> None:
    """Fault 4: a virtual step that assumes SGD where the inner optimizer is Adam."""
    net, theta = toy()
    problem = inner_problem(objective_of(net), theta, OPTIMIZERS[kind])

    def composite(alphas: Any) -> Tensor:
        return problem.arch.loss(torch_step(problem, alphas, kind)[0], alphas)

    gradient = architecture_steps.second_order(problem)
    assert_gradient(gradient, composite, theta.alphas, atol=1e-6, every=2)


@pytest.mark.parametrize("kind", ["sgd", "adam"])
def test_finite_difference_variant_approaches_the_exact_one(kind: str) -> None:
    """Fault 2: the second-order term multiplied by eps/2 where it must be divided by 2 eps."""
    net, theta = toy()
    problem = inner_problem(objective_of(net), theta, OPTIMIZERS[kind])
    exact = architecture_steps.second_order(problem)
    approximate = architecture_steps.second_order_fd(problem, radius=1e-6)
    first = architecture_steps.first_order(problem)
    flat = [torch.cat([g[k].reshape(-1) for k in exact]) for g in (exact, approximate, first)]
    assert (flat[0] - flat[1]).norm() < 1e-3 * (flat[0] - flat[2]).norm()


def test_both_signs_of_the_finite_difference_see_the_same_noise() -> None:
    """Fault 4: noise redrawn between the two passes; here it is an argument, so the answer repeats."""
    net, theta = toy()
    generator = torch.Generator().manual_seed(0)
    drawn = {k: noise.gumbel((1, 2, *a.shape), generator).double() for k, a in theta.alphas.items()}
    problem = inner_problem(
        objective_of(net, sampling.concrete), theta, sgd(0.1), make_support(1, noise=drawn)
    )
    exact = architecture_steps.second_order(problem)
    approximate = architecture_steps.second_order_fd(problem, radius=1e-6)
    for name, value in exact.items():
        torch.testing.assert_close(approximate[name], value, rtol=1e-3, atol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["sgd", "adam"])
def test_training_speed_is_the_gradient_of_the_sum_of_unrolled_losses(kind: str) -> None:
    net, theta = toy()
    problem = inner_problem(objective_of(net), theta, OPTIMIZERS[kind])

    def total(alphas: Any) -> Tensor:
        return torch.stack(torch_step(problem, alphas, kind, n=3)[1]).sum()

    gradient = architecture_steps.training_speed(problem, unrolled_steps=3)
    assert_gradient(gradient, total, theta.alphas, atol=1e-6, every=3)


def test_virtual_steps_start_from_carried_moments() -> None:
    net, theta = toy()
    problem = inner_problem(objective_of(net), theta, OPTIMIZERS["adam"])
    step = torch.func.grad(problem.train.loss)(problem.weights, problem.alphas)
    _, state = problem.weight_optimizer.update(step, problem.weight_state, problem.weights)
    fresh = architecture_steps.second_order(problem)
    carried = architecture_steps.second_order(problem._replace(weight_state=state))
    assert any(not torch.allclose(fresh[k], carried[k]) for k in fresh)
