"""The mean over the tasks of a meta-batch, without those that came to no finite result.

Shapes: T tasks.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor
from torch.utils import _pytree as pytree

from metanas_pl.algorithms.meta.meta_gradients import MetaGradient
from metanas_pl.types import Theta

if TYPE_CHECKING:
    from jaxtyping import Bool, Float


class MeanOfTasks(NamedTuple):
    """Mean meta-gradient, query loss and accuracy of the tasks that are ``finite``.

    If none is, the gradient is zero, and loss and accuracy are NaN.
    """

    gradient: Theta
    loss: Float[Tensor, ""]
    accuracy: Float[Tensor, ""]
    finite: Bool[Tensor, " T"]


def finite_tasks(per_task: MetaGradient) -> Bool[Tensor, " T"]:
    """Returns which tasks have a finite loss and a meta-gradient of finite norm.

    A norm overflows long before its entries do, in float32 at 1.8e19: means of such gradients are finite.

    >>> gradient = Theta({"w": torch.tensor([[1.0], [torch.inf]])}, {})
    >>> finite_tasks(MetaGradient(gradient, torch.ones(2), torch.ones(2)))
    tensor([ True, False])
    """
    sizes = [per_task.loss, *map(_norms, pytree.tree_leaves(per_task.gradient))]
    return torch.stack([size.isfinite() for size in sizes]).all(0)


def mean_of_finite(per_task: MetaGradient) -> MeanOfTasks:
    """Returns the mean of results with a leading task dimension.

    Bit for bit it is the plain mean if all are finite.

    >>> gradient = Theta({"w": torch.tensor([[1.0], [torch.nan], [3.0]])}, {})
    >>> mean_of_finite(MetaGradient(gradient, torch.ones(3), torch.ones(3))).gradient.weights
    {'w': tensor([2.])}
    """
    finite = finite_tasks(per_task)
    n_tasks, n_finite = len(finite), finite.sum()

    def mean(leaf: Tensor, least: int) -> Tensor:
        kept = leaf.where(finite.view(-1, *(1,) * (leaf.ndim - 1)), 0)
        return kept.mean(0) * (n_tasks / n_finite.clamp(min=least).to(leaf.dtype))

    gradient = pytree.tree_map(lambda leaf: mean(leaf, least=1), per_task.gradient)
    loss, accuracy = (mean(leaf, least=0) for leaf in (per_task.loss, per_task.accuracy))
    return MeanOfTasks(gradient, loss, accuracy, finite)


def _norms(leaf: Tensor) -> Tensor:
    """Returns the norm of each task's part, ``(T,)``."""
    precision = torch.promote_types(leaf.dtype, torch.float32)
    return torch.linalg.vector_norm(leaf.reshape(len(leaf), -1), dim=1, dtype=precision)
