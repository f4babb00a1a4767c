"""Meta-learners: from one adapted task to its meta-gradient on theta.

A meta-learner is a function ``(theta, task) -> MetaGradient``. It decides how the task is
differentiated; averaging over the tasks of a meta-batch and the outer optimizer lie outside.
To add one, write a function here (or in your own package) and name it in ``configs/meta/``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from metanas_pl.functional.adaptation import Adapted, Theta


class Task(NamedTuple):
    """One episode as two functions.

    Attributes:
        adapt: the task learner, ``theta -> Adapted``.
        query_loss: ``(weights, alphas) -> (loss, accuracy)`` on the query set.
    """

    adapt: Callable[[Theta], Adapted]
    query_loss: Callable[..., tuple[Tensor, Tensor]]


class MetaGradient(NamedTuple):
    """Meta-gradient of one task and, for the log, the query loss and accuracy behind it.

    A mean over tasks has no adapted point: ``adapted`` is then None.
    """

    gradient: Theta
    loss: Tensor
    accuracy: Tensor
    adapted: Adapted | None


MetaLearner = Callable[[Theta, Task], MetaGradient]


def reptile(theta: Theta, task: Task) -> MetaGradient:
    """Reptile (Nichol et al. 2018): ``theta - theta*``, for weights and alphas (MetaNAS, eq. 5)."""
    adapted = task.adapt(theta)
    loss, accuracy = task.query_loss(adapted.weights, adapted.alphas)
    gradient = Theta(
        {k: w - adapted.weights[k] for k, w in theta.weights.items()},
        {k: a - adapted.alphas[k] for k, a in theta.alphas.items()},
    )
    return MetaGradient(gradient, loss, accuracy, adapted)


def fomaml(theta: Theta, task: Task) -> MetaGradient:
    """First-order MAML (Finn et al. 2017): the query gradient taken at the adapted point."""
    adapted = task.adapt(theta)
    gradient, (loss, accuracy) = torch.func.grad_and_value(
        task.query_loss, argnums=(0, 1), has_aux=True
    )(adapted.weights, adapted.alphas)
    return MetaGradient(Theta(*gradient), loss, accuracy, adapted)
