"""What is found in a store is what a plain comparison finds."""

from __future__ import annotations

from itertools import combinations
from pathlib import Path

import numpy as np
import pytest

from metanas_pl.data.store import inspection
from metanas_pl.data.store.class_store import (
    SPLITS,
    ClassImages,
    ClassStore,
    StoreMeta,
    build_store,
)
from metanas_pl.data.store.inspection import (
    Place,
    blank_images,
    classes_in_two_splits,
    group_sizes,
    identical_images,
    split_statistics,
)

COLOUR = StoreMeta("noise", "made up", "none")


@pytest.fixture(autouse=True)
def _several_batches_a_class(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inspection, "BATCH", 3)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> ClassStore:
    """Colour images of 2x2 pixels of two values, so that many are equal and some are blank."""
    rng = np.random.default_rng(0)
    classes = [
        ClassImages(f"c{k}", f"group{k % 2}", split, rng.integers(0, 2, (4 + k, 3, 2, 2)))
        for k, split in enumerate([*SPLITS, *SPLITS])
    ]
    images = [c._replace(images=c.images.astype(np.uint8)[:, :1].repeat(3, 1)) for c in classes]
    return build_store(tmp_path_factory.mktemp("noise") / "s", images, COLOUR)


def every_image(store: ClassStore) -> dict[Place, np.ndarray]:
    return {
        Place(info, number): image
        for split in SPLITS
        for info in store.classes(split)
        for number, image in enumerate(store.images[info.offset : info.offset + info.count])
    }


def test_identical_images_are_those_of_a_comparison_of_all_pairs(store: ClassStore) -> None:
    expected = {
        frozenset((a, b))
        for (a, x), (b, y) in combinations(every_image(store).items(), 2)
        if np.array_equal(x, y)
    }
    found = [frozenset(pair) for same in identical_images(store) for pair in combinations(same, 2)]
    assert len(found) == len(set(found)) and set(found) == expected
    assert len(expected) > 20


def test_a_store_of_different_images_has_no_identical_ones(toy_store: ClassStore) -> None:
    assert identical_images(toy_store) == []


def test_blank_images_have_one_colour(tmp_path: Path) -> None:
    images = np.zeros((4, 3, 5, 5), dtype=np.uint8)
    images[1] = np.array([10, 20, 30])[:, None, None]  # one colour, no grey
    images[2, 0, 4, 4] = 1
    images[3, :, 0] = 255
    store = build_store(tmp_path / "s", [ClassImages("a", "", "val", images)], COLOUR)
    assert [str(place) for place in blank_images(store)] == ["val a[0]", "val a[1]"]


def test_a_place_reads_well(store: ClassStore) -> None:
    assert str(Place(store.classes("val")[1], 3)) == "val group0/c4[3]"


@pytest.mark.parametrize("split", SPLITS)
def test_statistics_are_those_of_numpy(store: ClassStore, split: str) -> None:
    classes = store.classes(split)
    rows = [row for i in classes for row in range(i.offset, i.offset + i.count)]
    pixels = store.images[rows] / 255
    counts = [info.count for info in classes]
    found = split_statistics(store, split)
    assert found is not None
    assert (found.n_classes, found.n_images) == (2, sum(counts))
    assert found.per_class == (min(counts), sum(counts) / 2, max(counts))
    np.testing.assert_allclose(found.mean, pixels.mean((0, 2, 3)))
    np.testing.assert_allclose(found.std, pixels.std((0, 2, 3)))


def test_an_empty_split_has_no_statistics(tmp_path: Path) -> None:
    images = np.zeros((1, 1, 2, 2), dtype=np.uint8)
    store = build_store(tmp_path / "s", [ClassImages("a", "", "train", images)], COLOUR)
    assert split_statistics(store, "test") is None
    assert group_sizes(store) == []


def test_groups_are_counted_in_each_split(store: ClassStore) -> None:
    assert ("group0", "train", 1, 4) in group_sizes(store)
    assert sum(n for _, _, n, _ in group_sizes(store)) == 6
    assert sum(n for *_, n in group_sizes(store)) == len(store.images)


def test_a_class_in_two_splits_is_named(store: ClassStore, monkeypatch: pytest.MonkeyPatch) -> None:
    assert classes_in_two_splits(store) == []
    moved = {s: store.classes("val" if s == "test" else s) for s in SPLITS}
    moved["test"] = tuple(type(i)(i.name, i.group, "test", i.offset, i.count) for i in moved["val"])
    monkeypatch.setattr(store, "_classes", moved)
    assert classes_in_two_splits(store) == ["group1/c1", "group0/c4"]
