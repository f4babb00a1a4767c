"""One episode as the functions that a meta-learner differentiates."""

from __future__ import annotations

from typing import Any

import torch.nn.functional as F
from torch import Tensor

from metanas_pl.algorithms.inner_loop import TaskLearner, Theta, adapt, inner_steps
from metanas_pl.algorithms.inner_optimizers import Params
from metanas_pl.algorithms.meta.meta_gradients import Task
from metanas_pl.algorithms.nas.relaxations import Mixing
from metanas_pl.engine.episode_network import EpisodeNetwork
from metanas_pl.engine.metrics import episode_accuracy
from metanas_pl.engine.task_batch import TaskData


def as_task(
    network: EpisodeNetwork,
    learner: TaskLearner,
    data: TaskData,
    query_norm: str,
    states: Any = None,
) -> Task:
    """One episode under a network and a task learner.

    Args:
        network: the episode's network.
        learner: its inner loop.
        data: support and query set.
        query_norm: batch norm of the queries, ``inductive`` or ``transductive``.
        states: inner optimizer states carried from the episode before.
    """
    temps, support, objective = learner.temperatures, data.support, network.objective()

    def start(theta: Theta) -> Theta:
        return network.start(theta, support, temps[0])

    def reached(theta: Theta, step: int) -> tuple[Params, Mixing]:
        mixing = network.mixing(theta.alphas, temps[max(step - 1, 0)], data.query_noise())
        return learner.weights_at(theta, step), mixing

    def query_loss(theta: Theta, step: int) -> tuple[Tensor, Tensor]:
        logits = network.query_logits(
            *reached(theta, step), support, data.query_x, query_norm, data.query_real
        )
        return F.cross_entropy(logits, data.query_y), episode_accuracy(logits, data.query_y)

    def adapts(theta: Theta) -> Theta:
        weights = {k: w for k, w in theta.weights.items() if learner.adapts(k)}
        return Theta(weights, theta.alphas if learner.arch_steps else {})

    return Task(
        adapt=lambda theta: adapt(objective, start(theta), support, learner, states),
        query_loss=query_loss,
        steps=lambda theta, first_order: inner_steps(
            objective, start(theta), support, learner, states, first_order
        ),
        support_loss=lambda theta: network.loss(*reached(theta, len(temps)), support.whole()),
        n_steps=len(temps),
        proximal=learner.proximal,
        adapts=adapts,
    )
