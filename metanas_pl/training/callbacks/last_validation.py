"""Validate and save where the training ends, be it in the middle of an epoch."""

from __future__ import annotations

import pytorch_lightning as pl

from metanas_pl.training.callbacks.interrupt import save_last


class LastValidation(pl.Callback):
    """Validation, and with it the checkpoints, after step ``max_steps``, too.

    Lightning validates at the end of an epoch; an epoch is any number of outer steps here, and
    without this the steps after the last whole one would be trained in vain.
    """

    def on_train_batch_end(self, trainer: pl.Trainer, *args: object) -> None:
        """Asked to stop, Lightning validates first; without validation only the last is saved."""
        if trainer.global_step == trainer.max_steps:
            trainer.should_stop = True
            if not trainer.enable_validation:
                save_last(trainer)
