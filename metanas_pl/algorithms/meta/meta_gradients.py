"""Meta-learners: from one task to its meta-gradient on theta.

A meta-learner is a function ``(theta, task) -> MetaGradient``. It decides how the task is
differentiated; averaging over the tasks of a meta-batch and the outer optimizer lie outside.
To add one, write a function here (or in your own package) and name it in ``configs/meta/``; keyword-only
arguments are its options (``meta.meta_gradient_options``).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import torch
from torch import Tensor

from metanas_pl.algorithms.inner_loop import Adapted, Theta
from metanas_pl.errors import UserError


class Task(NamedTuple):
    """One episode as functions.

    Attributes:
        adapt: ``theta -> Adapted``: the task learner.
        query_loss: ``(theta, step) -> (loss, accuracy)`` on the query set after so many inner steps.
        steps: ``(theta, first_order) -> Iterator[Adapted]``, the point after each inner step.
        support_loss: ``theta -> loss`` on the whole support set, at the last inner step's temperature.
        outer_step: number of outer steps taken so far.
        n_steps: inner steps.
        proximal: weight of the proximal term of the inner loop.
        adapts: ``theta -> theta``: the part of theta that the inner loop moves.
    """

    adapt: Callable[[Theta], Adapted]
    query_loss: Callable[[Theta, int], tuple[Tensor, Tensor]]
    steps: Callable[[Theta, bool], Iterator[Adapted]]
    support_loss: Callable[[Theta], Tensor]
    outer_step: int = 0
    n_steps: int = 1
    proximal: float = 0.0
    adapts: Callable[[Theta], Theta] = lambda theta: theta


class MetaGradient(NamedTuple):
    """Meta-gradient of one task and, for the log, the query loss and accuracy behind it.

    ``states`` are the inner optimizers' last states, for a task learner that carries them on.
    """

    gradient: Theta
    loss: Tensor
    accuracy: Tensor
    states: tuple[Any, Any] = ((), ())


MetaLearner = Callable[[Theta, Task], MetaGradient]


def reptile(theta: Theta, task: Task) -> MetaGradient:
    """Reptile (Nichol et al. 2018): ``theta - theta*``, for weights and alphas (MetaNAS, eq. 5)."""
    adapted = task.adapt(theta)
    loss, accuracy = task.query_loss(adapted.theta, task.n_steps)
    gradient = Theta(
        {k: _displacement(w, adapted.weights[k]) for k, w in theta.weights.items()},
        {k: a - adapted.alphas[k] for k, a in theta.alphas.items()},
        {k: torch.zeros_like(h) for k, h in theta.hyper.items()},
    )
    return MetaGradient(gradient, loss, accuracy, adapted.states)


def _displacement(start: Tensor, end: Tensor) -> Tensor:
    """``start - end``; zero for an empty head with the ways of its episode, which nothing meta-learns."""
    return start - end if start.shape == end.shape else torch.zeros_like(start)


def fomaml(theta: Theta, task: Task) -> MetaGradient:
    """First-order MAML (Finn et al. 2017): the query gradient taken at the adapted point."""
    adapted = task.adapt(theta)
    gradient, (loss, accuracy) = torch.func.grad_and_value(
        lambda point: task.query_loss(point, task.n_steps), has_aux=True
    )(adapted.theta)
    return MetaGradient(gradient, loss, accuracy, adapted.states)


def maml(theta: Theta, task: Task) -> MetaGradient:
    """MAML (Finn et al. 2017): the query gradient through the inner loop, weights and alphas, exact.

    With ``meta.adapts=head`` it is ANIL, with ``body`` BOIL, with ``meta.rates`` learned per parameter
    Meta-SGD, with a head from class means ProtoMAML, and with no adapting weights ProtoNet.
    """

    def outer(theta: Theta) -> tuple[Tensor, Tensor]:
        return task.query_loss(task.adapt(theta).theta, task.n_steps)

    gradient, (loss, accuracy) = torch.func.grad_and_value(outer, has_aux=True)(theta)
    return MetaGradient(gradient, loss, accuracy)


def mamlpp(
    theta: Theta, task: Task, *, multi_step_until: int = 100, second_order_from: int = 50
) -> MetaGradient:
    """MAML++ (Antoniou et al. 2019): the query loss after every inner step counts, at first.

    Args:
        theta: the meta-parameters, learned rates and norms per step among them.
        task: one episode.
        multi_step_until: outer steps after which the last inner step alone counts.
        second_order_from: outer step at which differentiation through the inner gradients begins.
    """
    shares = step_shares(task.n_steps, task.outer_step, multi_step_until)
    first_order = task.outer_step < second_order_from

    def outer(theta: Theta) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        terms = []
        for step, adapted in enumerate(task.steps(theta, first_order)):
            if shares[step] > 0:
                last = task.query_loss(adapted.theta, step + 1)
                terms.append(shares[step] * last[0])
        return torch.stack(terms).sum(), last

    gradient, (_, (loss, accuracy)) = torch.func.grad_and_value(outer, has_aux=True)(theta)
    return MetaGradient(gradient, loss, accuracy)


def step_shares(n_steps: int, outer_step: int, until: int) -> tuple[float, ...]:
    """Share of each inner step in the multi-step loss: even at first, all to the last at ``until``.

    >>> step_shares(4, 0, 100), step_shares(2, 50, 100), step_shares(2, 200, 100)
    ((0.25, 0.25, 0.25, 0.25), (0.25, 0.75), (0.0, 1.0))
    """
    left = max(0.0, 1 - outer_step / until) if until > 0 else 0.0
    early = left / n_steps
    return (*(early for _ in range(n_steps - 1)), 1 - early * (n_steps - 1))


def imaml(theta: Theta, task: Task, *, cg_steps: int = 5, damping: float = 0.0) -> MetaGradient:
    """Implicit MAML (Rajeswaran et al. 2019): no differentiation through the inner loop.

    At the minimum of ``L_support + lambda/2 ||phi - theta||^2`` the meta-gradient is
    ``(I + H / lambda)^-1 grad L_query``, H the Hessian of the support loss, solved by conjugate gradient.

    Args:
        theta: the meta-parameters.
        task: one episode; ``meta.inner.proximal`` is lambda.
        cg_steps: iterations of the conjugate gradient.
        damping: added to lambda in the solve.

    Raises:
        UserError: lambda is 0.
    """
    if task.proximal <= 0:
        raise UserError("meta.inner.proximal=0 makes no sense with iMAML: it must be above 0")
    adapted = task.adapt(theta)
    gradient, (loss, accuracy) = torch.func.grad_and_value(
        lambda point: task.query_loss(point, task.n_steps), has_aux=True
    )(adapted.theta)
    point, right = task.adapts(adapted.theta), task.adapts(gradient)

    def support_loss(moved: Theta) -> Tensor:
        return task.support_loss(_merged(adapted.theta, moved))

    slope, scale = torch.func.grad(support_loss), task.proximal + damping

    def system(vector: Theta) -> Theta:
        curvature = torch.func.grad(lambda moved: _dot(slope(moved), vector))(point)
        return _combine(1.0, vector, 1 / scale, curvature)

    solution = conjugate_gradient(system, right, cg_steps)
    return MetaGradient(_merged(gradient, solution), loss, accuracy, adapted.states)


def conjugate_gradient(system: Callable[[Theta], Theta], right: Theta, steps: int) -> Theta:
    """``steps`` iterations towards ``system(x) = right``, for a symmetric positive definite system.

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


def _combine(a: Any, x: Theta, b: Any, y: Theta) -> Theta:
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
