"""Implicit meta-gradients: iMAML, and the conjugate gradient method that solves its linear system."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from metanas_pl.algorithms.meta.meta_gradients import MetaGradient, Problem
from metanas_pl.errors import UserError
from metanas_pl.types import Theta


def imaml(
    theta: Theta, problem: Problem, *, cg_steps: int = 5, damping: float = 0.0
) -> MetaGradient:
    """Implicit MAML (Rajeswaran et al. 2019): no differentiation through the inner loop.

    At the minimum of ``L_support + lambda/2 ||phi - theta||^2`` the meta-gradient is
    ``(I + H / lambda)^-1 grad L_query``, H the Hessian of the support loss, solved by conjugate gradient.

    Args:
        theta: the meta-parameters.
        problem: one episode; ``meta.inner.proximal`` is lambda.
        cg_steps: iterations of the conjugate gradient.
        damping: added to lambda in the solve.

    Raises:
        UserError: lambda is 0.
    """
    if problem.proximal <= 0:
        raise UserError("meta.inner.proximal=0 makes no sense with iMAML: it must be above 0")
    adapted = problem.adapt(theta)
    gradient, (loss, accuracy) = torch.func.grad_and_value(
        lambda point: problem.query_loss(point, problem.n_steps), has_aux=True
    )(adapted.theta)
    point, right = problem.adapting(adapted.theta), problem.adapting(gradient)

    def support_loss(moved: Theta) -> Tensor:
        return problem.support_loss(_merged(adapted.theta, moved))

    slope, scale = torch.func.grad(support_loss), problem.proximal + damping

    def system(vector: Theta) -> Theta:
        curvature = torch.func.grad(lambda moved: _dot(slope(moved), vector))(point)
        return _combine(1.0, vector, 1 / scale, curvature)

    solution = conjugate_gradient(system, right, cg_steps)
    return MetaGradient(_merged(gradient, solution), loss, accuracy, adapted.states)


def conjugate_gradient(system: Callable[[Theta], Theta], right: Theta, steps: int) -> Theta:
    """Returns the point after ``steps`` iterations towards ``system(x) = right`` (Hestenes & Stiefel 1952).

    Args:
        system: a symmetric positive definite linear map.
        right: the right side; the start is 0.
        steps: iterations.

    >>> right = Theta({"w": torch.tensor([2.0, 8.0])}, {})
    >>> double = lambda t: Theta({"w": 2 * t.weights["w"]}, {})
    >>> conjugate_gradient(double, right, 1).weights
    {'w': tensor([1., 4.])}
    """
    solution, residual, direction = _combine(0.0, right, 0.0, right), right, right
    squared = _dot(residual, residual)
    for _ in range(steps):
        image = system(direction)
        length = squared / _positive(_dot(direction, image))
        solution = _combine(1.0, solution, length, direction)
        residual = _combine(1.0, residual, -length, image)
        before, squared = squared, _dot(residual, residual)
        direction = _combine(1.0, residual, squared / _positive(before), direction)
    return solution


def _combine(a: float | Tensor, x: Theta, b: float | Tensor, y: Theta) -> Theta:
    """``a x + b y``."""
    return Theta(
        *({k: a * p + b * q[k] for k, p in part.items()} for part, q in zip(x, y, strict=True))
    )


def _dot(x: Theta, y: Theta) -> Tensor:
    products = [(p * q[k]).sum() for part, q in zip(x, y, strict=True) for k, p in part.items()]
    return torch.stack(products).sum()


def _positive(x: Tensor) -> Tensor:
    """``x``, away from a division by zero: a solved system stays solved."""
    return torch.where(x.abs() > 0, x, torch.ones_like(x))


def _merged(theta: Theta, moved: Theta) -> Theta:
    return Theta(*({**whole, **part} for whole, part in zip(theta, moved, strict=True)))
