"""Meta-learners: from one episode to its meta-gradient on theta.

A meta-learner is a function ``(theta, problem) -> MetaGradient``. It decides how the episode is
differentiated; averaging over the tasks of a meta-batch and the outer optimizer lie outside.
To add one, write a function here (or in your own package) and name it in ``configs/meta/``; keyword-only
arguments are its options (``meta.options``).

Shapes: ``*T`` nothing for one task, T for the tasks of a meta-batch.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple, Protocol

import torch
from torch import Tensor

from metanas_pl.algorithms.inner_loop import Adapted
from metanas_pl.algorithms.inner_optimizers import States
from metanas_pl.types import Theta

if TYPE_CHECKING:
    from jaxtyping import Float


class Problem(Protocol):
    """One episode, as a meta-learner may differentiate it.

    Attributes:
        outer_step: number of outer steps taken so far.
        n_steps: inner steps.
        proximal: weight of the proximal term of the inner loop.
    """

    @property
    def outer_step(self) -> int: ...
    @property
    def n_steps(self) -> int: ...
    @property
    def proximal(self) -> float: ...

    def adapt(self, theta: Theta) -> Adapted:
        """Runs the inner loop from ``theta``."""

    def inner_steps(self, theta: Theta, first_order: bool = False) -> Iterator[Adapted]:
        """Yields the point after each inner step; ``first_order`` takes gradients as constants."""

    def query_loss(self, theta: Theta, step: int) -> tuple[Float[Tensor, ""], Float[Tensor, ""]]:
        """Returns loss and accuracy on the query set at a point that so many inner steps have reached."""

    def support_loss(self, theta: Theta) -> Float[Tensor, ""]:
        """Returns the loss on the whole support set, at the temperature of the queries."""

    def adapting(self, theta: Theta) -> Theta:
        """Returns the part of theta that the inner loop moves."""


class MetaGradient(NamedTuple):
    """Meta-gradient of one task and, for the log, the query loss and accuracy behind it.

    ``states`` are the inner optimizers' last states, for an inner loop that carries them on.
    """

    gradient: Theta
    loss: Float[Tensor, "*T"]
    accuracy: Float[Tensor, "*T"]
    states: States = ((), ())


def reptile(theta: Theta, problem: Problem) -> MetaGradient:
    """Reptile (Nichol et al. 2018): ``theta - theta*``, for weights and alphas (MetaNAS, eq. 5).

    Args:
        theta: the meta-parameters.
        problem: one episode.

    Returns:
        The displacement; learned inner hyper-parameters get 0, as nothing is differentiated.
    """
    adapted = problem.adapt(theta)
    loss, accuracy = problem.query_loss(adapted.theta, problem.n_steps)
    gradient = Theta(
        {k: _displacement(w, adapted.weights[k]) for k, w in theta.weights.items()},
        {k: a - adapted.alphas[k] for k, a in theta.alphas.items()},
        {k: torch.zeros_like(h) for k, h in theta.hyper.items()},
    )
    return MetaGradient(gradient, loss, accuracy, adapted.states)


def _displacement(start: Tensor, end: Tensor) -> Tensor:
    """``start - end``; zero for an empty head with the ways of its episode, which nothing meta-learns."""
    return start - end if start.shape == end.shape else torch.zeros_like(start)


def fomaml(theta: Theta, problem: Problem) -> MetaGradient:
    """First-order MAML (Finn et al. 2017): the query gradient taken at the adapted point.

    Args:
        theta: the meta-parameters.
        problem: one episode.
    """
    adapted = problem.adapt(theta)
    gradient, (loss, accuracy) = torch.func.grad_and_value(
        lambda point: problem.query_loss(point, problem.n_steps), has_aux=True
    )(adapted.theta)
    return MetaGradient(gradient, loss, accuracy, adapted.states)


def maml(theta: Theta, problem: Problem) -> MetaGradient:
    """MAML (Finn et al. 2017): the query gradient through the inner loop, weights and alphas, exact.

    With ``meta.adapts=head`` it is ANIL, with ``body`` BOIL, with ``meta.rates`` learned per parameter
    Meta-SGD, with a head from class means ProtoMAML, and with no adapting weights ProtoNet.

    Args:
        theta: the meta-parameters.
        problem: one episode.
    """

    def outer(theta: Theta) -> tuple[Tensor, Tensor]:
        return problem.query_loss(problem.adapt(theta).theta, problem.n_steps)

    gradient, (loss, accuracy) = torch.func.grad_and_value(outer, has_aux=True)(theta)
    return MetaGradient(gradient, loss, accuracy)


def mamlpp(
    theta: Theta, problem: Problem, *, multi_step_until: int = 100, second_order_from: int = 50
) -> MetaGradient:
    """MAML++ (Antoniou et al. 2019): the query loss after every inner step counts, at first.

    Args:
        theta: the meta-parameters, learned rates and norms per step among them.
        problem: one episode.
        multi_step_until: outer steps after which the last inner step alone counts.
        second_order_from: outer step at which differentiation through the inner gradients begins.
    """
    shares = step_shares(problem.n_steps, problem.outer_step, multi_step_until)
    first_order = problem.outer_step < second_order_from

    def outer(theta: Theta) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        terms = []
        for step, adapted in enumerate(problem.inner_steps(theta, first_order)):
            if shares[step] > 0:
                last = problem.query_loss(adapted.theta, step + 1)
                terms.append(shares[step] * last[0])
        return torch.stack(terms).sum(), last

    gradient, (_, (loss, accuracy)) = torch.func.grad_and_value(outer, has_aux=True)(theta)
    return MetaGradient(gradient, loss, accuracy)


def step_shares(n_steps: int, outer_step: int, until: int) -> tuple[float, ...]:
    """Returns the share of each step in the multi-step loss: even at first, all to the last at ``until``.

    >>> step_shares(4, 0, 100), step_shares(2, 50, 100), step_shares(2, 200, 100)
    ((0.25, 0.25, 0.25, 0.25), (0.25, 0.75), (0.0, 1.0))
    """
    left = max(0.0, 1 - outer_step / until) if until > 0 else 0.0
    early = left / n_steps
    return (*(early for _ in range(n_steps - 1)), 1 - early * (n_steps - 1))
