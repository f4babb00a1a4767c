"""Which training episodes were skipped, for a replay, and when it is too many."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, cast

import pytorch_lightning as pl

from metanas_pl.errors import RunFailed, UserError
from metanas_pl.training.checkpointing.resume import is_inside
from metanas_pl.utils.files import RowsFile

if TYPE_CHECKING:
    from metanas_pl.module import MetaNASModule
    from metanas_pl.types import Settings

STEPS = 10
"""Outer steps over which the share of skipped tasks is taken."""


class SkippedEpisodes(pl.Callback):
    """Write ``skipped_episodes.csv``: outer step and number of an episode without a finite meta-gradient.

    A checkpoint knows how many rows belong to it, so a resumed run has each once. Without rows there is
    no file.

    Args:
        run_dir: where the file is.
        max_share: of skipped tasks among those of ten outer steps; above it the run stops.

    Raises:
        UserError: ``max_share`` is no share.
    """

    def __init__(self, run_dir: str, max_share: float = 0.5) -> None:
        if not 0 <= max_share <= 1:
            raise UserError(f"callbacks.skipped.max_share={max_share} makes no sense: from 0 to 1")
        self.max_share = max_share
        self.run_dir = run_dir
        self._file = RowsFile(Path(run_dir) / "skipped_episodes.csv")
        self._n_rows = 0
        self._recent: list[int] = []

    def state_dict(self) -> dict[str, int | list[int]]:
        """Returns how many rows there are, and the counts of the last outer steps."""
        return {"n_rows": self._file.n_rows, "recent": self._recent}

    def load_state_dict(self, state_dict: Settings) -> None:
        """Continues after these."""
        self._n_rows, self._recent = int(state_dict["n_rows"]), list(state_dict["recent"])

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Leaves in the file what belongs to the checkpoint, if there is one of this folder."""
        if trainer.is_global_zero:
            if self._n_rows and is_inside(trainer.ckpt_path, self.run_dir):
                self._file.cut(self._n_rows)
            else:
                self._file.path.unlink(missing_ok=True)

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, *args: object
    ) -> None:
        """Adds the skipped episodes of an outer step.

        Raises:
            RunFailed: too many are skipped.
        """
        step = cast("MetaNASModule", pl_module).task_counter.take()
        if step is None:
            return
        self._recent = [*self._recent, len(step.skipped)][-STEPS:]
        rows = [{"step": trainer.global_step, "episode": episode} for episode in step.skipped]
        if rows and trainer.is_global_zero:
            self._file.append(rows)
        if sum(self._recent) > self.max_share * STEPS * step.n_tasks:
            raise RunFailed(
                f"{sum(self._recent)} tasks of the last {len(self._recent)} outer steps came to no "
                f"finite meta-gradient, over callbacks.skipped.max_share={self.max_share:g} of {STEPS} "
                f"steps: lower the rates; {self._file.path} names the episodes for metanas-replay"
            )
