"""The reference of the search-step benchmarks: MetaNAS as a loop over modules.

Written from the description of the method, the way its authors' code works: one ``nn.Module``, a Python
loop over tasks, ``torch.optim``, and in every inner step a forward and a backward pass for the alphas and
another for the weights.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchmarks.plain_network import PlainSupernet
from metanas_pl.algorithms.nas.relaxations import apply_threshold, softmax
from metanas_pl.engine.task_batch import TaskBatch, task
from metanas_pl.types import Theta


class Settings(NamedTuple):
    """The inner loop: Adam with beta1 = 0 for both (AdamW for the alphas), a temperature for each step.

    ``arch_steps`` leading steps also move the alphas.
    """

    weight_lr: float
    alpha_lr: float
    alpha_weight_decay: float
    temperatures: tuple[float, ...]
    threshold: float
    arch_steps: int


def reptile_gradient(
    network: PlainSupernet, theta: Theta, tasks: TaskBatch, settings: Settings
) -> Theta:
    """``theta - theta*``, mean over the tasks, for weights and alphas (MetaNAS, equation 5)."""
    n_tasks = tasks.query_y.shape[0]
    weights = {k: torch.zeros_like(w) for k, w in theta.weights.items()}
    alphas = {k: torch.zeros_like(a) for k, a in theta.alphas.items()}
    for t in range(n_tasks):
        adapted = adapt(network, theta, task(tasks, t), settings)
        for mean, old, new in zip((weights, alphas), theta, adapted, strict=False):
            for name in mean:
                mean[name] += (old[name] - new[name]) / n_tasks
    return Theta(weights, alphas)


def adapt(network: PlainSupernet, theta: Theta, data: TaskBatch, settings: Settings) -> Theta:
    """Weights and alphas after the inner loop of one task; the module is used up on the way."""
    network.load_state_dict(theta.weights)
    alphas = {k: nn.Parameter(a.clone()) for k, a in theta.alphas.items()}
    betas = (0.0, 0.999)
    w_optimizer = torch.optim.Adam(network.parameters(), settings.weight_lr, betas)
    a_optimizer = torch.optim.AdamW(
        alphas.values(), settings.alpha_lr, betas, weight_decay=settings.alpha_weight_decay
    )
    for step, temperature in enumerate(settings.temperatures):
        batches = (a_optimizer, data.support.arch(step)), (w_optimizer, data.support.train(step))
        for optimizer, batch in batches[step >= settings.arch_steps :]:
            w_optimizer.zero_grad()
            a_optimizer.zero_grad()
            mixing = apply_threshold(softmax(alphas, temperature), settings.threshold)
            logits: Tensor = network(batch.x, mixing)
            F.cross_entropy(logits, batch.y).backward()
            optimizer.step()
    weights = {k: p.detach().clone() for k, p in network.named_parameters()}
    return Theta(weights, {k: a.detach() for k, a in alphas.items()})
