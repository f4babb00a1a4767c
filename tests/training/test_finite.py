"""Weights that are no numbers end a test or a validation with an error that names them."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch

from metanas_pl.cli import evaluate, train
from metanas_pl.errors import RunFailed
from metanas_pl.training.finite import FIELDS, NotFinite, check_finite
from tests import runs


class Spoil(pl.Callback):
    """Make the weights NaN before a validation after training began, or before the test."""

    def __init__(self, stage: str) -> None:
        self.stage = stage

    def _spoil(self, module: Any) -> None:
        with torch.no_grad():
            next(module.space.parameters()).fill_(torch.nan)

    def on_validation_start(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        """Spoil."""
        if self.stage == "val":
            self._spoil(module)

    def on_test_start(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        """Spoil."""
        if self.stage == "test":
            self._spoil(module)


@pytest.mark.parametrize("field", FIELDS)
@pytest.mark.parametrize("value", [torch.nan, torch.inf])
def test_one_figure_of_one_episode(field: str, value: float) -> None:
    from metanas_pl.engine.evaluation import Evaluation

    figures = {name: torch.full((3,), 0.5) for name in FIELDS}
    rest = {"mixing": {}, "inner_losses": torch.zeros(0), "chosen": torch.zeros(3), "alphas": {}}
    rest |= {name: torch.zeros(3) for name in ("changed", "in_reach")}
    index = torch.tensor([4, 7, 9])
    check_finite(Evaluation(**figures, **rest), index, "val")
    figures[field][1] = value
    with pytest.raises(NotFinite, match="validation episode 7 .*split=val episode=7"):
        check_finite(Evaluation(**figures, **rest), index, "val")


@pytest.mark.parametrize(
    ("stage", "named"),
    [("val", r"^the weights after outer step \d"), ("test", r"^ckpt_path=.*best\.ckpt: .*test ep")],
)
def test_a_run_ends_with_the_name_of_its_weights(
    images: Path, stage: str, named: str, tmp_path: Path
) -> None:
    options = runs.tiny(images, tmp_path / "run")
    spoil = f"+callbacks.spoil={{_target_: tests.training.test_finite.Spoil, stage: {stage}}}"
    with pytest.raises(RunFailed, match=named):
        train.run(runs.compose([*options, spoil]))
    assert not (tmp_path / "run" / "results.json").exists()


def test_an_evaluation_names_its_checkpoint(
    finished: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    shutil.copytree(finished, tmp_path / "run")
    best = tmp_path / "run" / "checkpoints" / "best.ckpt"
    content = runs.load(best)
    name = next(key for key in content["state_dict"] if key.startswith("space."))
    content["state_dict"][name].fill_(torch.nan)
    torch.save(content, best)
    argv = ["x", f"ckpt_path={tmp_path / 'run'}", f"hydra.run.dir={tmp_path / 'out'}"]
    monkeypatch.setattr(sys, "argv", [*argv, "callbacks.progress=null"])
    monkeypatch.setenv("HYDRA_FULL_ERROR", "0")
    with pytest.raises(SystemExit) as stopped:
        evaluate.main()
    assert stopped.value.code == 1
    told = capsys.readouterr()
    assert f"error: ckpt_path={best}: loss or logits of test episode 0" in told.err
    assert str(best) in told.out and not (tmp_path / "out" / "results.json").exists()
