"""Mixtures: by weight, as a function of the episode's key, each store by its own constants."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from metanas_pl.data import EpisodeDataModule, EpisodeDataset
from metanas_pl.data.datasets import DataRequest
from metanas_pl.data.episodes.augment import Augmentation
from metanas_pl.data.episodes.dataset import collate
from metanas_pl.data.episodes.mixture import MixtureDataset
from metanas_pl.data.store.class_store import (
    SPLITS,
    ClassImages,
    ClassStore,
    StoreMeta,
    build_store,
)


def noise(request: DataRequest, name: str, level: int, side: int = 4) -> ClassStore:
    """Four classes a split of images about a level."""
    rng, shape = np.random.default_rng(level), (6, 1, side, side)
    classes = (
        ClassImages(f"{split}{k}", "", split, rng.integers(level, level + 40, shape, np.uint8))
        for split in SPLITS
        for k in range(4)
    )
    return build_store(request.cache_dir / name, classes, StoreMeta(name, "made up", "none"))


def dark(request: DataRequest) -> ClassStore:
    return noise(request, "dark", 10)


def bright(request: DataRequest) -> ClassStore:
    return noise(request, "bright", 200)


def large(request: DataRequest) -> ClassStore:
    return noise(request, "large", 100, 5)


SOURCES = [f"{__name__}.{name}" for name in ("dark", "bright")]
SIZES = {"n_ways": 3, "n_queries": 2, "n_train_episodes": 1000, "n_test_episodes": 1000}


def make(folder: Path, source: object = SOURCES, **changes: object) -> EpisodeDataModule:
    module = EpisodeDataModule(source, cache_dir=str(folder), **{**SIZES, **changes})  # type: ignore[arg-type]
    module.setup()
    return module


def parts(dataset: object) -> tuple[MixtureDataset, list[EpisodeDataset]]:
    assert isinstance(dataset, MixtureDataset)
    return dataset, dataset.parts


def test_episodes_are_those_of_the_parts_as_often_as_weighted(tmp_path: Path) -> None:
    module = make(tmp_path, weights=[3, 1])
    for split in ("train", "test"):
        mixture, (first, second) = parts(module.dataset(split))
        found: Counter[str] = Counter()
        for i in range(1000):
            part = mixture.part_of(2, i)
            assert part in (first, second)
            found[part.store.meta.name] += 1
        assert 700 < found["dark"] < 800
    mixture.set_epoch(1)
    for i in (0, 1, 2, 3):
        expected = mixture.part_of(1, i)[i]
        assert all(torch.equal(x, y) for x, y in zip(mixture[i], expected, strict=True))
    assert len(mixture) == 1000


def test_the_store_depends_on_seed_split_epoch_and_number(tmp_path: Path) -> None:
    def names(split: str, epoch: int, **seeds: int) -> list[str]:
        mixture, _ = parts(make(tmp_path, **seeds).dataset(split))
        return [mixture.part_of(epoch, i).store.meta.name for i in range(30)]

    assert names("train", 0) == names("train", 0) != names("train", 1)
    assert names("train", 0) != names("train", 0, seed=1)
    assert names("test", 0) == names("test", 1) == names("test", 0, seed=1)
    assert names("test", 0) != names("test", 0, eval_seed=1)
    assert names("val", 0) != names("test", 0)


def test_each_store_is_normalised_by_its_own_constants(tmp_path: Path) -> None:
    module = make(tmp_path)
    pixels = torch.cat([module.dataset("train")[i].query_x for i in range(60)])
    assert pixels.mean().abs() < 0.05 and (pixels.std() - 1).abs() < 0.05
    module.augment = Augmentation(brightness=1.0)  # works on images in [0, 1]
    module.trainer = SimpleNamespace(training=True)  # type: ignore[assignment]
    batch = collate([module.dataset("train")[i] for i in range(30)])
    after = module.on_after_batch_transfer(batch, 0)
    mixture, _ = parts(module.dataset("train"))
    for t, index in enumerate(batch.index.tolist()):
        (mean,), (std,) = mixture.constants_of(index)  # type: ignore[misc]
        image = after.query_x[t] * std + mean
        assert -1e-5 < image.min() and image.max() < 1 + 1e-5
        factors = image / (batch.query_x[t] * std + mean)
        inside = image < 0.999
        spread = factors.masked_fill(~inside, torch.nan).flatten(1)
        for row in spread:
            known = row[~row.isnan()]
            assert len(known) == 0 or known.std(correction=0) < 1e-3


def test_mistakes_are_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"one shape.*'dark': \(1, 4, 4\), 'large': \(1, 5, 5\)"):
        make(tmp_path, [SOURCES[0], f"{__name__}.large"])
    for weights in ([1], [1, -1], [0, 0]):
        with pytest.raises(ValueError, match=r"data\.weights=.*each of the 2 data sets"):
            make(tmp_path, weights=weights)
    with pytest.raises(ValueError, match=r"data\.root=\['a'\].*each of the 2 data sets"):
        make(tmp_path, root=["a"])


def test_every_source_gets_its_root(tmp_path: Path) -> None:
    assert [r.root for r in make(tmp_path, root=[None, "b"]).requests] == [None, Path("b")]
    assert [r.root for r in make(tmp_path, root="a").requests] == [Path("a")] * 2
