"""Lightning's averages of weights over training: what they average, and the masks of meta-pruning."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import EMAWeightAveraging, StochasticWeightAveraging
from torch import Tensor

from metanas_pl.errors import UserError
from tests.conftest import make_module
from tests.runs import assert_equal
from tests.test_module import loader, trainer

Params = dict[str, Tensor]
PRUNES = {
    "meta_prune_interval": 2,
    "meta_prune_threshold": 0.5,
    "meta_prune_from": 0.0,
    "meta_prune_deviation": 0.0,
    "t_max": 0.01,
    "t_min": 0.01,
}


class Trajectory(pl.Callback):
    """Keeps the parameters after each outer step, or at the start of each epoch."""

    def __init__(self, epochs: bool = False) -> None:
        self.epochs, self.points = epochs, list[Params]()
        self.validated: list[Params] = []

    def on_train_batch_end(self, trainer: pl.Trainer, module: Any, *args: Any) -> None:
        if not self.epochs:
            self.points.append(parameters(module))

    def on_train_epoch_start(self, trainer: pl.Trainer, module: Any) -> None:
        if self.epochs:
            self.points.append(parameters(module))

    def on_validation_batch_start(self, trainer: pl.Trainer, module: Any, *args: Any) -> None:
        self.validated.append(parameters(module))


def parameters(module: Any) -> Params:
    return {name: p.detach().clone() for name, p in module.named_parameters()}


def moving_average(points: list[Params], decay: float) -> Params:
    """The exponential moving average that begins with the first point."""
    average = points[0]
    for point in points[1:]:
        average = {k: decay * a + (1 - decay) * point[k] for k, a in average.items()}
    return average


def test_a_moving_average_is_validated_and_kept_with_what_meta_pruning_left_alive() -> None:
    torch.manual_seed(0)
    module, path = make_module("fomaml", nas=PRUNES), Trajectory()
    averaging = EMAWeightAveraging(use_buffers=False, decay=0.5)
    run = trainer(callbacks=[averaging, path])
    run.fit(module, loader(), loader())
    expected = moving_average(path.points, 0.5)
    torch.testing.assert_close(path.validated[-1], expected)
    torch.testing.assert_close(parameters(module), expected)
    masks = module.space.of_kind("operation", module.mask())
    assert not all(mask.all() for mask in masks.values())


def test_averaged_masks_are_refused() -> None:
    """The average of alive and pruned is alive: pruned operations would come back in the test."""
    module = make_module("fomaml", nas=PRUNES)
    with pytest.raises(UserError, match="use_buffers=False"):
        trainer(callbacks=[EMAWeightAveraging()]).fit(module, loader(), loader())


@pytest.mark.slow
def test_a_moving_average_goes_on_after_a_resume(tmp_path: Path) -> None:
    def trained(ckpt_path: Path | None = None) -> tuple[Any, pl.Trainer]:
        torch.manual_seed(0)
        module = make_module("fomaml", nas=PRUNES)
        averaging = EMAWeightAveraging(use_buffers=False, decay=0.5)
        run = trainer(callbacks=[averaging], max_epochs=2)
        if ckpt_path is None:
            run.callbacks.append(Save(tmp_path / "x.ckpt"))
        run.fit(module, loader(), loader(), ckpt_path=ckpt_path, weights_only=True)
        return module, run

    class Save(pl.Callback):
        def __init__(self, path: Path) -> None:
            self.path = path

        def on_train_epoch_end(self, trainer: pl.Trainer, module: Any) -> None:
            if trainer.current_epoch == 0:
                trainer.save_checkpoint(self.path)

    whole, resumed = trained()[0], trained(tmp_path / "x.ckpt")[0]
    assert_equal(resumed.state_dict(), whole.state_dict())


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:SWA is currently only supported every epoch")
def test_a_stochastic_average_is_the_mean_over_epochs() -> None:
    module, path = make_module("fomaml", nas=PRUNES), Trajectory(epochs=True)
    averaging = StochasticWeightAveraging(0.01, 1, annealing_epochs=1)
    trainer(callbacks=[path, averaging], max_epochs=4).fit(module, loader(), loader())
    points = path.points  # Lightning adds one whenever an epoch begins
    expected = {k: torch.stack([p[k] for p in points]).mean(0) for k in points[0]}
    assert len(points) == 4 and any((points[0][k] != points[-1][k]).any() for k in expected)
    torch.testing.assert_close(parameters(module), expected, rtol=1e-5, atol=1e-6)
