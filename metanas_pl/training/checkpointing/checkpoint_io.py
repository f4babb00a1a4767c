"""Checkpoints on the disk: written whole, and found again."""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from pytorch_lightning.plugins.io import TorchCheckpointIO

from metanas_pl.utils.files import write_whole

if TYPE_CHECKING:
    from metanas_pl.types import Checkpoint


class WholeCheckpointIO(TorchCheckpointIO):
    """Lightning's, but a checkpoint that is there is complete, whenever the process or the machine dies.

    Lightning writes into the folder for temporary files, and moves from there: a copy, if that is another
    file system.
    """

    def save_checkpoint(
        self, checkpoint: Checkpoint, path: str | Path, storage_options: object = None
    ) -> None:
        """Writes beside ``path`` and renames it.

        Raises:
            RunFailed: there is no space left; the old checkpoint stays.
        """
        content = io.BytesIO()
        torch.save(checkpoint, content)
        write_whole(Path(path), content.getvalue())
