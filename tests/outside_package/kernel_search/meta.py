"""A meta-learner of another package."""

from __future__ import annotations

import torch
from torch.utils import _pytree as pytree

from metanas_pl.algorithms.meta.meta_gradients import MetaGradient, Problem, fomaml
from metanas_pl.types import Theta


def equal_tasks(theta: Theta, problem: Problem, *, length: float = 1.0) -> MetaGradient:
    """First-order MAML whose meta-gradient is as long for every task."""
    result = fomaml(theta, problem)
    norm = torch.stack([g.norm() for part in result.gradient for g in part.values()]).norm()
    return result._replace(gradient=pytree.tree_map(lambda g: length * g / norm, result.gradient))
