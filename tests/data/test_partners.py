"""Partners: for an episode another of the same group, or of another one."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from metanas_pl.data import EpisodeDataModule
from metanas_pl.data.datasets.tensors import store_from_arrays

N = 20


@pytest.fixture
def data(tmp_path: Path) -> EpisodeDataModule:
    """Episodes of two classes of one of three groups; the grey of an image is the number of its class."""
    values, labels, groups, splits = [], list[str](), list[str](), list[str]()
    for number, (split, group, k) in enumerate(
        (split, group, k) for split in ("train", "val", "test") for group in "abc" for k in range(2)
    ):
        values += [np.full((6, 6, 1), 10 * number, dtype=np.uint8)] * 4
        labels += [f"{split}/{group}/{k}"] * 4
        groups += [group] * 4
        splits += [split] * 4
    store_from_arrays(tmp_path / "store", np.stack(values), labels, splits=splits, groups=groups)
    module = EpisodeDataModule(
        "tensors",
        root=str(tmp_path / "store"),
        cache_dir=str(tmp_path / "cache"),
        n_ways=2,
        n_queries=1,
        meta_batch_size=2,
        n_train_episodes=2,
        n_val_episodes=3,
        n_test_episodes=N,
        image_size=6,
        sampling="group",
    )
    module.prepare_data()
    module.setup("test")
    return module


@pytest.mark.parametrize("same", [True, False])
def test_a_partner_is_of_the_same_or_another_group_and_never_itself(
    data: EpisodeDataModule, same: bool
) -> None:
    dataset = data.dataset("test")
    groups = [dataset.group_of(i) for i in range(N)]
    assert set(groups) == {"a", "b", "c"}
    batch, found = data.partners("test", list(range(N)), same_group=same)
    assert all(found)
    for i, partner in enumerate(batch.index.tolist()):
        assert partner != i and (groups[partner] == groups[i]) == same
        expected = data.batch_of("test", partner)
        assert torch.equal(batch.support_x[i], expected.support_x[0])
    again, _ = data.partners("test", list(range(N)), same_group=same)
    assert torch.equal(batch.index, again.index)


def test_an_episode_without_a_partner_stands_for_itself(data: EpisodeDataModule) -> None:
    data._groups_of["test"] = ["a"] + ["b"] * (N - 1)
    batch, found = data.partners("test", [0, 1], same_group=True)
    assert found == [False, True] and batch.index.tolist() == [0, 2]
    data._groups_of["test"] = ["a"] * N
    assert data.partners("test", [3, 4], same_group=False)[1] == [False, False]


def test_classes_of_several_groups_have_no_group(data: EpisodeDataModule) -> None:
    data._groups_of["test"] = ["", "a", "", "a"]
    batch, found = data.partners("test", [0, 1], same_group=True)
    assert found == [False, True] and batch.index.tolist() == [0, 3]
