"""Stop on a signal: in training between two outer steps, with everything saved; in a test at once."""

from __future__ import annotations

import signal
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import FrameType
from typing import NoReturn

import pytorch_lightning as pl
import torch
from pytorch_lightning.trainer.states import TrainerFn

from metanas_pl.errors import AFTER_SIGNAL
from metanas_pl.utils.lightning_private import stop_before_minimum, validates_next

Handler = Callable[[int, FrameType | None], object] | int | None
"""What ``signal.signal`` takes and gives."""

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)


def save_last(trainer: pl.Trainer) -> None:
    """Writes ``last.ckpt`` into the folder of the checkpoints, if there is one."""
    checkpoint = trainer.checkpoint_callback
    if checkpoint is not None:
        folder = Path(checkpoint.dirpath)  # type: ignore[attr-defined]
        trainer.save_checkpoint(folder / "last.ckpt")


class GracefulInterrupt(pl.Callback):
    """On Ctrl-C, SIGTERM or SIGUSR1: finishes the outer step, saves ``last.ckpt``, ends the training.

    A validation that is due after the step, or is running, is finished as well. A signal to one rank ends
    all of them. A second Ctrl-C stops at once; the others may come twice, from a launcher and from the
    system behind it. A test has nothing to save, and ends at once.

    Attributes:
        received: number of the signal on which all ranks agree, 0 if there was none.
    """

    def __init__(self) -> None:
        self.received = self._heard = self._step = 0
        self._before: dict[int, Handler] = {}

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Listens for signals while training (outside a main thread there are none to hear)."""
        self._step = trainer.global_step
        with suppress(ValueError):
            self._before = {n: signal.signal(n, self._on_signal) for n in SIGNALS}

    def on_test_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Leaves on a signal; Lightning, which would go on without results, takes them back at the end."""
        with suppress(ValueError):
            for number in SIGNALS:
                signal.signal(number, _leave)

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        self._heard = number
        if number == signal.SIGINT:
            signal.signal(number, self._before[number])

    def on_train_batch_end(self, trainer: pl.Trainer, *args: object) -> None:
        """After the current outer step, saves the state of the run and asks Lightning to stop.

        Lightning's counters allow an exact continuation only from here, and not from a later hook
        but ``on_validation_end``: a step that is followed by a validation is saved after it. The
        validation that Lightning adds to a stop elsewhere is left out.
        """
        if trainer.global_step == self._step:  # its gradient is only accumulated yet
            return
        self._step = trainer.global_step
        if self._asked(trainer) and not validates_next(trainer):
            self._save_and_stop(trainer)
            trainer.limit_val_batches = 0

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """A signal in a validation, or before it, ends the training after it."""
        if trainer.sanity_checking or trainer.state.fn != TrainerFn.FITTING:
            return
        if self._asked(trainer):
            self._save_and_stop(trainer)

    def _asked(self, trainer: pl.Trainer) -> bool:
        """Returns whether any rank received a signal; all know which."""
        heard = torch.tensor(self._heard, device=trainer.strategy.root_device)
        self.received = int(trainer.strategy.reduce(heard, reduce_op="max"))
        return self.received > 0

    def _save_and_stop(self, trainer: pl.Trainer) -> None:
        """Saves, then asks Lightning to stop, which makes it log the step: even before ``min_steps``."""
        save_last(trainer)
        stop_before_minimum(trainer)

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Gives the signals back, and agrees on one that came after the last step."""
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._before = {}
        self._asked(trainer)


def _leave(number: int, frame: FrameType | None) -> NoReturn:
    raise SystemExit(AFTER_SIGNAL + number)
