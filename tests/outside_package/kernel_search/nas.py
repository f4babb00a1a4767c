"""A NAS method of another package."""

from __future__ import annotations

import torch

from metanas_pl.algorithms.inner_problem import InnerProblem
from metanas_pl.types import Alphas


def both_batches(problem: InnerProblem, *, share: float = 0.5) -> Alphas:
    """Alphas descend on ``share`` of the training loss and the rest of the loss that DARTS takes."""
    train, arch = (
        torch.func.grad(one.loss, argnums=1)(problem.weights, problem.alphas)
        for one in (problem.train, problem.arch)
    )
    return {name: share * train[name] + (1 - share) * arch[name] for name in problem.alphas}
