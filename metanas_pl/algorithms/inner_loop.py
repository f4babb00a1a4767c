"""The inner loop: a few gradient steps on one episode's support set give (w*, alpha*).

This is the map Phi^k of the paper (Elsken et al. 2020, equation 3). It is a pure function: it runs
under ``torch.func.grad`` and ``torch.func.vmap``, and leaves everything meta-learned untouched.

Shapes: S support images, B of them in a w-step, A in an alpha-step, C, H, W an image, N ways, k steps,
O operations; ``*T`` is nothing for one task and T for the tasks of a meta-batch.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor
from torch.utils import _pytree as pytree

from metanas_pl.algorithms.inner_optimizers import InnerOptimizer, State, States
from metanas_pl.types import Alphas, Mixing, Params, Theta

if TYPE_CHECKING:
    from jaxtyping import Bool, Float, Int


class Batch(NamedTuple):
    """Labelled images and the noise of this pass over them, if any.

    ``drop_path`` are factors; ``noise`` is what the relaxation draws with, by alpha; ``real`` and ``ways``
    are as in :class:`Support`.
    """

    x: Float[Tensor, "B C H W"]
    y: Int[Tensor, " B"]
    drop_path: Float[Tensor, "cells edges O B"] | None = None
    noise: Params | None = None
    real: Float[Tensor, " B"] | None = None
    ways: Bool[Tensor, " N"] | None = None


class Support(NamedTuple):
    """The support set of one episode and the minibatch that each of ``k`` inner steps takes from it.

    Attributes:
        x: images.
        y: labels.
        train_index: rows for the w-step.
        arch_index: rows for the alpha-step.
        drop_path: factors for both, or None.
        noise: noise of the relaxation for both, ``(k, 2, ...)`` by alpha, or None.
        real: 1 for a row with an image, 0 for one that fills up a smaller episode; such rows have a label
            below 0 and come last. None: all are images.
        ways: which classes the episode has; None: all.
    """

    x: Float[Tensor, "*T S C H W"]
    y: Int[Tensor, "*T S"]
    train_index: Int[Tensor, "*T k B"]
    arch_index: Int[Tensor, "*T k A"]
    drop_path: Float[Tensor, "*T k 2 cells edges O B"] | None = None
    noise: Params | None = None
    real: Float[Tensor, "*T S"] | None = None
    ways: Bool[Tensor, "*T N"] | None = None

    def train(self, step: int) -> Batch:
        """Returns the batch of the w-step."""
        return self._take(self.train_index[step], step, 0)

    def arch(self, step: int) -> Batch:
        """Returns the batch of the alpha-step."""
        return self._take(self.arch_index[step], step, 1)

    @property
    def n_ways(self) -> Int[Tensor, ""]:
        """Classes of the episode."""
        return self.y.max() + 1

    def first_noise(self) -> Params | None:
        """Returns the first noise drawn, for a forward pass outside the inner steps."""
        return None if self.noise is None else {k: n[0, 0] for k, n in self.noise.items()}

    def whole(self) -> Batch:
        """Returns all of it as one batch, without noise."""
        return Batch(self.x, self.y, real=self.real, ways=self.ways)

    def _take(self, rows: Tensor, step: int, which: int) -> Batch:
        drop = None if self.drop_path is None else self.drop_path[step, which]
        noise = None if self.noise is None else {k: n[step, which] for k, n in self.noise.items()}
        real = None if self.real is None else self.real[rows]
        return Batch(self.x[rows], self.y[rows], drop, noise, real, self.ways)


class Objective(NamedTuple):
    """What an inner step descends on.

    Attributes:
        mixing: ``(alphas, temperature, noise) -> mixing weights``: the relaxation.
        loss: ``(weights, mixing, batch) -> scalar``.
    """

    mixing: Callable[[Alphas, float, Params | None], Mixing]
    loss: Callable[[Params, Mixing, Batch], Tensor]


class Pass(NamedTuple):
    """One forward pass of an inner step: a batch with its noise, at the step's temperature."""

    objective: Objective
    batch: Batch
    temperature: float
    frozen: Params

    def mixing(self, alphas: Alphas) -> Mixing:
        """Returns the mixing weights of this pass."""
        return self.objective.mixing(alphas, self.temperature, self.batch.noise)

    def loss_at(self, weights: Params, mixing: Mixing) -> Float[Tensor, ""]:
        """Returns the loss as a function of the adapting weights and the mixing weights."""
        return self.objective.loss({**self.frozen, **weights}, mixing, self.batch)

    def loss(self, weights: Params, alphas: Alphas) -> Float[Tensor, ""]:
        """Returns the loss as a function of the adapting weights and the alphas."""
        return self.loss_at(weights, self.mixing(alphas))


class InnerProblem(NamedTuple):
    """What a NAS method may look at in one inner step.

    Attributes:
        train, arch: the passes of the w-step and of the alpha-step.
        weights: those that adapt.
        alphas: the architecture logits.
        weight_optimizer, weight_state: the actual w-step: ``update(gradient, state, weights)``.
    """

    train: Pass
    arch: Pass
    weights: Params
    alphas: Alphas
    weight_optimizer: InnerOptimizer
    weight_state: State


class InnerSchedule(NamedTuple):
    """The steps of an inner loop; made once, read everywhere.

    Attributes:
        temperatures: of the relaxation, one for each inner step.
        arch_steps: leading steps that also take an alpha-step (0 in warm-up).
        query_temperature: at which the adapted architecture answers the queries.
    """

    temperatures: tuple[float, ...]
    arch_steps: int
    query_temperature: float

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
        if alphas and step < loop.schedule.arch_steps:
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
