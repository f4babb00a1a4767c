"""The progress bar: loss, validation accuracy, temperature, alpha entropy, episodes per second."""

from __future__ import annotations

import time
from math import ceil
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.callbacks import RichProgressBar


class EpisodeProgressBar(RichProgressBar):
    """Rich progress bar over the outer steps of the whole run, with the fields of few-shot search."""

    def __init__(self) -> None:
        super().__init__(refresh_rate=5)
        self._begin, self._first_step = 0.0, 0

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Start the clock."""
        self._begin, self._first_step = time.perf_counter(), trainer.global_step
        super().on_train_start(trainer, pl_module)

    def _get_train_description(self, current_epoch: int) -> str:
        """``Epoch 3/10``, counted from 1; Lightning would show ``Epoch 2/-2`` here."""
        n_epochs, n_batches = self.trainer.max_epochs, self.total_train_batches
        if self.trainer.max_steps > 0 and n_batches:
            by_steps = ceil(self.trainer.max_steps / n_batches)
            n_epochs = min(n_epochs, by_steps) if n_epochs and n_epochs > 0 else by_steps
        total = f"/{n_epochs}" if n_epochs and n_epochs > 0 else ""
        # As wide as the other bar's text, or the two would flicker.
        return f"{f'Epoch {current_epoch + 1}{total}':{len(self.validation_description)}}"

    def get_metrics(self, trainer: pl.Trainer, pl_module: Any) -> dict[str, Any]:
        """Short fields for one line."""
        shown = trainer.callback_metrics
        fields: dict[str, Any] = {"step": f"{trainer.global_step}/{trainer.max_steps}"}
        for key, name in (("train/loss", "loss"), ("val/accuracy", "val acc")):
            if key in shown:
                fields[name] = f"{shown[key].item():.3f}"
        if "alpha/entropy" in shown and len(pl_module.alphas):
            nas, falls = pl_module.nas, not pl_module.clock.warm_up
            if pl_module.nas.anneals:
                fields["T"] = f"{nas.t_max:g}→{nas.t_min:g}" if falls else f"{nas.t_max:g}"
            fields["entropy"] = f"{shown['alpha/entropy'].item():.2f}"
        elapsed = time.perf_counter() - self._begin
        steps = trainer.global_step - self._first_step
        if trainer.training and steps > 0:
            rate = steps / elapsed
            episodes = rate * trainer.datamodule.n_tasks_per_step  # type: ignore[attr-defined]
            fields["episodes/s"] = f"{episodes:.1f}"
            if trainer.max_steps > 0:
                left = (trainer.max_steps - trainer.global_step) / rate
                fields["left"] = f"{int(left // 60)}:{int(left % 60):02d}"
        return fields
