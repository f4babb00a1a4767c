"""The outer loop's small pieces: injected gradients, rates, counts of batches."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from metanas_pl.config import OuterConfig
from metanas_pl.errors import UserError
from metanas_pl.utils.lightning_private import batch_counts


class InjectGradient(torch.autograd.Function):
    """Return a loss whose backward delivers given gradients to given parameters.

    So Lightning's automatic optimisation, DDP, clipping and accumulation work for any meta-learner.
    """

    @staticmethod
    def forward(ctx: Any, loss: Tensor, share: Tensor, n: int, *tensors: Tensor) -> Tensor:
        """``tensors`` are n parameters followed by their n gradients; these count by ``share``."""
        ctx.save_for_backward(share, *tensors[n:])
        return loss.detach().clone()

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor) -> tuple[Tensor | None, ...]:
        """The stored gradients, times share and gradient of the loss (loss scaling, accumulation)."""
        share, *grads = ctx.saved_tensors
        scale = share * grad_outputs[0]
        return (None, None, None, *(scale * g for g in grads), *(None for _ in grads))


def learning_rate_factor(outer: OuterConfig, step: int, total: float) -> float:
    """Factor on the outer rates at ``step`` of ``total`` (0 < total): constant, linear or cosine.

    >>> learning_rate_factor(OuterConfig(schedule="linear"), 25, 100)
    0.75
    """
    done = min(step / total, 1.0) if 0 < total < math.inf else 0.0
    if outer.schedule == "linear":
        return 1.0 - done
    if outer.schedule == "cosine":
        return 0.5 * (1.0 + math.cos(math.pi * done))
    return 1.0


def fraction_of_time(trainer: Any) -> float | None:
    """How much of its time a training has used, by the clock that ends it (``trainer.max_time``).

    None without such a clock: a callback that tells ``time_elapsed()`` and ``time_remaining()``, as
    Lightning's Timer. Rank 0 tells the others.
    """
    clocks = [c for c in trainer.callbacks if hasattr(c, "time_remaining")]
    if not clocks:
        return None
    elapsed, remaining = clocks[0].time_elapsed(), clocks[0].time_remaining() or 0.0
    used = elapsed / max(elapsed + remaining, 1e-9)
    return float(trainer.strategy.broadcast(used))


def recount_batches(checkpoint: dict[str, Any], n_tasks: int) -> None:
    """Count the batches of a checkpoint's epoch as batches of ``n_tasks``, in place.

    Lightning accumulates by that count, and a resumed run may accumulate where there were more ranks. A
    batch after which it was saved is not completed: at a resume Lightning adds it as one.
    """
    progress = batch_counts(checkpoint)
    then = checkpoint["datamodule_hyper_parameters"]["meta_batch_size"]
    open_batches = progress["ready"] - progress["completed"]
    for state, count in progress.items():
        progress[state] = count * then // n_tasks
    progress["completed"] = progress["ready"] - open_batches


def check_batch(batch: Any, image_shape: tuple[int, ...]) -> None:
    """Refuse what is no batch of episodes, and images of another shape than the network's.

    Args:
        batch: what a loader gave.
        image_shape: ``(C, H, W)`` that the module was made for.

    Raises:
        UserError: says which loaders, or which shape, to take.
    """
    if not all(hasattr(batch, name) for name in ("support_x", "support_y", "query_x", "query_y")):
        raise UserError(
            f"the loader gives a {type(batch).__name__}, not a batch of metanas_pl.data.Episode: take an "
            "EpisodeDataModule (data=tensors or data=folder for your own images)"
        )
    found = tuple(batch.support_x.shape[-3:])
    if found != image_shape:
        raise UserError(
            f"the images are (C, H, W) = {found}, the network is for image_shape={image_shape}: "
            "make MetaNASModule with image_shape of the images, or set image_size and channels of the data"
        )
