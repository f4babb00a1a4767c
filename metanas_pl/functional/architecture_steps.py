"""Architecture steps of NAS methods: ``InnerProblem -> gradient of the alphas``.

To add a method, write one function here (or in your own package) and name it in ``configs/nas/``.
"""

from __future__ import annotations

import torch

from metanas_pl.functional.adaptation import InnerProblem
from metanas_pl.functional.relaxation import Alphas


def first_order(problem: InnerProblem) -> Alphas:
    """First-order DARTS (Liu et al. 2019): the gradient at the current weights, w' = w."""
    return torch.func.grad(problem.arch_loss, argnums=1)(problem.weights, problem.alphas)


def frozen(problem: InnerProblem) -> Alphas:
    """No architecture step: zero gradients. A fixed network has no alphas to begin with."""
    return {name: torch.zeros_like(alpha) for name, alpha in problem.alphas.items()}
