"""What people put into folders: which classes are found, and what is said of the rest."""

from __future__ import annotations

import os
import socket
from collections.abc import Sequence
from pathlib import Path

import pytest
from PIL import Image

from metanas_pl.data.sources import DataRequest, prepare_source
from metanas_pl.data.sources.folder_layout import FoundClass, find_layout
from metanas_pl.data.store import SPLITS


def put(root: Path, files: Sequence[str]) -> Path:
    """Files with nothing in them, which a search for classes does not open."""
    for name in files:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
    return root


def classes(n: int, *prefix: str, n_images: int = 2) -> list[str]:
    return [str(Path(*prefix, f"c{k}", f"{i}.png")) for k in range(n) for i in range(n_images)]


def names(found: Sequence[FoundClass], split: str) -> list[str]:
    return [f"{c.group}/{c.name}".lstrip("/") for c in found if c.split == split]


def test_images_in_sub_folders_of_a_class_belong_to_it(tmp_path: Path) -> None:
    root = put(tmp_path, [*classes(3), *(f"c{k}/more/{i}.jpg" for k in range(3) for i in range(4))])
    found, notes = find_layout(root)
    assert [len(c.files) for c in found] == [6, 6, 6] and notes == []


def test_nested_class_folders_are_groups(tmp_path: Path) -> None:
    root = put(tmp_path, [*classes(2, "birds"), *classes(2, "cars", "old"), *classes(1, "x")])
    found, _ = find_layout(root)
    labels = sorted((c.group, c.name) for c in found)
    assert labels == [
        ("birds", "c0"),
        ("birds", "c1"),
        ("cars/old", "c0"),
        ("cars/old", "c1"),
        ("x", "c0"),
    ]


@pytest.mark.parametrize(
    "folders",
    [("Train", "Val", "Test"), ("train", "valid", "test"), ("TRAINING", "validation", "testing")],
)
def test_names_of_splits(folders: tuple[str, ...], tmp_path: Path) -> None:
    files = [f"{folder}/{folder}{k}/0.png" for folder in folders for k in range(2)]
    found, notes = find_layout(put(tmp_path, files))
    for split, folder in zip(SPLITS, folders, strict=True):
        assert names(found, split) == [f"{folder}0", f"{folder}1"]
    assert notes == []


def test_two_folders_for_a_split(tmp_path: Path) -> None:
    root = put(tmp_path, [*classes(2, "train"), "val/a/0.png", "valid/b/0.png", "test/c/0.png"])
    with pytest.raises(ValueError, match="two folders for val: val, valid"):
        find_layout(root)


def test_a_class_called_train(tmp_path: Path) -> None:
    root = put(tmp_path, [f"{name}/0.png" for name in ("train", "bus", "tram")])
    found, notes = find_layout(root)
    assert sorted(c.name for c in found) == ["bus", "train", "tram"] and notes == []


@pytest.mark.parametrize(("held_out", "absent"), [("test", "val"), ("val", "test")])
def test_a_split_without_a_folder_is_taken_from_training(
    held_out: str, absent: str, tmp_path: Path
) -> None:
    root = put(tmp_path, [*classes(10, "train"), f"{held_out}/a/0.png"])
    found, notes = find_layout(root)
    assert [len(names(found, s)) for s in ("train", absent, held_out)] == [8, 2, 1]
    assert notes == [f"no folder for {absent}: 2 of the 10 classes for training are in it"]


def test_no_classes_for_training(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no classes for training"):
        find_layout(put(tmp_path, ["val/a/0.png", "test/b/0.png"]))


def test_the_layout_of_image_folders_of_other_tasks(tmp_path: Path) -> None:
    """The same classes in train and test: few-shot splits are by class."""
    root = put(tmp_path, [*classes(5, "train"), *classes(5, "test", n_images=1)])
    with pytest.raises(
        ValueError, match=r"5 classes in several splits \(c0, c1, c2, …\).*pool=true"
    ):
        find_layout(root)
    found, _ = find_layout(root, pool=True)
    assert [len(c.files) for c in found] == [3] * 5
    assert [len(names(found, split)) for split in SPLITS] == [3, 1, 1]


def test_splits_within_classes(tmp_path: Path) -> None:
    root = put(tmp_path, [f"{c}/{s}/0.png" for c in "abc" for s in ("train", "test")])
    with pytest.raises(ValueError, match="splits within each class"):
        find_layout(root)


def test_a_wrapping_folder(tmp_path: Path) -> None:
    found, notes = find_layout(put(tmp_path, classes(3, "pictures", "of mine")))
    assert len(found) == 3 and {c.group for c in found} == {""}
    assert notes == ["taken from its only folder pictures/of mine"]


def test_what_lies_outside_of_class_folders_is_told(tmp_path: Path) -> None:
    files = [f"{s}/{s}/0.png" for s in SPLITS]
    root = put(tmp_path, [*files, "cat/0.png", "dog/0.png", "loose.png", "train/too.png"])
    _, notes = find_layout(root)
    assert notes == [
        "left out, for they are beside the folders of the splits: cat, dog",
        "left out, in no folder of a class: 2 (loose.png, too.png)",
    ]


def test_what_is_no_image_is_left_out_with_a_line_for_each_kind(tmp_path: Path) -> None:
    litter = [
        "c0/.DS_Store",
        "c1/Thumbs.db",
        "__MACOSX/c0/0.png",
        "c0/notes.txt",
        "c1/a.csv",
        "c2/b.csv",
    ]
    root = put(tmp_path, [*classes(3), *litter])
    (root / "c0/gone.png").symlink_to(root / "nowhere.png")
    (root / "c1/loop").symlink_to(root)
    os.mkfifo(root / "c2/pipe.png")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(root / "c2/s.png"))
        found, notes = find_layout(root)
    assert [len(c.files) for c in found] == [2, 2, 2]
    assert sorted(notes) == [
        "left out, .csv files are no images: 2 (c1/a.csv, c2/b.csv)",
        "left out, .txt files are no images: 1 (c0/notes.txt)",
        "left out, broken links: 1 (c0/gone.png)",
        "left out, hidden or made by the system: 3 (__MACOSX, c0/.DS_Store, c1/Thumbs.db)",
        "left out, links to a folder that they are in: 1 (c1/loop)",
        "left out, no regular files: 2 (c2/pipe.png, c2/s.png)",
    ]


def test_links_to_images_and_folders_are_followed(tmp_path: Path) -> None:
    put(tmp_path / "far", ["one/0.png", "1.png"])
    root = put(tmp_path / "root", classes(2))
    (root / "c2").symlink_to(tmp_path / "far" / "one")
    (root / "c0/linked.png").symlink_to(tmp_path / "far" / "1.png")
    found, notes = find_layout(root)
    assert sorted(len(c.files) for c in found) == [1, 2, 3] and notes == []


def test_names_of_any_kind(tmp_path: Path) -> None:
    odd = ["with space", "a=b", "'quoted'", "[brackets]", "Катя", os.fsdecode(b"caf\xe9")]
    root = tmp_path / "odd =[names]"
    for name in odd:
        (root / name).mkdir(parents=True)
        Image.new("RGB", (8, 8), (len(name) * 9, 0, 0)).save(root / name / "0 ü.png")
    store = prepare_source("folder", DataRequest(tmp_path / "cache", root, image_size=8))
    found = {info.name for split in SPLITS for info in store.classes(split)}
    assert found == {*odd[:-1], "caf\\xe9"}
    again = prepare_source("folder", DataRequest(tmp_path / "cache", root, image_size=8))
    assert again.path == store.path


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
