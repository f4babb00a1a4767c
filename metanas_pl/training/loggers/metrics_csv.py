"""``metrics.csv``: every row once, however often the run is killed and resumed."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytorch_lightning as pl
from pytorch_lightning.trainer.states import TrainerFn

from metanas_pl.training.loggers.wandb import remember_run
from metanas_pl.utils.files import RowsFile
from metanas_pl.utils.lightning_private import PlainLogger, PlainWriter, log_step_at_hand

if TYPE_CHECKING:
    from metanas_pl.types import Checkpoint


class RunLog(PlainLogger):
    """Lightning's CSVLogger on a file that a resumed run continues.

    Args:
        run_dir: where ``metrics.csv`` is.
    """

    def __init__(self, run_dir: Path) -> None:
        super().__init__(str(run_dir.parent), name=run_dir.name, version="")

    def make_writer(self) -> PlainWriter:
        """Returns the writer of the file."""
        return _Writer(self.log_dir)


class _Writer(PlainWriter):
    """Hands rows to a :class:`RowsFile`; one that is logged twice in succession is one row."""

    def __init__(self, log_dir: str) -> None:
        super().__init__(log_dir)
        self.file = RowsFile(Path(self.metrics_file_path))
        self._latest = ""

    def log_metrics(self, metrics_dict: dict[str, float], step: int | None = None) -> None:
        super().log_metrics(metrics_dict, step)
        latest, self._latest = self._latest, str(self.metrics[-1])
        if self._latest == latest:
            self.metrics.pop()

    def save(self) -> None:
        if self.metrics:
            self.file.append(self.metrics)
            self.metrics = []


class LogPosition(pl.Callback):
    """A checkpoint knows which rows belong to it: on resume, later ones go, and the run writes them again.

    Args:
        log: the rows.
        resumes: the checkpoint to resume from is of this run folder, so its rows are here.
    """

    def __init__(self, log: RunLog, resumes: bool) -> None:
        self.run_log, self.resumes = log, resumes

    def on_save_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: Checkpoint
    ) -> None:
        """Brings all rows to the disk before the checkpoint, that of a step just ended, too."""
        log_step_at_hand(trainer)
        if trainer.is_global_zero:
            self.run_log.save()
            self.run_log.experiment.file.sync()
            checkpoint["n_log_rows"] = self.run_log.experiment.file.n_rows
            remember_run(checkpoint, trainer.loggers, self.run_log.log_dir)

    def on_load_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: Checkpoint
    ) -> None:
        """Drops the rows after the checkpoint; one that is loaded for a test changes nothing."""
        fits = trainer.state.fn == TrainerFn.FITTING
        if fits and self.resumes and trainer.is_global_zero:
            self.run_log.experiment.file.cut(checkpoint.get("n_log_rows", 0))
