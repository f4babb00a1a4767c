"""A search with a known answer finds it, whichever way round it is asked."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
import yaml

from metanas_pl import EpisodeDataModule, MetaNASModule
from metanas_pl.cli.app import CONFIG_DIR
from tests import conftest
from tests.search.oriented import ALONG, SIDE, make_store

PATH: dict[str, Any] = yaml.safe_load(Path(CONFIG_DIR, "nas", "path.yaml").read_text())
STEPS, WARM_UP, INNER_STEPS = 80, 20, 2


def found(along: str, order: tuple[str, str], seed: int, folder: Path) -> tuple[str, torch.Tensor]:
    """Returns the primitive that the search ends with, and the options that are alive."""
    data = EpisodeDataModule(
        source="tensors",
        root=str(folder),
        image_size=SIDE,
        channels=1,
        n_ways=2,
        n_shots=5,
        n_queries=10,
        meta_batch_size=6,
        n_train_episodes=600,
        n_val_episodes=1,
        n_test_episodes=1,
        seed=seed,
    )
    pl.seed_everything(seed, verbose=False)
    outer = {"warm_up_steps": WARM_UP, "schedule": "cosine", "alpha_lr": 0.05, "weight_lr": 0.03}
    module = MetaNASModule(
        space={"name": "oriented", "builder": "tests.search.oriented.build", "order": list(order)},
        nas={**PATH, "meta_prune_interval": 10},
        meta={"outer": outer, "inner": {"steps": INNER_STEPS}},
        image_shape=(1, SIDE, SIDE),
        n_ways=2,
        seed=seed,
    )
    trainer = conftest.trainer(
        max_steps=STEPS, limit_val_batches=0, use_distributed_sampler=False, max_epochs=-1
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        trainer.fit(module, data)
    (alphas,), (alive,) = module.theta().alphas.values(), module.mask().values()
    return order[int(alphas.masked_fill(~alive, -torch.inf).argmax())], alive


@pytest.mark.slow
@pytest.mark.parametrize("order", [ALONG, ALONG[::-1]], ids="-".join)
@pytest.mark.parametrize("along", ALONG)
def test_a_search_by_paths_finds_the_primitive_that_sees_the_class(
    along: str, order: tuple[str, str], tmp_path: Path
) -> None:
    make_store(tmp_path / "store", along)
    for seed in (0, 1):
        winner, alive = found(along, order, seed, tmp_path / "store")
        assert winner == along, f"seed {seed}"
        assert alive.any()
