"""The data module: sizes, messages, ranks, and what importing it costs."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from metanas_pl.data import EpisodeDataModule

SOURCE = "tests.data.datasets.test_datasets.own_source"


def make(
    tmp_path: Path, world: tuple[int, int] | None = None, accumulate: int = 1, **changes: Any
) -> EpisodeDataModule:
    settings: dict[str, Any] = {
        "n_ways": 3,
        "n_queries": 2,
        "meta_batch_size": 4,
        "n_train_episodes": 8,
        "n_val_episodes": 5,
        "n_test_episodes": 7,
        "eval_batch_size": 2,
        **changes,
    }
    module = EpisodeDataModule(SOURCE, cache_dir=str(tmp_path), **settings)
    if world:
        module.trainer = SimpleNamespace(
            global_rank=world[0], world_size=world[1], accumulate_grad_batches=accumulate
        )
    module.prepare_data()
    module.setup("fit")
    return module


def test_batches_have_the_asked_sizes(tmp_path: Path) -> None:
    module = make(tmp_path, n_train_shots=4, n_train_queries=3)
    train, val, test = module.train_dataloader(), module.val_dataloader(), module.test_dataloader()
    assert (len(train), len(val), len(test)) == (2, 3, 4)
    batch = next(iter(train))
    assert batch.support_x.shape == (4, 12, 1, 4, 4) and batch.query_x.shape == (4, 9, 1, 4, 4)
    assert [len(b.index) for b in val] == [2, 2, 1]
    assert next(iter(test)).support_x.shape == (2, 3, 1, 4, 4)
    assert module.store.meta.name == "toy" and module.n_tasks_per_step == 4


@pytest.mark.parametrize("world_size", [2, 3])
def test_test_episodes_do_not_depend_on_ranks(tmp_path: Path, world_size: int) -> None:
    def episodes(rank: int, ranks: int) -> dict[int, torch.Tensor]:
        loader = make(tmp_path, (rank, ranks)).test_dataloader()
        return {
            int(i): x for batch in loader for i, x in zip(batch.index, batch.query_x, strict=True)
        }

    alone = episodes(0, 1)
    parts = [episodes(rank, world_size) for rank in range(world_size)]
    assert sorted(i for part in parts for i in part) == sorted(alone) == list(range(7))
    assert all(torch.equal(x, alone[i]) for part in parts for i, x in part.items())


@pytest.mark.parametrize("split", ["val", "test"])
def test_validation_and_test_depend_on_the_seed_of_evaluation_alone(
    tmp_path: Path, split: str
) -> None:
    moving = {"shift": 2.0, "at_test": True}

    def pixels(split: str, **seeds: int) -> torch.Tensor:
        module = make(tmp_path, augment=moving, **seeds)
        return torch.cat([module.batch_of(split, i).query_x for i in range(3)])

    first = pixels(split)
    assert torch.equal(first, pixels(split, seed=1))
    assert not torch.equal(first, pixels(split, eval_seed=1))
    assert torch.equal(pixels("train"), pixels("train", eval_seed=1))
    assert not torch.equal(pixels("train"), pixels("train", seed=1))


def test_the_meta_batch_is_shared_by_the_ranks(tmp_path: Path) -> None:
    batches = [next(iter(make(tmp_path, (rank, 2)).train_dataloader())) for rank in (0, 1)]
    assert [batch.index.tolist() for batch in batches] == [[0, 2], [1, 3]]
    with pytest.raises(ValueError, match=r"data\.meta_batch_size=4.*trainer\.devices.*of 3"):
        make(tmp_path, (0, 3)).train_dataloader()


def test_an_epoch_is_whole_outer_steps_of_accumulated_batches(tmp_path: Path) -> None:
    assert make(tmp_path, (0, 1), accumulate=2).n_tasks_per_step == 8
    with pytest.raises(ValueError, match=r"data\.n_train_episodes=8.*accumulate_grad_batches=12"):
        make(tmp_path, (0, 1), accumulate=3).train_dataloader()


def test_every_process_has_an_episode(tmp_path: Path) -> None:
    assert [len(make(tmp_path, (r, 5)).val_dataloader()) for r in range(5)] == [1] * 5
    with pytest.raises(ValueError, match=r"data\.n_val_episodes=5 .* 6 processes"):
        make(tmp_path, (0, 6)).val_dataloader()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"n_ways": 6}, r"data\.n_ways=6, but the val split of toy has 5 classes: choose 2\.\.5"),
        ({"n_queries": 8}, r"data\.n_shots=1 and data\.n_queries=8 .*9 images.*at most 8"),
        ({"n_train_shots": 7}, r"data\.n_train_.*train split of toy"),
        ({"n_train_episodes": 6}, r"data\.n_train_episodes=6.*data\.meta_batch_size=4"),
    ],
)
def test_mistakes_are_named(tmp_path: Path, changes: dict[str, int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make(tmp_path, **changes)


def test_data_before_setup_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="setup"):
        EpisodeDataModule(SOURCE, cache_dir=str(tmp_path)).train_dataloader()


@pytest.mark.slow
def test_importing_the_room_is_lean() -> None:
    code = (
        "import sys, pytorch_lightning; before = set(sys.modules); import metanas_pl.data; "
        "heavy = {'matplotlib', 'requests', 'PIL', 'metanas_pl.module', 'metanas_pl.algorithms'}; "
        "print(*((set(sys.modules) - before) & heavy))"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert result.stdout.strip() == ""
