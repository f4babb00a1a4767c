"""The progress bar: loss, validation accuracy, temperature, alpha entropy, episodes per second."""

from __future__ import annotations

import time
from math import ceil
from typing import TYPE_CHECKING, cast

import pytorch_lightning as pl

from metanas_pl.utils.lightning_private import StepProgressBar

if TYPE_CHECKING:
    from pytorch_lightning.utilities.types import STEP_OUTPUT

    from metanas_pl.module import MetaNASModule
    from metanas_pl.types import Episodes

Fields = dict[str, int | str | float | dict[str, float]]
"""What Lightning's bar shows, by name."""


class EpisodeProgressBar(StepProgressBar):
    """Rich progress bar over the outer steps of the whole run, with the fields of few-shot search.

    Without a terminal, as in the log of a cluster, a line every ``heartbeat_s`` seconds stands for it.
    """

    def __init__(self, heartbeat_s: float = 60) -> None:
        super().__init__(refresh_rate=5)
        self.heartbeat_s = heartbeat_s
        self._begin, self._first_step, self._last_beat = 0.0, 0, time.perf_counter()
        self._n_tasks = 0

    def on_train_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: STEP_OUTPUT,
        batch: Episodes,
        *args: int,
    ) -> None:
        """Shows the outer step."""
        self._n_tasks += len(batch.index) * trainer.world_size
        super().on_train_batch_end(trainer, pl_module, outputs, batch, *args)
        if self._beats():
            fields = self.get_metrics(trainer, pl_module).items()
            print("  ".join(f"{name} {value}" for name, value in fields), flush=True)

    def on_test_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: STEP_OUTPUT,
        batch: Episodes,
        i: int,
        *args: int,
    ) -> None:
        """Shows the batch of test episodes."""
        super().on_test_batch_end(trainer, pl_module, outputs, batch, i, *args)
        if self._beats():
            print(f"test, batch {i + 1}/{self.total_test_batches_current_dataloader}", flush=True)

    def _beats(self) -> bool:
        """Returns whether a line is due: there is no terminal for the bar, and the last line is old."""
        now = time.perf_counter()
        due = self.is_enabled and not self.is_seen and now - self._last_beat >= self.heartbeat_s
        if due:
            self._last_beat = now
        return due

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Starts the clock."""
        self._begin, self._first_step, self._n_tasks = time.perf_counter(), trainer.global_step, 0
        super().on_train_start(trainer, pl_module)

    def training_text(self, epoch: int) -> str:
        """Returns ``Epoch 3/10``, counted from 1; Lightning would show ``Epoch 2/-2`` here."""
        n_epochs, n_batches = self.trainer.max_epochs, self.total_train_batches
        if self.trainer.max_steps > 0 and n_batches:
            by_steps = ceil(self.trainer.max_steps / n_batches)
            n_epochs = min(n_epochs, by_steps) if n_epochs and n_epochs > 0 else by_steps
        total = f"/{n_epochs}" if n_epochs and n_epochs > 0 else ""
        return f"Epoch {epoch + 1}{total}"

    def get_metrics(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> Fields:
        """Returns short fields for one line."""
        shown, module = trainer.callback_metrics, cast("MetaNASModule", pl_module)
        fields: Fields = {"step": f"{trainer.global_step}/{trainer.max_steps}"}
        for key, name in (("train/loss", "loss"), ("val/accuracy", "val acc")):
            if key in shown:
                fields[name] = f"{shown[key].item():.3f}"
        if "alpha/entropy" in shown and len(module.alphas):
            if module.nas.anneals and "alpha/temperature" in shown:
                fields["T"] = f"{shown['alpha/temperature'].item():.2g}"
            if "alpha/open_choices" in shown:
                fields["open"] = f"{shown['alpha/open_choices'].item():.0f}"
            fields["entropy"] = f"{shown['alpha/entropy'].item():.2f}"
        elapsed = time.perf_counter() - self._begin
        steps = trainer.global_step - self._first_step
        if trainer.training and steps > 0:
            fields["episodes/s"] = f"{self._n_tasks / elapsed:.1f}"
            if trainer.max_steps > 0:
                left = (trainer.max_steps - trainer.global_step) * elapsed / steps
                fields["left"] = f"{int(left // 60)}:{int(left % 60):02d}"
        return fields
