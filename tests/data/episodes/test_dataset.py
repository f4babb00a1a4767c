"""Episodes: what is in them, and what they depend on."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from metanas_pl.data.episodes.dataset import Episode, EpisodeDataset, EpisodeSampler, collate
from metanas_pl.data.episodes.loader import EpisodeLoader
from metanas_pl.data.store.class_store import ClassImages, ClassStore, StoreMeta, build_store
from tests.data.conftest import N_CLASSES

SPLITS = tuple(N_CLASSES)


def make(store: ClassStore, split: str = "train", **changes: int) -> EpisodeDataset:
    sizes = {"n_ways": 3, "n_shots": 2, "n_queries": 3, "n_episodes": 12, "seed": 0, **changes}
    return EpisodeDataset(store, split, **sizes)


def same(a: Episode, b: Episode) -> bool:
    return all(torch.equal(x, y) for x, y in zip(a, b, strict=True))


def origins(images: torch.Tensor) -> list[tuple[int, int]]:
    """(class, image) of each toy image, wherever rotation has put the marked corner."""
    pixels = (images * 255).round().long()[:, 0]
    return [(int(p[0, 0]) - 1, int(p[0, 1])) for p in pixels]


@given(
    split=st.sampled_from(SPLITS),
    ways=st.integers(1, 5),
    shots=st.integers(1, 4),
    queries=st.integers(1, 4),
    seed=st.integers(0, 2**40),
    epoch=st.integers(0, 1000),
    i=st.integers(0, 11),
)
def test_an_episode_is_a_few_shot_task(
    toy_store: ClassStore,
    split: str,
    ways: int,
    shots: int,
    queries: int,
    seed: int,
    epoch: int,
    i: int,
) -> None:
    dataset = make(toy_store, split, n_ways=ways, n_shots=shots, n_queries=queries, seed=seed)
    episode = dataset[epoch, i]
    support, query = origins(episode.support_x), origins(episode.query_x)
    assert len(set(support + query)) == ways * (shots + queries)  # no image twice
    class_of = {}
    labels = episode.support_y.tolist() + episode.query_y.tolist()
    pairs = list(zip(support + query, labels, strict=True))
    for (k, _), label in pairs:
        assert class_of.setdefault(label, k) == k  # a label is one class …
    assert len(set(class_of.values())) == len(class_of) == ways  # … and a class one label
    first = {"train": 0, "val": 6, "test": 11}[split]
    allowed = range(first, first + N_CLASSES[split])
    assert set(class_of.values()) <= set(allowed)
    assert episode.support_y.bincount().tolist() == [shots] * ways
    assert episode.query_y.bincount().tolist() == [queries] * ways
    assert episode.support_x.dtype == torch.float32 and episode.support_y.dtype == torch.int64
    assert same(episode, dataset[epoch, i])


def test_epochs_differ_in_training_only(toy_store: ClassStore) -> None:
    for split in SPLITS:
        dataset = make(toy_store, split)
        first = [dataset[i] for i in range(12)]
        dataset.set_epoch(1)
        second = [dataset[i] for i in range(12)]
        repeats = [same(a, b) for a, b in zip(first, second, strict=True)]
        assert not any(repeats) if split == "train" else all(repeats)
        expected = range(12, 24) if split == "train" else range(12)
        assert [int(episode.index) for episode in second] == list(expected)


def test_seed_split_and_number_change_the_episode(toy_store: ClassStore) -> None:
    episode = make(toy_store)[0]
    assert not same(episode, make(toy_store, seed=1)[0])
    assert not torch.equal(episode.query_x, make(toy_store)[1].query_x)
    assert not torch.equal(make(toy_store, "val")[0].query_y, make(toy_store, "test")[0].query_y)


def test_query_is_shuffled_and_support_interleaved(toy_store: ClassStore) -> None:
    episodes = [make(toy_store)[i] for i in range(12)]
    assert all(e.support_y.tolist() == [0, 1, 2, 0, 1, 2] for e in episodes)
    assert len({tuple(e.query_y.tolist()) for e in episodes}) > 6


def test_rotations_are_new_train_classes(toy_store: ClassStore) -> None:
    plain = make(toy_store, n_ways=5)
    turned = EpisodeDataset(toy_store, "train", 24, 1, 2, 5, seed=0, rotations=True)
    episode = turned[0]  # every class in every orientation
    seen = set()
    for label in range(24):
        (image,) = episode.support_x[episode.support_y == label]
        corners = [int(torch.rot90(image[0] * 255, -turn)[0, 0].round()) for turn in range(4)]
        seen.add((max(corners), corners.index(max(corners))))
    assert len({k for k, _ in seen}) == 6
    assert plain.turns == 1
    assert EpisodeDataset(toy_store, "val", 3, 1, 1, 5, seed=0, rotations=True).turns == 1
    turned_image = next(x for x in episode.query_x if not x[0, 0, 0])
    assert (turned_image > 0).any()


def test_stores_with_statistics_are_normalised(tmp_path: Path) -> None:
    images = np.random.default_rng(0).integers(0, 256, (40, 3, 5, 5), dtype=np.uint8)
    classes = [
        ClassImages("a", "", "train", images[:20]),
        ClassImages("b", "", "train", images[20:]),
    ]
    store = build_store(tmp_path / "s", classes, StoreMeta("noise", "", ""))
    episode = EpisodeDataset(store, "train", 2, 10, 10, 1, seed=0)[0]
    pixels = torch.cat([episode.support_x, episode.query_x])  # all images, each once
    mean, std = pixels.mean((0, 2, 3)), pixels.std((0, 2, 3), correction=0)
    torch.testing.assert_close(mean, torch.zeros(3), atol=1e-5, rtol=0)
    torch.testing.assert_close(std, torch.ones(3), atol=1e-5, rtol=0)


def test_too_many_ways_or_images_are_refused(toy_store: ClassStore) -> None:
    with pytest.raises(ValueError, match=r"data\.n_ways=7.*train split of toy has 6.*2\.\.6"):
        make(toy_store, n_ways=7)
    with pytest.raises(ValueError, match=r"data\.n_shots=6.*need 9 images.*has 8"):
        make(toy_store, n_shots=6)
    with pytest.raises(IndexError):
        make(toy_store)[12]


@given(n=st.integers(0, 40), world=st.integers(1, 5), start=st.integers(0, 40))
def test_ranks_take_every_episode_once(n: int, world: int, start: int) -> None:
    taken = []
    for rank in range(world):
        sampler = EpisodeSampler(n, rank, world)
        assert len(sampler) == len(list(sampler))
        sampler.start = start
        taken += list(sampler)
    assert sorted(taken) == [(0, i) for i in range(start, n)]


def test_two_ranks_together_see_the_batch_of_one(toy_store: ClassStore) -> None:
    dataset = make(toy_store)
    whole = list(EpisodeLoader(dataset, batch_size=4))
    halves = [EpisodeLoader(dataset, batch_size=2, rank=r, world_size=2) for r in (0, 1)]
    for batch, *parts in zip(whole, *halves, strict=True):
        indices = torch.stack([part.index for part in parts], dim=1).flatten()
        assert indices.tolist() == batch.index.tolist()
        assert torch.equal(parts[1].query_x, batch.query_x[1::2])


def test_collate_adds_a_task_dimension(toy_store: ClassStore) -> None:
    batch = collate([make(toy_store)[i] for i in range(4)])
    assert batch.support_x.shape == (4, 6, 1, 4, 4) and batch.query_y.shape == (4, 9)
    assert batch.index.tolist() == [0, 1, 2, 3]
