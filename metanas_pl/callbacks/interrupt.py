"""Stop on Ctrl-C between two outer steps, with everything saved."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.trainer.states import TrainerFn


def save_last(trainer: pl.Trainer) -> None:
    """Write ``last.ckpt`` into the folder of the checkpoints, if there is one."""
    checkpoint = trainer.checkpoint_callback
    if checkpoint is not None:
        folder = Path(checkpoint.dirpath)  # type: ignore[attr-defined]
        trainer.save_checkpoint(folder / "last.ckpt")


class GracefulInterrupt(pl.Callback):
    """Let the first Ctrl-C finish the outer step at hand, save ``last.ckpt`` and end the training.

    A second Ctrl-C stops at once. ``interrupted`` tells the caller what happened.
    """

    def __init__(self) -> None:
        self.interrupted = False
        self._before: Any = None

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Listen for Ctrl-C while training (outside a main thread there is none to hear)."""
        try:
            self._before = signal.signal(signal.SIGINT, self._on_signal)
        except ValueError:
            self._before = None

    def _on_signal(self, number: int, frame: Any) -> None:
        self.interrupted = True
        signal.signal(number, self._before)

    def on_train_batch_end(self, trainer: pl.Trainer, *args: Any) -> None:
        """After the outer step at hand, save where the run stands and ask Lightning to stop.

        Lightning's counters allow an exact continuation only from here, and not from a later hook
        but ``on_validation_end``. The validation that Lightning adds to a stop in mid-epoch is left
        out; at the end of an epoch it is due anyway.
        """
        if self._stops(trainer) and not trainer.is_last_batch:
            trainer.limit_val_batches = 0

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Ctrl-C in a validation ends the training after it."""
        if not trainer.sanity_checking and trainer.state.fn == TrainerFn.FITTING:
            self._stops(trainer)

    def _stops(self, trainer: pl.Trainer) -> bool:
        """After Ctrl-C on any rank: save, and ask Lightning to stop, even before ``min_steps``."""
        stops = trainer.strategy.reduce_boolean_decision(self.interrupted, all=False)
        if stops:
            self.interrupted = True
            trainer.should_stop = True
            trainer.fit_loop.min_epochs = trainer.fit_loop.epoch_loop.min_steps = None
            save_last(trainer)
        return stops

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Give Ctrl-C back."""
        if self._before is not None:
            signal.signal(signal.SIGINT, self._before)
