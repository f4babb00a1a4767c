"""The inner loop: a few gradient steps on one episode's support set give (w*, alpha*).

This is the map Phi^k of the paper (Elsken et al. 2020, equation 3). It is a pure function: it runs
under ``torch.func.grad`` and ``torch.func.vmap``, and leaves everything meta-learned untouched.

Shapes: a scalar is ``""``; what is learned keeps its own shape.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor
from torch.utils import _pytree as pytree

from metanas_pl.algorithms.inner_optimizers import InnerOptimizer, States
from metanas_pl.algorithms.inner_problem import InnerProblem, Objective, Pass, Support
from metanas_pl.types import Alphas, Mixing, Params, Theta

if TYPE_CHECKING:
    from jaxtyping import Float


class InnerSchedule(NamedTuple):
    """The steps of an inner loop; made once, read everywhere.

    Attributes:
        temperatures: of the relaxation, one for each inner step.
        arch_steps: the alphas move in steps before this one (0 in warm-up).
        query_temperature: at which the adapted architecture answers the queries.
        first_arch_step: the alphas move from this step on. An empty head gives them no gradient in step 0.
    """

    temperatures: tuple[float, ...]
    arch_steps: int
    query_temperature: float
    first_arch_step: int = 0

    @property
    def steps(self) -> int:
        """Number of inner steps."""
        return len(self.temperatures)

    def temperature_after(self, step: int) -> float:
        """Returns the temperature of the point that so many inner steps reach; 0 is the start.

        >>> schedule = InnerSchedule((1.0, 0.5), arch_steps=2, query_temperature=0.1)
        >>> [schedule.temperature_after(step) for step in (0, 1, 2)]
        [1.0, 1.0, 0.1]
        """
        if step >= self.steps:
            return self.query_temperature
        return self.temperatures[max(step - 1, 0)]

    def moves_alphas(self, step: int) -> bool:
        """Returns whether inner step ``step`` takes an alpha-step."""
        return self.first_arch_step <= step < self.arch_steps

    @property
    def n_alpha_steps(self) -> int:
        """Number of alpha-steps."""
        return sum(map(self.moves_alphas, range(self.steps)))


class InnerLoop(NamedTuple):
    """How one episode is learned.

    Attributes:
        alpha_gradient: the NAS method's step, ``InnerProblem -> gradient of the alphas``; None takes
            weights and alphas from one backward pass of the training loss (T-NAS).
        optimizers: ``(hyper, step, ways of the episode) -> (weight optimizer, alpha optimizer)``.
        schedule: steps and temperatures.
        adapts: which weights move, by name.
        step_weights: ``(hyper, step) -> weights`` that have a learned value for each step.
        perturb: mixing weights of the w-step (SDARTS); None leaves them as they are.
        regulariser: ``mixing -> scalar``, added to the loss of the alpha-step.
        proximal: weight of ``1/2 ||phi - theta||^2`` in both losses (iMAML).
    """

    alpha_gradient: Callable[[InnerProblem], Alphas] | None
    optimizers: Callable[[Params, int, Tensor], tuple[InnerOptimizer, InnerOptimizer]]
    schedule: InnerSchedule
    adapts: Callable[[str], bool] = lambda name: True
    step_weights: Callable[[Params, int], Params] = lambda hyper, step: {}
    perturb: Callable[[InnerProblem], Mixing] | None = None
    regulariser: Callable[[Mixing], Tensor] | None = None
    proximal: float = 0.0

    def weights_at(self, theta: Theta, step: int) -> Params:
        """Returns all weights as inner step ``step`` uses them, with those learned for each step."""
        return {**theta.weights, **self.step_weights(theta.hyper, step)}


class Adapted(NamedTuple):
    """A point reached: theta there, optimizer states, and the training loss of the steps so far."""

    theta: Theta
    states: States
    losses: tuple[Float[Tensor, ""], ...] = ()

    @property
    def weights(self) -> Params:
        """Weights w*."""
        return self.theta.weights

    @property
    def alphas(self) -> Alphas:
        """Alphas alpha*."""
        return self.theta.alphas


def adapt(
    objective: Objective,
    theta: Theta,
    support: Support,
    loop: InnerLoop,
    states: States | None = None,
) -> Adapted:
    """Returns weights and alphas adapted to one episode: the last of :func:`inner_steps`, or theta itself.

    The map Phi^k of the paper, equation 3; arguments are those of :func:`inner_steps`.

    >>> from metanas_pl.algorithms.inner_optimizers import sgd
    >>> squares = Objective(lambda alphas, t, noise: {}, lambda w, mixing, batch: (w["w"] ** 2).sum())
    >>> rows = torch.zeros(2, 1, dtype=torch.long)  # two steps, each on the same image
    >>> support = Support(torch.zeros(1, 1, 8, 8), rows[0], rows, rows)
    >>> steps = InnerSchedule((1.0, 1.0), arch_steps=0, query_temperature=1.0)
    >>> loop = InnerLoop(None, lambda hyper, step, ways: (sgd(0.25), sgd(0.25)), steps)
    >>> adapt(squares, Theta({"w": torch.tensor([8.0])}, {}), support, loop).weights
    {'w': tensor([2.])}
    """
    adapted = Adapted(theta, states or ((), ()))
    for adapted in inner_steps(objective, theta, support, loop, states):  # noqa: B007
        pass
    return adapted


def inner_steps(
    objective: Objective,
    theta: Theta,
    support: Support,
    loop: InnerLoop,
    states: States | None = None,
    first_order: bool = False,
) -> Iterator[Adapted]:
    """Yields the point after each inner step (DARTS: alpha-step, then w-step at the new alphas).

    Args:
        objective: relaxation and loss.
        theta: where to start.
        support: the episode's support set with its minibatches and noise.
        loop: steps, optimizers and the NAS method.
        states: (weight, alpha) optimizer states carried from the task before; None starts fresh.
        first_order: take gradients as constants, so that differentiating through the steps is cheap.
    """
    hyper, alphas = theta.hyper, theta.alphas
    weights = {k: w for k, w in theta.weights.items() if loop.adapts(k)}
    origin, losses = Theta(weights, alphas), list[Tensor]()
    optimizers = loop.optimizers(hyper, 0, support.n_ways)
    w_state, a_state = states or (optimizers[0].init(weights), optimizers[1].init(alphas))
    for step, temperature in enumerate(loop.schedule.temperatures):
        w_optimizer, a_optimizer = loop.optimizers(hyper, step, support.n_ways)
        frozen = loop.weights_at(theta, step)
        train = Pass(objective, support.train(step), temperature, frozen)
        arch = Pass(objective, support.arch(step), temperature, frozen)
        problem = InnerProblem(train, arch, weights, alphas, w_optimizer, w_state)
        of_weights = None
        if alphas and loop.schedule.moves_alphas(step):
            a_gradient, of_weights = _alpha_gradient(problem, loop, origin)
            a_gradient = _constant(a_gradient) if first_order else a_gradient
            alphas, a_state = a_optimizer.update(a_gradient, a_state, alphas)
        if weights:
            moved = problem._replace(alphas=alphas)
            w_gradient, loss = of_weights or _weight_gradient(moved, loop)
            w_gradient = _proximal(w_gradient, weights, origin.weights, loop.proximal)
            w_gradient = _constant(w_gradient) if first_order else w_gradient
            weights, w_state = w_optimizer.update(w_gradient, w_state, weights)
            losses.append(loss)
        point = Theta({**theta.weights, **weights}, alphas, hyper)
        yield Adapted(point, (w_state, a_state), tuple(losses))


def _alpha_gradient(
    problem: InnerProblem, loop: InnerLoop, origin: Theta
) -> tuple[Alphas, tuple[Params, Tensor] | None]:
    """Returns the gradient of the alphas; with a joint step also that of the weights, and the loss."""
    of_weights = None
    if loop.alpha_gradient is None:
        both = torch.func.grad_and_value(problem.train.loss, argnums=(0, 1))
        (w_gradient, a_gradient), loss = both(problem.weights, problem.alphas)
        of_weights = w_gradient, loss
    else:
        a_gradient = loop.alpha_gradient(problem)
    if loop.regulariser is not None:
        penalty, one_pass = loop.regulariser, problem.arch
        extra = torch.func.grad(lambda a: penalty(one_pass.mixing(a)))(problem.alphas)
        a_gradient = {k: g + extra[k] for k, g in a_gradient.items()}
    a_gradient = _proximal(a_gradient, problem.alphas, origin.alphas, loop.proximal)
    return a_gradient, of_weights


def _weight_gradient(problem: InnerProblem, loop: InnerLoop) -> tuple[Params, Tensor]:
    """Returns the gradient of the training loss with respect to the weights, and the loss."""
    perturb = loop.perturb
    mixing = problem.train.mixing(problem.alphas) if perturb is None else perturb(problem)
    return torch.func.grad_and_value(problem.train.loss_at)(problem.weights, mixing)


def _proximal(gradient: Params, point: Params, origin: Params, strength: float) -> Params:
    """Adds the gradient of ``strength / 2 ||point - origin||^2``."""
    if strength == 0:
        return gradient
    return {k: g + strength * (point[k] - origin[k]) for k, g in gradient.items()}


def _constant(gradient: Params) -> Params:
    """Returns the same numbers without their history."""
    return pytree.tree_map(torch.Tensor.detach, gradient)
