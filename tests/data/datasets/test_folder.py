"""A folder of images becomes a store, and what is not taken is told."""

from __future__ import annotations

import os
import warnings
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from metanas_pl.data.datasets import DataRequest, prepare_source
from metanas_pl.data.store.class_store import SPLITS, ClassStore
from tests.data.datasets.test_datasets import write_images


def prepared(tmp_path: Path, root: Path, **options: str) -> tuple[ClassStore, list[str]]:
    """The store, and what the user is told."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        store = prepare_source("folder", DataRequest(tmp_path / "cache", root, options=options))
    return store, [str(warning.message).removeprefix(f"data.root={root}: ") for warning in caught]


def names(store: ClassStore) -> list[list[str]]:
    return [[info.name for info in store.classes(split)] for split in SPLITS]


def test_a_folder_of_splits(tmp_path: Path) -> None:
    names = ["train/cat", "train/dog", "val/cow", "test/owl"]
    root = write_images(tmp_path / "images", names)
    store = prepare_source("folder", DataRequest(tmp_path, root, image_size=12, channels=3))
    assert [[i.name for i in store.classes(s)] for s in SPLITS] == [
        ["cat", "dog"],
        ["cow"],
        ["owl"],
    ]
    original = np.asarray(Image.open(root / "train/cat/0.bmp"))[:, 4:16]  # the centred square
    np.testing.assert_array_equal(store.images[0], original.transpose(2, 0, 1))
    assert store.mean is not None and len(store.mean) == 3
    grey = prepare_source("folder", DataRequest(tmp_path, root, image_size=12))
    assert grey.image_shape == (1, 12, 12)


def test_a_folder_of_classes_is_split_once_and_for_all(tmp_path: Path) -> None:
    root = write_images(tmp_path / "images", [f"class{k}" for k in range(10)], n=1)
    store = prepare_source("folder", DataRequest(tmp_path / "a", root))
    assert [store.n_classes(split) for split in SPLITS] == [6, 2, 2]
    again = prepare_source("folder", DataRequest(tmp_path / "b", root))
    assert all(again.classes(split) == store.classes(split) for split in SPLITS)
    write_images(root, ["class10"], n=1)
    assert prepare_source("folder", DataRequest(tmp_path / "a", root)).path != store.path


def test_all_unreadable_files_are_named(tmp_path: Path) -> None:
    root = write_images(tmp_path / "images", ["a", "b", "c"])
    (root / "a" / "a.heic").write_bytes(b"\0\0\0\x18ftypheic")
    (root / "b" / "empty.png").touch()
    (root / "c" / "cut.png").write_bytes((root / "c" / "1.png").read_bytes()[:60])
    with pytest.raises(ValueError, match=r"3 files.*a\.heic \(it is HEIC.*empty\.png.*cut\.png \("):
        prepare_source("folder", DataRequest(tmp_path, root))


def test_a_line_for_each_kind_that_is_left_out_once(tmp_path: Path) -> None:
    root = write_images(tmp_path / "images", ["a", "b", "c"])
    for name in ("a/.DS_Store", "b/Thumbs.db", "c/desktop.ini", "c/.hidden.png"):
        (root / name).write_bytes(b"x")
    write_images(root, ["__MACOSX/a"])
    (root / "a" / "notes.txt").write_text("no image")
    (root / "a" / "broken.png").symlink_to("absent")
    store, told = prepared(tmp_path, root)
    assert len(store.images) == 12 and sum(map(len, names(store))) == 3
    assert sorted(told) == [
        "left out, broken links: 1 (a/broken.png)",
        "left out, files that are no images: 1 (a/notes.txt)",
        "left out, hidden or of the operating system: 5 (__MACOSX, a/.DS_Store, b/Thumbs.db and 2 more)",
    ]
    assert prepared(tmp_path, root)[1] == []  # told when the store was built


def test_the_layout_of_ordinary_classification_is_pooled_if_asked(tmp_path: Path) -> None:
    classes = [f"class{k:02}" for k in range(5)]
    root = write_images(
        tmp_path / "images", [f"{s}/{c}" for s in ("train", "test") for c in classes]
    )
    with pytest.raises(ValueError) as refused:
        prepare_source("folder", DataRequest(tmp_path, root))
    message = str(refused.value)
    assert (
        "train and test have the same classes: 5 (class00, class01, class02 and 2 more)" in message
    )
    assert "data.options.pool=true" in message and "splits are by class" in message
    store, told = prepared(tmp_path, root, pool="true")
    assert names(store) == [["class01", "class02", "class04"], ["class00"], ["class03"]]
    assert len(store.images) == 40 and told == []
    assert {info.count for split in SPLITS for info in store.classes(split)} == {8}


def test_names_that_are_no_utf_8_and_names_that_shells_and_hydra_read(tmp_path: Path) -> None:
    root = tmp_path / "a=b, (c) 'd' [e] \u0416 #"
    write_images(root, ["a b=c", "x'y\"z", "[red] katze \u732b"])
    write_images(root, [os.fsdecode(b"caf\xe9")])
    store, told = prepared(tmp_path, root)
    found = {name for split in names(store) for name in split}
    assert found == {"a b=c", "x'y\"z", "[red] katze \u732b", r"caf\xe9"} and told == []
    assert store.path.name.startswith("folder-a_b_c_d_e_\u0416_-")
    assert [info for split in SPLITS for info in ClassStore.open(store.path).classes(split)]


def test_a_root_without_a_name_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = write_images(tmp_path / "images", ["a", "b", "c"])
    monkeypatch.chdir(root / "a")
    store, _ = prepared(tmp_path, Path(".."))
    assert store.meta.name == "folder images" and store.path == prepared(tmp_path, root)[0].path
    long = write_images(tmp_path / ("n" * 250), ["a", "b", "c"])
    assert len(prepared(tmp_path, long)[0].images) == 12


def test_a_class_of_one_image_is_taken(tmp_path: Path) -> None:
    root = write_images(tmp_path / "images", ["a", "b", "c"], n=1)
    assert len(prepared(tmp_path, root)[0].images) == 3


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["a", "b"], r"2 classes; train, val, test need at least one each"),
        (["val/b", "test/c"], "no classes for training"),
        (["train/a", "val/b", "test/a"], r"train and test have the same classes: 1 \(a\)"),
        (["train", "val", "test"], "without a folder for each class"),
    ],
)
def test_folder_mistakes_are_named(tmp_path: Path, names: list[str], message: str) -> None:
    root = write_images(tmp_path / "images", names)
    with pytest.raises(ValueError, match=message) as refused:
        prepare_source("folder", DataRequest(tmp_path, root))
    assert str(refused.value).startswith(f"data.root={root}: ")


def test_what_is_left_out_is_told_with_the_mistake(tmp_path: Path) -> None:
    root = write_images(tmp_path / "images", ["a", "b", ".c"])
    with pytest.raises(ValueError, match=r"2 classes.*left out, hidden.*: 1 \(\.c\)"):
        prepare_source("folder", DataRequest(tmp_path, root))


def test_a_root_must_be_a_folder(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"data\.root=None must be an existing folder"):
        prepare_source("folder", DataRequest(tmp_path))
    (tmp_path / "images.zip").touch()
    with pytest.raises(ValueError, match="it is a file, unpack it"):
        prepare_source("folder", DataRequest(tmp_path, tmp_path / "images.zip"))


def test_options_of_a_folder(tmp_path: Path) -> None:
    root = tmp_path / "root"
    for k in range(3):
        (root / f"c{k}").mkdir(parents=True)
        Image.new("LA", (4, 4), (9, 0)).save(root / f"c{k}/0.png")

    def first(**options: str) -> int:
        request = DataRequest(tmp_path / "cache", root, image_size=4, options=options)
        return int(prepare_source("folder", request).images[0].max())

    with pytest.raises(ValueError, match=r"4 x 4 pixels, more than data\.options\.max_pixels=15"):
        first(max_pixels="15", background="black", pool="True")
    assert (first(), first(background="black")) == (255, 0)
    with pytest.raises(ValueError, match="max_pixels=0 is unknown to folder: give a whole number"):
        first(max_pixels="0")
