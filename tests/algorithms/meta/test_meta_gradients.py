"""Meta-gradients against their definitions, closed forms and central finite differences."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.func import functional_call

from metanas_pl.algorithms.inner_loop import Adapted, adapt, inner_steps
from metanas_pl.algorithms.inner_optimizers import sgd
from metanas_pl.algorithms.meta.implicit import conjugate_gradient, imaml
from metanas_pl.algorithms.meta.meta_gradients import (
    fomaml,
    maml,
    mamlpp,
    reptile,
    step_shares,
)
from metanas_pl.algorithms.nas.architecture_gradients import first_order
from metanas_pl.algorithms.nas.relaxations import softmax
from metanas_pl.types import Theta
from tests.algorithms.problems import (
    FunctionProblem,
    assert_gradient,
    inner_loop,
    make_support,
    objective_of,
    toy,
)

TEMPERATURES = (1.0, 0.6)


def polynomial() -> tuple[Theta, FunctionProblem]:
    """A task whose adapted point and query loss are written down."""
    theta = Theta(
        {"w": torch.randn(3, dtype=torch.float64)}, {"a": torch.randn(2, dtype=torch.float64)}
    )

    def adapted(start: Theta) -> Adapted:
        point = Theta({"w": 0.5 * start.weights["w"] + 1}, {"a": 0.2 * start.alphas["a"]})
        return Adapted(point, ((), ()))

    def query_loss(point: Theta, step: int) -> tuple[Tensor, Tensor]:
        w, a = point.weights["w"], point.alphas["a"]
        return (w**3).sum() + (a**2).sum() * w.sum(), torch.tensor(0.5)

    return theta, FunctionProblem(adapted, query_loss)


def test_reptile_is_theta_minus_the_adapted_point() -> None:
    """Fault 3: a meta-update that silently does nothing."""
    theta, task = polynomial()
    result = reptile(theta, task)
    torch.testing.assert_close(result.gradient.weights["w"], 0.5 * theta.weights["w"] - 1)
    torch.testing.assert_close(result.gradient.alphas["a"], 0.8 * theta.alphas["a"])


def test_fomaml_equals_finite_differences_at_the_adapted_point() -> None:
    theta, task = polynomial()
    gradient, point = fomaml(theta, task).gradient, task.adapt(theta).theta
    for part in ("weights", "alphas"):

        def loss(values: Any, part: str = part) -> Tensor:
            return task.query_loss(point._replace(**{part: values}), 1)[0]

        assert_gradient(getattr(gradient, part), loss, getattr(point, part), per_tensor=3)


def search_task(
    second: bool = True, **options: Any
) -> tuple[Theta, FunctionProblem, Callable[[Theta], list[Theta]], Callable[[Theta, int], Tensor]]:
    """DARTS on a small supernet; and the same inner loop and query loss by plain autograd."""
    net, theta = toy()
    support, objective = make_support(2), objective_of(net)
    query_x, query_y = torch.randn(6, 1, 8, 8, dtype=torch.float64), torch.arange(6) % 3
    loop = inner_loop(first_order, lambda *_: (sgd(0.1), sgd(0.2)), TEMPERATURES, 2)

    def query(point: Theta, step: int) -> tuple[Tensor, Tensor]:
        mixing = softmax(point.alphas, TEMPERATURES[step - 1])
        loss = F.cross_entropy(functional_call(net, point.weights, (query_x, mixing)), query_y)
        return loss, torch.tensor(0.0)

    task = FunctionProblem(
        adapt=lambda t: adapt(objective, t, support, loop),
        query_loss=query,
        inner_steps=lambda t, constant=False: inner_steps(
            objective, t, support, loop, None, constant
        ),
        support_loss=lambda t: objective.loss(t.weights, softmax(t.alphas), support.whole()),
        n_steps=2,
        **options,
    )

    def plain_steps(start: Theta) -> list[Theta]:
        weights = {k: w.detach().clone() for k, w in start.weights.items()}
        alphas = {k: a.detach().clone() for k, a in start.alphas.items()}
        points = []
        for step, temperature in enumerate(TEMPERATURES):
            for values, batch, rate in (
                (alphas, support.arch(step), 0.2),
                (weights, support.train(step), 0.1),
            ):
                leaves = [v.requires_grad_() for v in values.values()]
                logits = functional_call(net, weights, (batch.x, softmax(alphas, temperature)))
                grads = torch.autograd.grad(F.cross_entropy(logits, batch.y), leaves)
                for (name, value), gradient in zip(list(values.items()), grads, strict=True):
                    values[name] = (value - rate * gradient).detach()
            points.append(Theta(dict(weights), dict(alphas)))
        return points

    return theta, task, plain_steps, lambda point, step: query(point, step)[0]


@pytest.mark.slow
@pytest.mark.parametrize("part", ["weights", "alphas"])
def test_maml_through_darts_steps_equals_finite_differences(part: str) -> None:
    theta, task, plain_steps, query = search_task()
    result = maml(theta, task)

    def after_adaptation(values: Any) -> Tensor:
        return query(plain_steps(theta._replace(**{part: values}))[-1], 2)

    gradient, values = getattr(result.gradient, part), getattr(theta, part)
    every = 29 if part == "weights" else 5
    assert_gradient(gradient, after_adaptation, values, atol=1e-6, every=every)
    torch.testing.assert_close(result.loss, after_adaptation(getattr(theta, part)))


@pytest.mark.slow
def test_multi_step_loss_equals_finite_differences() -> None:
    theta, task, plain_steps, query = search_task(outer_step=0)
    result = mamlpp(theta, task, multi_step_until=100, second_order_from=0)

    def multi_step(alphas: Any) -> Tensor:
        points = plain_steps(theta._replace(alphas=alphas))
        return 0.5 * query(points[0], 1) + 0.5 * query(points[1], 2)

    assert_gradient(result.gradient.alphas, multi_step, theta.alphas, atol=1e-6, every=2)


def test_mamlpp_begins_as_first_order_and_ends_as_maml() -> None:
    theta, early, *_ = search_task(outer_step=10)
    torch.testing.assert_close(
        mamlpp(theta, early, multi_step_until=0, second_order_from=50).gradient,
        fomaml(theta, early).gradient,
    )
    late = replace(early, outer_step=50)
    torch.testing.assert_close(
        mamlpp(theta, late, multi_step_until=50, second_order_from=50).gradient,
        maml(theta, late).gradient,
    )


@pytest.mark.parametrize("outer_step", [0, 30, 99, 100, 500])
def test_step_shares_sum_to_one_and_end_at_the_last(outer_step: int) -> None:
    shares = step_shares(5, outer_step, 100)
    assert sum(shares) == pytest.approx(1)
    assert shares[-1] >= max(shares[:-1]) - 1e-12
    assert (shares[0] == 0) == (outer_step >= 100)


def quadratic(strength: float) -> tuple[Theta, FunctionProblem, Theta]:
    """A quadratic inner problem with its exact minimum and its exact implicit meta-gradient."""
    n, generator = 6, torch.Generator().manual_seed(1)
    root = torch.randn(n, n, dtype=torch.float64, generator=generator)
    hessian = root @ root.T / n + 0.1 * torch.eye(n, dtype=torch.float64)
    target, theta_v = torch.randn(2, n, dtype=torch.float64, generator=generator)
    system = hessian + strength * torch.eye(n, dtype=torch.float64)
    minimum = torch.linalg.solve(system, hessian @ target + strength * theta_v)

    def split(v: Tensor) -> Theta:
        return Theta({"w": v[:4]}, {"a": v[4:]})

    def joined(point: Theta) -> Tensor:
        return torch.cat([point.weights["w"], point.alphas["a"]])

    def support_loss(point: Theta) -> Tensor:
        shift = joined(point) - target
        return 0.5 * shift @ hessian @ shift

    def query_loss(point: Theta, step: int) -> tuple[Tensor, Tensor]:
        return (joined(point) ** 3).sum() / 3, torch.tensor(0.0)

    task = FunctionProblem(
        lambda theta: Adapted(split(minimum), ((), ())),
        query_loss,
        support_loss=support_loss,
        proximal=strength,
    )
    exact = strength * torch.linalg.solve(system, minimum**2)
    return split(theta_v), task, split(exact)


@pytest.mark.parametrize("strength", [0.3, 2.0])
def test_imaml_equals_the_exact_implicit_gradient_of_a_quadratic(strength: float) -> None:
    theta, task, exact = quadratic(strength)
    result = imaml(theta, task, cg_steps=6)
    torch.testing.assert_close(result.gradient, exact, rtol=1e-6, atol=1e-8)


def test_imaml_without_a_proximal_term_is_refused() -> None:
    theta, task, _ = quadratic(0.3)
    with pytest.raises(ValueError, match="meta.inner.proximal"):
        imaml(theta, replace(task, proximal=0.0))


def test_a_solved_system_stays_solved() -> None:
    right = Theta({"w": torch.tensor([2.0, 8.0])}, {})
    for steps in (1, 5):
        solution = conjugate_gradient(lambda t: t, right, steps)
        torch.testing.assert_close(solution, right)
