"""Where the time of training goes: into computing, waiting for episodes, or exchanging gradients."""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING

import pytorch_lightning as pl
import torch

if TYPE_CHECKING:
    from metanas_pl.types import Episodes


class Utilisation(pl.Callback):
    """Log the speed of training, once in ``log_every_n_steps`` outer steps and as their mean.

    ``speed/episodes_per_second`` of all processes together, without validation and checkpoints. Of the
    first process, in seconds an outer step: ``speed/data_seconds``, in which it waited for episodes
    (without workers: drew them), and ``speed/communication_seconds`` of the backward pass, which does
    nothing but exchange gradients; the wait for a slower process is in the latter, and one process has 0.
    """

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Begins to count."""
        self._begin_window(trainer)

    def _begin_window(self, trainer: pl.Trainer) -> None:
        self._first_step, self._busy, self._exchange = trainer.global_step, 0.0, 0.0
        self._n_tasks = 0
        self._waited = _waited(trainer)

    def on_train_batch_start(self, *args: object) -> None:
        """Starts the clock of a batch."""
        self._begin = time.perf_counter()

    def on_before_backward(self, trainer: pl.Trainer, *args: object) -> None:
        """Starts the clock of the exchange."""
        self._begin_exchange = _now(trainer)

    def on_after_backward(self, trainer: pl.Trainer, *args: object) -> None:
        """Stops it."""
        if trainer.world_size > 1:
            self._exchange += _now(trainer) - self._begin_exchange

    def on_train_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: object,
        batch: Episodes,
        *args: object,
    ) -> None:
        """Logs what Lightning is about to write."""
        self._busy += time.perf_counter() - self._begin
        self._n_tasks += len(batch.index) * trainer.world_size
        every: int = trainer.log_every_n_steps  # type: ignore[attr-defined]
        every, step = max(1, every), trainer.global_step
        if step // every == self._first_step // every:
            return
        n_steps, data = step - self._first_step, _waited(trainer) - self._waited
        speed = {
            "episodes_per_second": self._n_tasks / (self._busy + data),
            "data_seconds": data / n_steps,
            "communication_seconds": self._exchange / n_steps,
        }
        pl_module.log_dict({f"speed/{name}": value for name, value in speed.items()})
        self._begin_window(trainer)


def _waited(trainer: pl.Trainer) -> float:
    """Returns seconds that this process waited for the training loader; other loaders do not count them."""
    return float(getattr(trainer.train_dataloader, "waited", math.nan))


def _now(trainer: pl.Trainer) -> float:
    """Returns the time, after the device has done what it was told."""
    if trainer.world_size > 1 and trainer.strategy.root_device.type == "cuda":
        torch.cuda.synchronize(trainer.strategy.root_device)
    return time.perf_counter()
