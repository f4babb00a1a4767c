"""Stop the hopeless trials of a sweep early."""

from __future__ import annotations

import csv
from pathlib import Path
from statistics import median

import pytorch_lightning as pl
from pytorch_lightning.trainer.states import TrainerFn


class MedianPruning(pl.Callback):
    """End the training of a trial whose best validation is below the median of the other trials.

    The median stopping rule of Google Vizier (Golovin et al. 2017): others count by their best until the
    same outer step, as their ``metrics.csv`` has it. So it works with every sweeper and launcher whose
    trials write to one disk. A stopped trial is tested and reported like any other.

    Args:
        folder: of the sweep; each folder in it is a trial.
        monitor: what is compared; larger is better.
        min_trials: other trials that must have come as far.
        min_steps: outer steps that every trial may take.
    """

    def __init__(
        self,
        folder: str,
        monitor: str = "val/accuracy",
        min_trials: int = 4,
        min_steps: int = 0,
    ) -> None:
        self.folder, self.monitor = Path(folder), monitor
        self.min_trials, self.min_steps = min_trials, min_steps
        self._best = float("-inf")

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Compares; the first process decides for all."""
        if trainer.sanity_checking or trainer.state.fn != TrainerFn.FITTING:
            return
        self._best = max(self._best, float(trainer.callback_metrics[self.monitor]))
        if trainer.strategy.broadcast(trainer.is_global_zero and self._is_hopeless(trainer)):
            trainer.should_stop = True

    def _is_hopeless(self, trainer: pl.Trainer) -> bool:
        step, own = trainer.global_step, Path(trainer.default_root_dir).resolve()
        files = [f for f in self.folder.glob("*/metrics.csv") if f.parent.resolve() != own]
        others = [best for f in files if (best := best_until(f, self.monitor, step)) is not None]
        if step < self.min_steps or len(others) < max(1, self.min_trials):
            return False
        hopeless = self._best < median(others)
        if hopeless:
            print(
                f"stopped at outer step {step}: {self.monitor} {self._best:.4f} is below the median"
            )
        return hopeless


def best_until(file: Path, key: str, step: int) -> float | None:
    """Returns the largest value of a column up to ``step``; None if the trial did not come that far."""
    with file.open(encoding="utf-8", newline="") as rows:
        values = [
            (int(row["step"]), float(row[key])) for row in csv.DictReader(rows) if row.get(key)
        ]
    if not values or values[-1][0] < step - 1:  # Lightning counts the rows from 0
        return None
    return max((value for at, value in values if at <= step), default=None)
