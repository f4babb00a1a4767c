"""All that this package takes from Lightning beyond what Lightning documents, in one place.

Lightning may change it in any release; ``WORKS_WITH`` names those in which the tests of this file pass.
"""

from __future__ import annotations

import traceback
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import pytorch_lightning as pl
from lightning_fabric.loggers.logger import rank_zero_experiment
from pytorch_lightning.callbacks import RichProgressBar, WeightAveraging
from pytorch_lightning.loggers import CSVLogger
from pytorch_lightning.loggers.csv_logs import ExperimentWriter

if TYPE_CHECKING:
    from subprocess import Popen

    from torch.utils.data import DataLoader
    from torch.utils.data.dataloader import _BaseDataLoaderIter

WORKS_WITH = ("2.6.4", "2.6.5", "2.6.6")
"""Releases of pytorch-lightning."""
LEAF_SPEC = r"pytorch_lightning\.utilities\._pytree"
"""The module of Lightning that makes a ``LeafSpec``, of which torch 2.13 and later warn."""
RESTORER = "checkpoint_connector"  # the file of Lightning that restores checkpoints


# -- the module and its Trainer -------------------------------------------------------------------


def trainer_of(module: pl.LightningModule) -> pl.Trainer | None:
    """Returns the Trainer of a LightningModule; None without one, where ``module.trainer`` raises."""
    return module._trainer


def is_compiled(module: pl.LightningModule) -> bool:
    """Returns whether ``torch.compile`` made the module."""
    return module._compiler_ctx is not None


def averages_buffers(trainer: Any) -> bool:
    """Returns whether a callback averages the buffers of the module with its parameters."""
    averaging = [c for c in trainer.callbacks if isinstance(c, WeightAveraging)]
    return any(callback._use_buffers for callback in averaging)


# -- the training loop ----------------------------------------------------------------------------


def log_step_at_hand(trainer: Any) -> None:
    """Logs a step that has just ended: Lightning does so after the hook in which callbacks save it."""
    batches = trainer.fit_loop.epoch_loop.batch_progress.current
    if batches.processed > batches.completed:
        trainer._logger_connector.update_train_step_metrics()


def validates_next(trainer: pl.Trainer) -> bool:
    """Returns whether a validation follows the batch that has just ended."""
    loop = trainer.fit_loop
    assert loop._data_fetcher is not None
    return loop.epoch_loop._should_check_val_fx(loop._data_fetcher)


def stop_before_minimum(trainer: pl.Trainer) -> None:
    """Makes ``should_stop`` count before ``min_epochs`` and ``min_steps``."""
    trainer.should_stop = True
    trainer.fit_loop.min_epochs = trainer.fit_loop.epoch_loop.min_steps = None


def batch_counts(checkpoint: dict[str, Any]) -> dict[str, int]:
    """Returns the counts of training batches of the epoch in a checkpoint, to be read and changed."""
    counts: dict[str, int] = checkpoint["loops"]["fit_loop"]["epoch_loop.batch_progress"]["current"]
    return counts


# -- errors and processes -------------------------------------------------------------------------


def arose_in_restoring(error: BaseException) -> bool:
    """Returns whether Lightning was restoring a checkpoint when the error arose."""
    frames = traceback.extract_tb(error.__traceback__)
    return any(RESTORER in f.filename and "restore" in f.name for f in frames)


def launched_processes(trainer: pl.Trainer) -> Sequence[Popen[bytes]]:
    """Returns the processes that Lightning started beside this one, by rank."""
    processes: Sequence[Popen[bytes]] = getattr(trainer.strategy.launcher, "procs", [])
    return processes


# -- classes that override private methods --------------------------------------------------------


class StepProgressBar(RichProgressBar):
    """Lightning's progress bar, with its text and its console open to subclasses."""

    def training_text(self, epoch: int) -> str:
        """Returns the text before the bar of the training."""
        raise NotImplementedError

    def _get_train_description(self, current_epoch: int) -> str:
        # As wide as the other bar's text, or the two would flicker.
        return f"{self.training_text(current_epoch):{len(self.validation_description)}}"

    @property
    def is_seen(self) -> bool:
        """Whether the bar is drawn somewhere."""
        console = self._console
        return console is not None and (console.is_terminal or console.is_jupyter)


class PlainWriter(ExperimentWriter):
    """Lightning's writer of ``metrics.csv``, in a folder that may hold files already.

    Lightning would warn of a run folder that is used again, and empty it.
    """

    def _check_log_dir_exists(self) -> None:
        pass


class PlainLogger(CSVLogger):
    """Lightning's CSVLogger with a writer of one's own."""

    def make_writer(self) -> PlainWriter:
        """Returns the writer; called once, on the first process."""
        raise NotImplementedError

    @property
    @rank_zero_experiment
    def experiment(self) -> Any:
        """The writer."""
        if self._experiment is None:
            self._experiment = self.make_writer()
        return self._experiment


class WithWorkers:
    """A loader around torch's, whose workers Lightning stops at the end of a run.

    Left to the garbage collector, each of them takes five seconds to stop.

    Attributes:
        torch_loader: the loader that has the workers.
    """

    torch_loader: DataLoader[Any]

    @property
    def _iterator(self) -> _BaseDataLoaderIter | None:
        return self.torch_loader._iterator

    @_iterator.setter
    def _iterator(self, iterator: _BaseDataLoaderIter | None) -> None:
        self.torch_loader._iterator = iterator
