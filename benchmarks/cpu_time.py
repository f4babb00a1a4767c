"""Equal budgets on a machine that others use too: training ends after so much CPU time."""

from __future__ import annotations

import time
from typing import Any

import pytorch_lightning as pl

from metanas_pl.errors import UserError


class CPUTime(pl.Callback):
    """Stop the training of this process after ``seconds`` of CPU time; the last step is validated.

    What decays over the training, as the outer rates, does so over this time: the module asks for it.
    """

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._begin: float | None = None

    def time_elapsed(self) -> float:
        """CPU seconds since the training began."""
        return 0.0 if self._begin is None else time.process_time() - self._begin

    def time_remaining(self) -> float:
        """CPU seconds that are left."""
        return max(0.0, self.seconds - self.time_elapsed())

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Start the clock.

        Raises:
            UserError: several processes would stop at steps of their own.
        """
        if trainer.world_size > 1:
            raise UserError(
                f"{trainer.world_size} processes have {trainer.world_size} clocks: set trainer.devices=1"
            )
        self._begin = time.process_time()

    def on_train_batch_end(self, trainer: pl.Trainer, pl_module: Any, *args: Any) -> None:
        """Look at it after every outer step."""
        if not self.time_remaining():
            trainer.should_stop = True


def callback(seconds: float) -> dict[str, Any]:
    """Its configuration, for ``callbacks``."""
    return {"_target_": "benchmarks.cpu_time.CPUTime", "seconds": seconds}
