"""A search with a known answer finds it, whichever way round it is asked."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch

from metanas_pl import EpisodeDataModule, MetaNASModule
from tests import conftest
from tests.runs import compose
from tests.search.oriented import ALONG, SIDE, make_store

STEPS = 100


def settings(nas: list[str]) -> Any:
    """The main job's settings, its number of steps aside: warm-up is the same share of the training."""
    config = compose(["experiment=glyphs_5way_1shot", *nas])
    share = config.meta.outer.warm_up_steps / config.trainer["max_steps"]
    config.meta.outer.warm_up_steps = round(share * STEPS)
    return config


def found(config: Any, order: tuple[str, str], seed: int, folder: Path) -> torch.Tensor:
    """Returns the weights of the two primitives in the meta-architecture that the search ends with."""
    data = EpisodeDataModule(
        source="tensors",
        root=str(folder),
        image_size=SIDE,
        channels=1,
        n_ways=2,
        n_shots=5,
        n_queries=10,
        meta_batch_size=config.data.meta_batch_size,
        n_train_episodes=600,
        n_val_episodes=1,
        n_test_episodes=1,
        seed=seed,
    )
    pl.seed_everything(seed, verbose=False)
    module = MetaNASModule(
        space={"name": "oriented", "builder": "tests.search.oriented.build", "order": list(order)},
        nas=config.nas,
        meta=config.meta,
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
    (weights,) = module.probabilities(module.nas.t_min).values()
    return weights.flatten()


@pytest.mark.slow
@pytest.mark.parametrize(
    "nas",
    [[], pytest.param(["nas=path"], marks=pytest.mark.nightly)],
    ids=["main_job", "path"],
)
@pytest.mark.parametrize("along", ALONG)
def test_the_search_finds_the_primitive_that_sees_the_class(
    along: str, nas: list[str], tmp_path: Path
) -> None:
    """From two seeds, with the order of the primitives turned round for the second."""
    make_store(tmp_path / "store", along)
    for seed, order in enumerate((ALONG, ALONG[::-1])):
        weight = dict(
            zip(order, found(settings(nas), order, seed, tmp_path / "store"), strict=True)
        )
        assert weight[along] > 0.9, f"seed {seed}: {weight}"
