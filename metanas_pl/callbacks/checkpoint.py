"""Checkpoints that stay with a run, also where it goes on in another folder."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from pytorch_lightning.callbacks import ModelCheckpoint
from pytorch_lightning.utilities.rank_zero import rank_zero_only

from metanas_pl.survival.disk import open_whole


class RunCheckpoint(ModelCheckpoint):
    """Lightning's ModelCheckpoint, whose best so far comes along when a run resumes in another folder.

    Lightning would forget its score, and call the first validation after the resumption the best.
    """

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore; in another folder with a copy of the best checkpoint, if that is still there."""
        best, here = state_dict["best_model_path"], self.dirpath
        moves = here is not None and str(here) != state_dict["dirpath"]
        if moves and (not best or Path(best).is_file()):
            assert here is not None
            if best:
                _copy(Path(best), Path(here))

            def moved(path: str) -> str:
                return str(Path(here, Path(path).name)) if path else path

            paths = ("best_model_path", "kth_best_model_path", "last_model_path")
            state_dict = {**state_dict, **{key: moved(state_dict[key]) for key in paths}}
            scores = state_dict["best_k_models"].items()
            state_dict["best_k_models"] = {moved(path): score for path, score in scores}
            state_dict["dirpath"] = here
        super().load_state_dict(state_dict)


@rank_zero_only
def _copy(file: Path, folder: Path) -> None:
    with file.open("rb") as there, open_whole(folder / file.name) as here:
        shutil.copyfileobj(there, here)
