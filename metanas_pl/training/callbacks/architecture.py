"""How the meta-architecture changes: entropy and mixing weights over time, and pictures of its cells."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, cast

import pytorch_lightning as pl
from pytorch_lightning.loggers import TensorBoardLogger, WandbLogger
from pytorch_lightning.utilities.rank_zero import rank_zero_only

from metanas_pl.algorithms.nas.relaxations import entropy
from metanas_pl.utils.files import csv_table, space_for, write_whole

if TYPE_CHECKING:
    from metanas_pl.module import MetaNASModule


class ArchitectureHistory(pl.Callback):
    """Log the entropy of the alphas at each validation, and draw the cells when training ends.

    Files in ``run_dir``: ``cell_<name>.svg|png`` for each cell, ``alpha_history.png`` and
    ``genotype.json``; ``pruned_options.csv`` says what meta-pruning has removed, and why. W&B and
    TensorBoard get the cells as images.
    """

    def __init__(self, run_dir: str) -> None:
        self.run_dir = Path(run_dir)
        self._rows: list[dict[str, float]] = []

    def state_dict(self) -> dict[str, list[dict[str, float]]]:
        """Returns the history, which belongs to a checkpoint."""
        return {"rows": self._rows}

    def load_state_dict(self, state_dict: dict[str, list[dict[str, float]]]) -> None:
        """Continues the history of a checkpoint."""
        self._rows = list(state_dict["rows"])

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Adds a row to the history."""
        module = cast("MetaNASModule", pl_module)
        if not trainer.sanity_checking and len(module.alphas):
            row = {"step": float(trainer.global_step)}
            for label, at in (("t_max", module.nas.t_max), ("t_min", module.nas.t_min)):
                row[f"entropy at {label}"] = float(entropy(module.probabilities(at)))
            self._rows.append(row)
            self._write_removed(module)

    @rank_zero_only
    def _write_removed(self, module: MetaNASModule) -> None:
        """Writes which options meta-pruning has removed, when, and what spoke against them."""
        if module.removed:
            table = csv_table(list(module.removed[0]), module.removed)
            write_whole(self.run_dir / "pruned_options.csv", table)

    @rank_zero_only
    def on_fit_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Draws the history, also where a resumed run had nothing left to train."""
        if self._rows:
            from metanas_pl.plotting import draw_history, save_figure

            keys = [key for key in self._rows[0] if key != "step"]
            with space_for(path := self.run_dir / "alpha_history.png"):
                save_figure(draw_history(self._rows, keys), path)

    @rank_zero_only
    def on_test_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Writes and draws the tested meta-genotype."""
        genotype = cast("MetaNASModule", pl_module).genotype()
        if genotype is None:
            return
        from metanas_pl.plotting import draw_cell, save_figure

        write_whole(self.run_dir / "genotype.json", f"{genotype.to_json()}\n".encode())
        for cell in genotype.CELL_NAMES:
            figure = draw_cell(genotype, cell)
            for suffix in ("svg", "png"):
                with space_for(path := self.run_dir / f"cell_{cell}.{suffix}"):
                    save_figure(figure, path)
            self._log_image(trainer, f"cell/{cell}", self.run_dir / f"cell_{cell}.png")

    @staticmethod
    def _log_image(trainer: pl.Trainer, key: str, path: Path) -> None:
        for logger in trainer.loggers:
            if isinstance(logger, WandbLogger):
                logger.log_image(key, [str(path)])
            elif isinstance(logger, TensorBoardLogger):
                import numpy as np
                from PIL import Image

                pixels = np.asarray(Image.open(path).convert("RGB"))
                logger.experiment.add_image(key, pixels, trainer.global_step, dataformats="HWC")
