"""Checkpoints that stay with their run folder, also where it is copied or a run resumes in another one."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path, PurePath
from typing import TYPE_CHECKING

import pytorch_lightning as pl
from pytorch_lightning.callbacks import ModelCheckpoint
from pytorch_lightning.trainer.states import TrainerFn
from pytorch_lightning.utilities.rank_zero import rank_zero_warn

from metanas_pl.training.checkpointing.resume import step_in, steps_of
from metanas_pl.utils.files import open_whole

if TYPE_CHECKING:
    from metanas_pl.types import Checkpoint, Settings

PATHS = ("best_model_path", "kth_best_model_path", "last_model_path")


class RunCheckpoint(ModelCheckpoint):
    """Lightning's ModelCheckpoint, with paths that are relative to its folder.

    Lightning stores absolute paths: a copied run folder would test the best checkpoint of the original, and
    a run that resumes in another folder would forget the score of its best.
    """

    def state_dict(self) -> Settings:
        """Returns Lightning's state, with paths relative to the folder of the checkpoints."""
        state = super().state_dict()
        folder = str(state["dirpath"])
        return {**_with_paths(state, lambda path: below(path, folder)), "dirpath": ""}

    def on_load_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: Checkpoint
    ) -> None:
        """Makes sure, before a training resumes, that its best so far is in this folder."""
        state = checkpoint["callbacks"].get(self.state_key)
        self._goes_on = trainer.state.fn == TrainerFn.FITTING
        if state is None or not self._goes_on:
            return
        known = state["best_model_path"]
        origin, step = Path(str(trainer.ckpt_path)).parent, steps_of(checkpoint)
        name = below(known, state["dirpath"])
        keeps = bool(known) and trainer.is_global_zero and self._brings(name, origin, step)
        self._keeps = trainer.strategy.broadcast(keeps)
        if self.monitor and known and not self._keeps:
            rank_zero_warn(
                f"{name} of this run is gone, or of later outer steps than {step}: the next validation "
                "counts as the best so far"
            )

    def _brings(self, name: str, origin: Path, step: int) -> bool:
        """Returns whether the best checkpoint is here, or was copied from beside the one that is loaded.

        One of more than ``step`` outer steps is the best of another continuation.
        """
        here = Path(str(self.dirpath), name)
        for path in (here, origin / name):
            found = step_in(path)
            if found is not None and found <= step:
                if path.resolve() != here.resolve():
                    with path.open("rb") as there, open_whole(here) as file:
                        shutil.copyfileobj(there, file)
                return True
        return False

    def load_state_dict(self, state_dict: Settings) -> None:
        """Restores the scores and paths of the best so far, if it is here."""
        if self._goes_on and (self._keeps or not state_dict["best_model_path"]):
            old, here = state_dict["dirpath"], str(self.dirpath)
            state = _with_paths(state_dict, lambda path: str(Path(here, below(path, old))))
            super().load_state_dict({**state, "dirpath": self.dirpath})


def below(path: str, folder: str) -> str:
    """Returns the part of ``path`` below ``folder``; its last part, if it lies elsewhere.

    >>> below("/runs/a/checkpoints/best.ckpt", "/runs/a/checkpoints"), below("best.ckpt", "")
    ('best.ckpt', 'best.ckpt')
    >>> below("../b/best.ckpt", "")
    'best.ckpt'
    """
    part = PurePath(os.path.relpath(path, folder) if os.path.isabs(path) and folder else path)
    return part.name if ".." in part.parts or part.is_absolute() else str(part)


def _with_paths(state: Settings, change: Callable[[str], str]) -> Settings:
    """Returns the state with every path changed that is not empty."""
    paths = {key: change(state[key]) if state[key] else "" for key in PATHS}
    best = {change(path): score for path, score in state["best_k_models"].items()}
    return {**state, **paths, "best_k_models": best}
