"""A tiny store whose every image tells where it comes from."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from metanas_pl.data import EpisodeDataModule
from metanas_pl.data.store.class_store import ClassImages, ClassStore, StoreMeta, build_store

META = StoreMeta(name="toy", source="made up", licence="none", ink_is_one=True)
N_CLASSES = {"train": 6, "val": 5, "test": 5}
N_IMAGES = 8
SIDE = 4


def toy_classes(n_images: int = N_IMAGES) -> Iterator[ClassImages]:
    """Class k has images with corner pixels ``(k + 1, j)``, so that content names its origin."""
    k = 0
    for split, count in N_CLASSES.items():
        for _ in range(count):
            images = np.zeros((n_images, 1, SIDE, SIDE), dtype=np.uint8)
            images[:, 0, 0, 0] = k + 1
            images[:, 0, 0, 1] = np.arange(n_images)
            yield ClassImages(f"class{k}", "toy", split, images)
            k += 1


@pytest.fixture(scope="session")
def toy_store(tmp_path_factory: pytest.TempPathFactory) -> ClassStore:
    return build_store(tmp_path_factory.mktemp("toy") / "store", toy_classes(), META)


@pytest.fixture
def toy_data(tmp_path: Path) -> EpisodeDataModule:
    """Episodes of the toy store of ``own_source`` (``test_datasets.py``), ready to be asked for."""
    module = EpisodeDataModule(
        "tests.data.datasets.test_datasets.own_source",
        cache_dir=str(tmp_path),
        n_ways=3,
        n_queries=2,
    )
    module.setup()
    return module
