"""The task learner: a few gradient steps on one episode's support set give (w*, alpha*).

This is the map Phi^k of the paper (Elsken et al. 2020, equation 3). It is a pure function: it runs
under ``torch.func.grad`` and ``torch.func.vmap``, and leaves everything meta-learned untouched.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor

from metanas_pl.functional.optimizers import InnerOptimizer, Params
from metanas_pl.functional.relaxation import Alphas


class Theta(NamedTuple):
    """What is meta-learned: ordinary weights and architecture logits, by name."""

    weights: Params
    alphas: Alphas


class Batch(NamedTuple):
    """Labelled images ``x (B, C, H, W)``, ``y (B,)`` and the drop-path factors for them, if any."""

    x: Tensor
    y: Tensor
    drop_path: Tensor | None = None


class Support(NamedTuple):
    """The support set of one episode and the minibatch that each of ``k`` inner steps takes from it.

    Attributes:
        x: images ``(S, C, H, W)``.
        y: labels ``(S,)``.
        train_index: rows for the w-step, ``(k, B)``.
        arch_index: rows for the alpha-step, ``(k, B)``.
        drop_path: factors for both, ``(k, 2, cells, edges, O, B)``, or None.
    """

    x: Tensor
    y: Tensor
    train_index: Tensor
    arch_index: Tensor
    drop_path: Tensor | None = None

    def train(self, step: int) -> Batch:
        """The batch of the w-step."""
        return self._take(self.train_index[step], step, 0)

    def arch(self, step: int) -> Batch:
        """The batch of the alpha-step."""
        return self._take(self.arch_index[step], step, 1)

    def _take(self, rows: Tensor, step: int, which: int) -> Batch:
        noise = None if self.drop_path is None else self.drop_path[step, which]
        return Batch(self.x[rows], self.y[rows], noise)


# loss(weights, alphas, batch, temperature) -> scalar
Loss = Callable[[Params, Alphas, Batch, float], Tensor]


class InnerProblem(NamedTuple):
    """What an architecture step may look at: both losses, the current point, the w-optimizer."""

    train_loss: Callable[[Params, Alphas], Tensor]
    arch_loss: Callable[[Params, Alphas], Tensor]
    weights: Params
    alphas: Alphas
    weight_optimizer: InnerOptimizer
    weight_state: Any


class TaskLearner(NamedTuple):
    """How one episode is learned.

    Attributes:
        alpha_gradient: the NAS method's step, ``InnerProblem -> gradient of the alphas``.
        weight_optimizer, alpha_optimizer: inner optimizers.
        temperatures: one per inner step; their number is the number of steps.
        arch_steps: leading steps that also take an alpha-step (0 in warm-up).
        adapts_weights: False freezes the weights.
    """

    alpha_gradient: Callable[[InnerProblem], Alphas]
    weight_optimizer: InnerOptimizer
    alpha_optimizer: InnerOptimizer
    temperatures: tuple[float, ...]
    arch_steps: int
    adapts_weights: bool = True


class Adapted(NamedTuple):
    """Result of an adaptation: the point reached, optimizer states, and the training loss per step."""

    weights: Params
    alphas: Alphas
    states: tuple[Any, Any]
    losses: Tensor


def adapt(
    loss: Loss,
    theta: Theta,
    support: Support,
    learner: TaskLearner,
    states: tuple[Any, Any] | None = None,
) -> Adapted:
    """Adapt weights and alphas to one episode (method of DARTS: alpha-step, then w-step).

    Args:
        loss: ``loss(weights, alphas, batch, temperature)``.
        theta: where to start.
        support: the episode's support set with its minibatches.
        learner: steps, optimizers and the NAS method.
        states: (weight, alpha) optimizer states carried from the task before; None starts fresh.
    """
    weights, alphas = theta
    w_state, a_state = states or (
        learner.weight_optimizer.init(weights),
        learner.alpha_optimizer.init(alphas),
    )
    losses = []
    for step, temperature in enumerate(learner.temperatures):
        train, arch = support.train(step), support.arch(step)

        def train_loss(
            w: Params, a: Alphas, batch: Batch = train, t: float = temperature
        ) -> Tensor:
            return loss(w, a, batch, t)

        def arch_loss(w: Params, a: Alphas, batch: Batch = arch, t: float = temperature) -> Tensor:
            return loss(w, a, batch, t)

        if alphas and step < learner.arch_steps:
            problem = InnerProblem(
                train_loss, arch_loss, weights, alphas, learner.weight_optimizer, w_state
            )
            a_grad = learner.alpha_gradient(problem)
            alphas, a_state = learner.alpha_optimizer.update(a_grad, a_state, alphas)
        if learner.adapts_weights:
            w_grad, value = torch.func.grad_and_value(train_loss)(weights, alphas)
            weights, w_state = learner.weight_optimizer.update(w_grad, w_state, weights)
            losses.append(value)
    trace = torch.stack(losses) if losses else support.x.new_zeros(0)
    return Adapted(weights, alphas, (w_state, a_state), trace)
