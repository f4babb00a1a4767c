"""Perturbed mixing weights for the w-step (SDARTS, Chen & Hsieh 2020).

The weights learn under an architecture moved inside an l-infinity ball around the mixing weights, so the
loss becomes flat in the architecture and discretisation costs less; the alpha-step sees none of it.
"""

from __future__ import annotations

import torch

from metanas_pl.algorithms.inner_problem import InnerProblem
from metanas_pl.types import Mixing


def random_ball(problem: InnerProblem, *, radius: float = 0.03) -> Mixing:
    """SDARTS-RS: uniform noise of at most ``radius`` on every mixing weight.

    Args:
        problem: the inner problem; ``problem.train.batch.noise`` is uniform in [0, 1).
        radius: half the side of the ball.
    """
    noise = problem.train.batch.noise or {}
    mixing = problem.train.mixing(problem.alphas)
    return _inside({k: m + radius * (2 * noise[k] - 1) for k, m in mixing.items()}, mixing)


def adversarial(problem: InnerProblem, *, radius: float = 0.03, steps: int = 3) -> Mixing:
    """SDARTS-ADV: the worst point of the ball, by projected sign-gradient ascent on the training loss.

    Args:
        problem: the inner problem.
        radius: half the side of the ball.
        steps: ascent steps, each ``2.5 radius / steps`` long and projected to the ball.
    """
    mixing = problem.train.mixing(problem.alphas)
    shift = {k: torch.zeros_like(m) for k, m in mixing.items()}
    for _ in range(steps):
        point = {k: (m + shift[k]).detach() for k, m in mixing.items()}
        gradient = torch.func.grad(problem.train.loss_at, argnums=1)(problem.weights, point)
        length = 2.5 * radius / steps
        shift = {
            k: (s + length * gradient[k].detach().sign()).clamp(-radius, radius)
            for k, s in shift.items()
        }
    return _inside({k: m + shift[k] for k, m in mixing.items()}, mixing)


def _inside(moved: Mixing, mixing: Mixing) -> Mixing:
    """Back to non-negative weights with the sums of before; what was switched off stays off."""
    positive = {k: m.clamp_min(0) * (mixing[k] > 0) for k, m in moved.items()}
    return {
        k: p * (mixing[k].sum(-1, keepdim=True) / p.sum(-1, keepdim=True).clamp_min(1e-12))
        for k, p in positive.items()
    }
