"""A meta-learner of another package."""

from __future__ import annotations

import torch
from torch.utils import _pytree as pytree

from metanas_pl.algorithms.inner_loop import Theta
from metanas_pl.algorithms.meta.meta_gradients import MetaGradient, Task, fomaml


def equal_tasks(theta: Theta, task: Task, *, length: float = 1.0) -> MetaGradient:
    """First-order MAML whose meta-gradient is as long for every task."""
    result = fomaml(theta, task)
    norm = torch.stack([g.norm() for part in result.gradient for g in part.values()]).norm()
    return result._replace(gradient=pytree.tree_map(lambda g: length * g / norm, result.gradient))
