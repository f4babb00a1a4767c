"""A good store passes; each kind of fault is named, with its place."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from metanas_pl.data.datasets import DataRequest, SourceInfo, cifar_fs, prepare_source
from metanas_pl.data.datasets.published import apart
from metanas_pl.data.store.cache import source_info
from metanas_pl.data.store.class_store import ClassImages, ClassStore, build_store
from metanas_pl.data.store.inspection import identical_images
from metanas_pl.data.store.verification import Check, is_verified, record, verify_store
from tests.data.conftest import META, N_CLASSES, toy_classes
from tests.data.datasets.test_datasets import OMNIGLOT


def changed(path: Path, **changes: np.ndarray) -> list[Check]:
    """Checks of the toy store in which the images of some classes are others."""
    classes = [c._replace(images=changes.get(c.name, c.images)) for c in toy_classes()]
    return verify_store(build_store(path / "s", classes, META))


def of(checks: list[Check], verdict: str) -> list[tuple[str, tuple[str, ...]]]:
    return [(check.text, check.places) for check in checks if check.verdict == verdict]


def originals() -> dict[str, np.ndarray]:
    return {item.name: item.images.copy() for item in toy_classes()}


def test_a_good_store_passes(toy_store: ClassStore) -> None:
    checks = verify_store(toy_store, SourceInfo("toy", "none", n_classes=N_CLASSES))
    assert {check.verdict for check in checks} == {"passed"} and len(checks) == 7
    assert "6/5/5 classes (train/val/test), as it should be" in checks[1].text


def test_missing_classes_fail_and_another_split_does_not(toy_store: ClassStore) -> None:
    more = SourceInfo("toy", "none", n_classes={"train": 7, "val": 5, "test": 5})
    (failure,) = of(verify_store(toy_store, more), "failed")
    assert failure[0] == "6/5/5 classes (train/val/test), expected 7/5/5: " + (
        "part of the data set is missing"
    )
    other = SourceInfo("toy", "none", n_classes={"train": 4, "val": 6, "test": 6})
    assert of(verify_store(toy_store, other), "failed") == []


def test_a_class_that_is_not_whole_fails(tmp_path: Path) -> None:
    classes = [c._replace(images=c.images[: 8 - (c.name == "class3")]) for c in toy_classes()]
    store = build_store(tmp_path / "s", classes, META)
    info = SourceInfo("toy", "none", n_classes=N_CLASSES, images_a_class=8)
    (failure,) = of(verify_store(store, info), "failed")
    assert failure == (
        "6/5/5 classes (train/val/test), but not of 8 images each",
        ("train toy/class3: 7",),
    )


def test_an_image_in_two_splits_fails(tmp_path: Path) -> None:
    images = originals()
    images["class12"][3] = images["class1"][5]  # test and train
    checks = changed(tmp_path, class12=images["class12"])
    assert of(checks, "noticed") == []
    assert of(checks, "failed") == [
        ("images in two splits: 1", ("train toy/class1[5] = test toy/class12[3]",))
    ]


def test_an_image_repeated_within_a_split_is_noticed(tmp_path: Path) -> None:
    images = originals()
    images["class2"][0] = images["class1"][7]
    images["class3"][1:3] = images["class3"][0]
    checks = changed(tmp_path, class2=images["class2"], class3=images["class3"])
    assert of(checks, "failed") == []
    ((text, places),) = of(checks, "noticed")
    assert text == "images repeated within a split: 2"
    assert set(places) == {
        "train toy/class1[7] = train toy/class2[0]",
        "train toy/class3[0] = train toy/class3[1] = train toy/class3[2]",
    }


def test_blank_images_and_small_classes_are_noticed(tmp_path: Path) -> None:
    images = originals()
    images["class8"][6] = 9
    checks = changed(tmp_path, class8=images["class8"], class0=images["class0"][:4])
    assert of(checks, "noticed") == [
        ("blank images: 1", ("val toy/class8[6]",)),
        ("classes of fewer than 5 images: 1", ("train toy/class0: 4",)),
    ]


def test_a_changed_byte_fails(tmp_path: Path) -> None:
    store = build_store(tmp_path / "s", toy_classes(), META)
    data = bytearray((store.path / "images.npy").read_bytes())
    data[-1] ^= 1
    (store.path / "images.npy").write_bytes(data)
    ((text, _),) = of(verify_store(ClassStore.open(store.path)), "failed")
    assert "damaged" in text


def test_the_record_holds_until_the_images_change(tmp_path: Path) -> None:
    store = build_store(tmp_path / "s", toy_classes(), META)
    assert not is_verified(store)
    record(store, passed=True)
    assert is_verified(store) and is_verified(ClassStore.open(store.path))
    array = store.path / "images.npy"
    array.write_bytes(array.read_bytes())
    assert not is_verified(store)
    record(store, passed=True)
    record(store, passed=False)
    assert not is_verified(store)


def test_a_class_without_group_is_called_by_its_name(tmp_path: Path) -> None:
    images = np.arange(4, dtype=np.uint8).reshape(1, 1, 2, 2).repeat(5, 0)
    store = build_store(tmp_path / "s", [ClassImages("cat", "", "val", images)], META)
    ((_, (place,)),) = of(verify_store(store), "noticed")
    assert place == " = ".join(f"val cat[{k}]" for k in range(5))


@pytest.mark.slow
@pytest.mark.skipif(not OMNIGLOT.is_file(), reason="set METANAS_OMNIGLOT to omniglot-py.tar.gz")
def test_the_one_repeated_drawing_of_omniglot(tmp_path: Path) -> None:
    """Drawings 3 and 19 of a Braille letter, files ``0192_03.png`` and ``0192_19.png``."""
    for size in (28, 105):  # as the networks see them, and as they are
        store = prepare_source("omniglot", DataRequest(tmp_path, OMNIGLOT, image_size=size))
        (same,) = identical_images(store)
        assert [str(place) for place in same] == [
            "train Braille/character01[2]",
            "train Braille/character01[18]",
        ]
        assert of(verify_store(store, source_info("omniglot")), "failed") == []


def test_images_that_the_published_set_has_in_two_splits_are_known(tmp_path: Path) -> None:
    images = originals()
    images["class12"][3] = images["class1"][5]  # test and train
    known = SourceInfo("toy", "", n_classes=N_CLASSES, shared_images={("class1", "class12"): 1})
    classes = [c._replace(images=images[c.name]) for c in toy_classes()]
    checks = verify_store(build_store(tmp_path / "s", classes, META), known)
    assert of(checks, "failed") == []
    ((text, places),) = of(checks, "noticed")
    assert text.startswith("images in two splits, as in the published data set: 1 (data.options.")
    assert "duplicates=drop" in text and "differ from those of papers" in text
    assert places == ("train toy/class1[5] = test toy/class12[3]",)


@pytest.mark.parametrize("other", ["class12", "class13"])
def test_images_in_two_splits_beside_the_known_ones_fail(tmp_path: Path, other: str) -> None:
    images = originals()
    images["class12"][3] = images["class1"][5]
    images[other][0] = images["class1"][6]  # of the same two classes, but one more; of others
    known = SourceInfo("toy", "", n_classes=N_CLASSES, shared_images={("class1", "class12"): 1})
    classes = [c._replace(images=images[c.name]) for c in toy_classes()]
    checks = verify_store(build_store(tmp_path / "s", classes, META), known)
    assert of(checks, "failed") == [
        ("images in two splits beside these: 1", (f"train toy/class1[6] = test toy/{other}[0]",))
    ]


def test_images_in_two_splits_can_be_dropped(tmp_path: Path) -> None:
    images = originals()
    images["class12"][3] = images["class1"][5]
    images["class2"][0] = images["class1"][7]  # within training
    classes = [c._replace(images=images[c.name]) for c in toy_classes()]
    with pytest.warns(
        UserWarning, match="toy: 1 images left out.*results differ from those of papers"
    ):
        kept = list(apart(classes, "toy"))
    sizes = {c.name: len(c.images) for c in kept}
    assert sizes.pop("class12") == 7 and set(sizes.values()) == {8}
    store = build_store(tmp_path / "s", kept, replace(META, notes={"duplicates": "drop"}))
    known: dict[str, Any] = {
        "n_classes": N_CLASSES,
        "images_a_class": 8,
        "shared_images": {("class1", "class12"): 1},
    }
    assert of(verify_store(store, SourceInfo("toy", "", **known)), "failed") == []
    whole = {**known, "shared_images": {("class1", "class12"): 2}}  # then one more should be gone
    ((text, _),) = of(verify_store(store, SourceInfo("toy", "", **whole)), "failed")
    assert "not of 8 images each" in text


@pytest.mark.parametrize(("name", "n"), [("cifar_fs", 15), ("fc100", 3), ("miniimagenet", 6)])
def test_what_published_sets_are_known_to_share(name: str, n: int) -> None:
    """Counted once on the whole sets; both classes of a pair in the order of their names."""
    info = source_info(name)
    assert sum(info.shared_images.values()) == n
    assert all(pair == tuple(sorted(pair)) for pair in info.shared_images)
    assert info.options["duplicates"] == ("keep", "drop")


def test_the_classes_that_share_images_are_of_two_splits() -> None:
    for first, second in source_info("cifar_fs").shared_images:
        assert cifar_fs.split_of("", first) != cifar_fs.split_of("", second)
