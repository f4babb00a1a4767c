"""Episodes as the method sees them: with the minibatches and the noise of their inner loop."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.utils import _pytree as pytree

from metanas_pl.functional.adaptation import Support
from metanas_pl.functional.noise import drop_path, episode_generator, minibatches
from metanas_pl.functional.optimizers import Params

Draw = Callable[[tuple[int, ...], torch.Generator], Tensor]


class TaskData(NamedTuple):
    """One episode; with a leading task dimension, a meta-batch.

    ``noise_at_query``: the architecture that noise drew for the task also answers its queries.
    """

    support: Support
    query_x: Tensor
    query_y: Tensor
    noise_at_query: bool = False

    def query_noise(self) -> Params | None:
        """Noise of the forward pass over the queries; None for the most likely architecture."""
        return self.support.first_noise() if self.noise_at_query else None


def task(tasks: TaskData, t: int) -> TaskData:
    """Task ``t`` of a meta-batch."""
    return pytree.tree_map(lambda leaf: leaf[t] if isinstance(leaf, Tensor) else leaf, tasks)


def prepare(
    episode: Any,
    seed: int,
    steps: int,
    batch_size: int | None,
    drop: tuple[tuple[int, ...] | None, float],
    relaxation: tuple[Draw | None, dict[str, tuple[int, ...]], bool],
) -> TaskData:
    """Add minibatches and noise to a batch of episodes; they depend on each episode's index alone.

    Args:
        episode: ``support_x (T, S, C, H, W)``, ``support_y``, ``query_x``, ``query_y``, ``index (T,)``.
        seed: the run's seed.
        steps: inner steps.
        batch_size: samples of an inner step; None takes the support set.
        drop: ``(cells, edges, O)`` of drop path, or None, and its probability.
        relaxation: how noise is drawn, or None; the shape of each alpha; whether once a task.
    """
    rows: list[dict[str, Any]] = []
    size = episode.support_x.shape[1]
    draw, shapes, per_task = relaxation
    for index in episode.index.tolist():
        generator = episode_generator(seed, index)
        train = minibatches(size, batch_size, steps, generator)
        arch = minibatches(size, batch_size, steps, generator)
        drops = noise = None
        if drop[0] is not None:
            drops = drop_path((steps, 2, *drop[0], train.shape[1]), drop[1], generator)
        if draw is not None:
            passes = (1, 1) if per_task else (steps, 2)
            noise = {k: draw((*passes, *shape), generator) for k, shape in shapes.items()}
            noise = {k: n.expand(steps, 2, *n.shape[2:]) for k, n in noise.items()}
        rows.append({"train": train, "arch": arch, "drops": drops, "noise": noise})
    device = episode.support_x.device
    stacked = pytree.tree_map(
        lambda *leaves: None if leaves[0] is None else torch.stack(leaves).to(device), *rows
    )
    support = Support(
        episode.support_x,
        episode.support_y,
        stacked["train"],
        stacked["arch"],
        stacked["drops"],
        stacked["noise"],
    )
    return TaskData(support, episode.query_x, episode.query_y, per_task and draw is not None)
