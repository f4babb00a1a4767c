"""Noise in, nothing decided out: a search whose tasks say nothing keeps its choices open.

The optimizer, both clocks, the evidence and the pruning are those of a training; losses and gradients of
the alphas are drawn at random.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from torch.utils.data import DataLoader

from metanas_pl import MetaNASModule
from metanas_pl.algorithms.meta.averaging import MeanOfTasks
from metanas_pl.algorithms.nas.relaxations import softmax
from metanas_pl.algorithms.nas.sampling import path_gradient
from metanas_pl.engine.episode_learner import EpisodeLearner
from metanas_pl.types import Alphas, Mask, OuterProgress, Theta
from tests import conftest
from tests.conftest import RandomEpisode

SPACE = {"channels": 4, "n_cells": 3, "n_nodes": 2, "reductions": [0, 1], "stem_stride": 2}
CLOCKS: dict[str, Any] = {
    **{"t_max": 0.1, "t_min": 0.1, "outer_t_factor": 10.0},
    **{"meta_prune_interval": 10, "meta_prune_threshold": 0.05},
}
PATH: dict[str, Any] = {
    **{"name": "path", "alpha_signal": "path_loss", "sampled_options": 1},
    "relaxation": "metanas_pl.algorithms.nas.sampled_relaxations.straight_through",
    "meta_prune_relaxation": "metanas_pl.algorithms.nas.relaxations.softmax",
    **CLOCKS,
}
DARTS: dict[str, Any] = {"meta_prune_interval": 10}
"""The settings of the main job."""
OLD: dict[str, Any] = {
    **{"t_max": 0.3, "t_min": 0.02, "meta_prune_interval": 5},
    **{"meta_prune_from": 0.0, "meta_prune_deviation": 0.0},
    **{"outer_t_factor": 1.0, "sampled_options": None},
}
TASKS, STEPS = 6, 300


class NoisyLearner(EpisodeLearner):
    """Answers noise in place of what tasks would: losses, and gradients of the alphas that go with them."""

    draws: torch.Generator

    def meta_gradient(
        self,
        theta: Theta,
        episode: Any,
        *,
        seed: int,
        mask: Mask,
        progress: OuterProgress = OuterProgress(),  # noqa: B008
        states: Any = None,
    ) -> tuple[MeanOfTasks, None]:
        """Returns the results of tasks of which none depends on the network."""
        loss = 1 + 0.3 * torch.randn(TASKS, generator=self.draws)
        gradients: Alphas = {
            k: torch.randn(a.shape, generator=self.draws) for k, a in theta.alphas.items()
        }
        if self.nas.alpha_signal == "path_loss":
            taken = self.sampled(theta.alphas, seed, mask, progress)
            chances = softmax(
                theta.alphas, self.training_schedule(progress).query_temperature, mask
            )
            advantage = (loss - progress.usual_loss).nan_to_num()
            gradients = {
                k: path_gradient(advantage, taken[k], chance).mean(0)
                for k, chance in chances.items()
            }
        if self.alphas_rest(progress):
            gradients = {k: torch.zeros_like(g) for k, g in gradients.items()}
        weights = {k: torch.zeros_like(w) for k, w in theta.weights.items()}
        gradient = Theta(weights, gradients)
        finite = torch.ones(TASKS, dtype=torch.bool)
        return MeanOfTasks(gradient, loss.mean(), loss.mean(), finite), None


@dataclass
class Watch(pl.Callback):
    """Notes the share of choices with more than one option above a weight of 0.05."""

    open_choices: list[float] = field(default_factory=list)

    def on_train_batch_end(self, trainer: pl.Trainer, module: Any, *args: Any) -> None:
        """Notes it after every outer step."""
        at = module.learner.training_schedule(module.progress).query_temperature
        weights = softmax(module.theta().alphas, at, module.mask()).values()
        several = [((w > 0.05).sum(-1) > 1).flatten() for w in weights if w.shape[-1] > 1]
        self.open_choices.append(float(torch.cat(several).float().mean()))


class Nothing(torch.utils.data.Dataset[RandomEpisode]):
    """Episodes that nobody looks at."""

    def __len__(self) -> int:
        return STEPS

    def __getitem__(self, index: int) -> RandomEpisode:
        x, y = torch.zeros(TASKS, 5, 1, 28, 28), torch.arange(5).expand(TASKS, 5)
        return RandomEpisode(x, y, x, y, torch.arange(TASKS))


def searched(nas: dict[str, Any], outer: dict[str, Any], seed: int) -> tuple[Any, list[float]]:
    """Returns a module after a search on noise, and the open choices after every step."""
    pl.seed_everything(seed, verbose=False)
    module, watch = MetaNASModule(SPACE, nas, {"outer": outer}, seed=seed), Watch()
    learner = NoisyLearner(module.space, module.nas, module.meta)
    learner.draws = torch.Generator().manual_seed(1000 + seed)
    module.learner = learner
    trainer = conftest.trainer(
        max_steps=STEPS, limit_val_batches=0, callbacks=[watch], max_epochs=-1
    )
    loader = DataLoader(Nothing(), batch_size=None)
    trainer.fit(module, loader, loader)
    return module, watch.open_choices


def decided(module: Any) -> torch.Tensor:
    """The best option of each choice of several."""
    return torch.cat(
        [a.argmax(-1).flatten() for a in module.theta().alphas.values() if a.shape[-1] > 1]
    )


@pytest.mark.slow
@pytest.mark.parametrize(
    ("nas", "rate"),
    [
        pytest.param(PATH, 0.05, id="path", marks=pytest.mark.nightly),
        pytest.param(DARTS, 0.02, id="darts"),
    ],
)
def test_noise_decides_nothing(nas: dict[str, Any], rate: float) -> None:
    outer = {"warm_up_steps": STEPS // 4, "schedule": "cosine", "alpha_lr": rate}
    ends = []
    for seed in (0, 1):
        module, open_choices = searched(nas, outer, seed)
        assert open_choices[STEPS // 2] >= 0.9
        operations = module.space.of_kind("operation", module.mask()).values()
        gone = torch.cat([~alive.flatten() for alive in operations])
        assert gone.float().mean() <= 0.03
        assert len(module.removed) == int(gone.sum())
        ends.append(decided(module))
    agree, n = int((ends[0] == ends[1]).sum()), len(ends[0])
    sizes = [a.shape[-1] for a in module.theta().alphas.values() for _ in range(a[..., 0].numel())]
    chances = [1 / size for size in sizes if size > 1]
    assert len(chances) == n
    spread = sum(p * (1 - p) for p in chances) ** 0.5
    assert agree <= sum(chances) + 3 * spread


@pytest.mark.nightly
def test_settings_that_ask_for_no_evidence_do_decide_on_noise() -> None:
    outer = {"warm_up_steps": 10, "schedule": "cosine", "alpha_lr": 0.05}
    module, open_choices = searched(OLD, outer, 0)
    assert open_choices[STEPS // 2] < 0.5
    assert len(module.removed) > 0.5 * sum(
        alive.numel() for alive in module.space.of_kind("operation", module.mask()).values()
    )
