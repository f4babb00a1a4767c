"""Pictures of an episode are images of the store, under the right class."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from metanas_pl.data.episodes.dataset import EpisodeDataset
from metanas_pl.data.episodes.pictures import episode_pictures
from metanas_pl.data.store.class_store import ClassImages, ClassStore, StoreMeta, build_store


@pytest.fixture(scope="module")
def colour_store(tmp_path_factory: pytest.TempPathFactory) -> ClassStore:
    rng = np.random.default_rng(0)
    classes = [
        ClassImages(f"c{k}", "", split, rng.integers(0, 256, (6, 3, 5, 5), dtype=np.uint8))
        for k, split in enumerate(["train", "val", "test"] * 4)
    ]
    folder: Path = tmp_path_factory.mktemp("colour") / "s"
    return build_store(folder, classes, StoreMeta("noise", "", ""))


@pytest.mark.parametrize("scaled", [True, False], ids=["colour", "ink"])
@pytest.mark.parametrize("split", ["train", "test"])
@pytest.mark.parametrize("index", [0, 3])
def test_images_are_those_of_the_named_class(
    scaled: bool, split: str, index: int, colour_store: ClassStore, toy_store: ClassStore
) -> None:
    store = colour_store if scaled else toy_store
    dataset = EpisodeDataset(store, split, n_ways=3, n_shots=2, n_queries=4, n_episodes=4, seed=1)
    dataset.set_epoch(2)
    classes, support, query = episode_pictures(dataset, index)
    assert len({info.name for info in classes}) == 3
    for info, shots, queries in zip(classes, support, query, strict=True):
        assert info.split == split
        assert (len(shots), len(queries)) == (2, 4) and shots.dtype == np.uint8
        rows = store.images[info.offset : info.offset + info.count]
        originals = {image.tobytes() for image in rows}
        shown = [image.tobytes() for image in [*shots, *queries]]
        assert len(set(shown)) == 6 and set(shown) <= originals


def test_turned_classes_keep_their_names(toy_store: ClassStore) -> None:
    dataset = EpisodeDataset(toy_store, "train", 24, 1, 1, n_episodes=1, seed=0, rotations=True)
    names = [info.name for info in dataset.episode_classes(0)]
    assert sorted(names) == sorted(4 * [f"class{k}" for k in range(6)])
    for name, (image,) in zip(names, episode_pictures(dataset, 0).support, strict=True):
        assert int(name.removeprefix("class")) + 1 in image
