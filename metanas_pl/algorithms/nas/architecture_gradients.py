"""Architecture steps of NAS methods: ``InnerProblem -> gradient of the alphas``.

To add a method, write one function here (or in your own package) and name it in ``configs/nas/``.
Keyword-only arguments are its options: ``nas.options`` sets them.
"""

from __future__ import annotations

import torch
from torch import Tensor

from metanas_pl.algorithms.inner_problem import InnerProblem
from metanas_pl.types import Alphas, Params


def first_order(problem: InnerProblem) -> Alphas:
    """First-order DARTS (Liu et al. 2019): the gradient at the current weights, w' = w.

    Args:
        problem: the inner problem; its train batch is not used.
    """
    return torch.func.grad(problem.arch.loss, argnums=1)(problem.weights, problem.alphas)


def second_order(problem: InnerProblem) -> Alphas:
    """Second-order DARTS (Liu et al. 2019, eq. 6), exact: through the step that the w-optimizer takes.

    The virtual step is the actual inner optimizer's (its rates, its moments), not an assumed SGD step.

    Args:
        problem: the inner problem; the virtual step sees its train batch, the alphas its arch batch.
    """

    def after_virtual_step(alphas: Alphas) -> Tensor:
        gradient = torch.func.grad(problem.train.loss)(problem.weights, alphas)
        return problem.arch.loss(_stepped(problem, gradient), alphas)

    return torch.func.grad(after_virtual_step)(problem.alphas)


def second_order_fd(problem: InnerProblem, *, radius: float = 0.01) -> Alphas:
    """Second-order DARTS by finite differences (Liu et al. 2019, eq. 7-8).

    With ``w' = w + u(g)``, ``g = grad_w L_train`` and ``p = J_u(g)^T grad_w' L_arch`` (for SGD
    ``-xi grad_w' L_arch``), the second-order term is the derivative of ``grad_alpha L_train`` along p:
    ``[grad_alpha L_train(w + eps p) - grad_alpha L_train(w - eps p)] / (2 eps)``, ``eps = radius / ||p||``.
    Both signs see the same batch and the same noise.

    Args:
        problem: the inner problem.
        radius: length of the finite difference, over all weights.
    """
    weights, alphas = problem.weights, problem.alphas
    gradient = torch.func.grad(problem.train.loss)(weights, alphas)
    virtual, pull_back = torch.func.vjp(lambda g: _stepped(problem, g), gradient)[:2]
    of_weights, direct = torch.func.grad(problem.arch.loss, argnums=(0, 1))(virtual, alphas)
    (direction,) = pull_back(of_weights)
    norm = torch.stack([(d * d).sum() for d in direction.values()]).sum().sqrt()
    eps = radius / norm.clamp_min(torch.finfo(norm.dtype).tiny ** 0.5)

    def alpha_gradient(sign: int) -> Alphas:
        moved = {k: w + sign * eps * direction[k] for k, w in weights.items()}
        return torch.func.grad(problem.train.loss, argnums=1)(moved, alphas)

    plus, minus = alpha_gradient(1), alpha_gradient(-1)
    return {k: g + (plus[k] - minus[k]) / (2 * eps) for k, g in direct.items()}


def training_speed(problem: InnerProblem, *, unrolled_steps: int = 3) -> Alphas:
    """TSE-DARTS (Ru et al. 2021): the gradient of the sum of a few unrolled training losses.

    Args:
        problem: the inner problem; its arch batch is not used.
        unrolled_steps: w-steps in the sum.
    """

    def total(alphas: Alphas) -> Tensor:
        weights, state, losses = problem.weights, problem.weight_state, []
        for _ in range(unrolled_steps):
            gradient, loss = torch.func.grad_and_value(problem.train.loss)(weights, alphas)
            losses.append(loss)
            weights, state = problem.weight_optimizer.update(gradient, state, weights)
        return torch.stack(losses).sum()

    return torch.func.grad(total)(problem.alphas)


def _stepped(problem: InnerProblem, gradient: Params) -> Params:
    """Returns weights after the w-step with this gradient."""
    return problem.weight_optimizer.update(gradient, problem.weight_state, problem.weights)[0]
