"""The history of the alphas' entropy."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import Mock, call

import numpy as np
import pytest
import torch
from PIL import Image
from pytorch_lightning.loggers import CSVLogger, TensorBoardLogger, WandbLogger

from metanas_pl.algorithms.nas.relaxations import entropy
from metanas_pl.training.callbacks import ArchitectureHistory
from tests.conftest import make_module


@pytest.mark.parametrize("relaxation", ["straight_through", "sigmoid", "concrete"])
def test_entropy_is_that_of_the_alphas_whatever_the_relaxation(relaxation: str) -> None:
    """A one-hot draw has no entropy and sigmoids are no distribution: neither says what is decided."""
    module = make_module(
        nas={"relaxation": f"metanas_pl.algorithms.nas.sampled_relaxations.{relaxation}"}
    )
    with torch.no_grad():
        for alpha in module.alphas.values():
            alpha.copy_(0.1 * torch.randn_like(alpha))
    history = ArchitectureHistory(run_dir="unused")
    trainer: Any = SimpleNamespace(sanity_checking=False, global_step=7)
    history.on_validation_end(trainer, module)
    (row,) = history.state_dict()["rows"]
    logits = {name: alpha.detach() for name, alpha in module.alphas.items()}
    for label, at in (("t_max", module.nas.t_max), ("t_min", module.nas.t_min)):
        soft = {name: torch.softmax(alpha / at, -1) for name, alpha in logits.items()}
        assert row[f"entropy at {label}"] == pytest.approx(float(entropy(soft)))
        assert 0 < row[f"entropy at {label}"] < 1


def test_removed_options_are_a_table(tmp_path: Path) -> None:
    module = make_module()
    module.removed = [{"outer_step": 20, "option": "normal 0", "z": 3.5}]
    trainer: Any = SimpleNamespace(sanity_checking=False, global_step=20)
    ArchitectureHistory(str(tmp_path)).on_validation_end(trainer, module)
    table = (tmp_path / "pruned_options.csv").read_text()
    assert table.splitlines() == ["outer_step,option,z", "20,normal 0,3.5"]


def test_a_network_without_a_genotype_is_not_drawn(tmp_path: Path) -> None:
    module: Any = SimpleNamespace(genotype=lambda: None)
    ArchitectureHistory(str(tmp_path)).on_test_end(SimpleNamespace(loggers=[]), module)  # type: ignore[arg-type]
    assert not list(tmp_path.iterdir())


def test_loggers_of_images_get_the_cells(tmp_path: Path) -> None:
    """Each is asked in its own way; one without images is passed over."""
    wandb, tensorboard, rows = (Mock(spec=k) for k in (WandbLogger, TensorBoardLogger, CSVLogger))
    trainer: Any = SimpleNamespace(loggers=[rows, wandb, tensorboard], global_step=7)
    ArchitectureHistory(str(tmp_path)).on_test_end(trainer, make_module())
    keys = ["cell/normal", "cell/reduce"]
    files = [[str(tmp_path / f"cell_{name}.png")] for name in ("normal", "reduce")]
    assert wandb.log_image.call_args_list == [call(*pair) for pair in zip(keys, files, strict=True)]
    shown = tensorboard.experiment.add_image.call_args_list
    assert [image.args[0] for image in shown] == keys
    for image, (file,) in zip(shown, files, strict=True):
        _, pixels, step = image.args
        assert step == 7 and image.kwargs == {"dataformats": "HWC"}
        assert (pixels == np.asarray(Image.open(file).convert("RGB"))).all()
