"""The run on Weights & Biases: how it is found again at a resume, begins and ends."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from pytorch_lightning.loggers import Logger, WandbLogger

from metanas_pl.errors import UserError

if TYPE_CHECKING:
    from metanas_pl.types import Checkpoint

RUN_ID = "wandb_id"  # of a checkpoint: the run on W&B that it belongs to
RUN_FOLDER = "wandb_folder"  # of a checkpoint: the folder of that run


def remember_run(checkpoint: Checkpoint, loggers: Sequence[Logger], run_dir: str) -> None:
    """Writes the run on W&B of one of ``loggers``, if there is one, into a checkpoint of ``run_dir``."""
    for logger in loggers:
        if isinstance(logger, WandbLogger):
            checkpoint[RUN_ID], checkpoint[RUN_FOLDER] = logger.version, run_dir


def run_id_in(checkpoint: Checkpoint, run_dir: Path) -> str | None:
    """Returns the run on W&B that a checkpoint belongs to; None in a copy of its run folder."""
    known, folder = checkpoint.get(RUN_ID), checkpoint.get(RUN_FOLDER, str(run_dir))
    return None if known is None or Path(folder) != run_dir else str(known)


@contextmanager
def answering_wandb(logger: Logger) -> Iterator[None]:
    """Says what to do where W&B cannot begin a run.

    Raises:
        UserError: names both ways out.
    """
    if not isinstance(logger, WandbLogger):
        yield
        return
    from wandb.errors import Error

    try:
        yield
    except Error as error:
        reason = str(error).strip().splitlines()[0]
        raise UserError(
            f"logger=wandb: {reason} (log in with wandb login, or set WANDB_MODE=offline)"
        ) from error


def finish_wandb(loggers: Sequence[Logger], exit_code: int) -> None:
    """Ends the W&B run of this process, if one of ``loggers`` began it; other ranks have none."""
    if any(isinstance(logger, WandbLogger) for logger in loggers):
        import wandb

        if wandb.run is not None:
            wandb.finish(exit_code=exit_code)
