"""Classes, groups and splits of folders, as people lay them out."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from metanas_pl.data.datasets.folder_layout import find_layout
from metanas_pl.errors import UserError


def layout(*folders: str, pool: bool = False) -> tuple[dict[str, str], list[str]]:
    """Class, as ``group/name``, to split and number of images; each folder holds two, ``.`` too."""
    images = {}
    for folder in folders:
        place = Path(folder)
        images[place.parts] = [place / "1.png", place / "2.png"]
    classes, notes = find_layout(images, pool)
    found = {}
    for item in classes:
        label = f"{item.group}/{item.name}" if item.group else item.name
        assert label not in found
        found[label] = f"{item.split} {len(item.files)}"
    return found, notes


def sizes(*folders: str) -> tuple[dict[str, int], list[str]]:
    found, notes = layout(*folders)
    return {label: int(value.split()[1]) for label, value in found.items()}, notes


SPLIT = {"a": "train 2", "b": "val 2", "c": "test 2"}
THREE = {"a": 2, "b": 2, "c": 2}


@pytest.mark.parametrize(
    "names",
    [
        ("train", "val", "test"),
        ("Train", "Val", "Test"),
        ("training", "validation", "testing"),
        ("TRAIN", "valid", "test"),
    ],
)
def test_names_of_split_folders(names: tuple[str, str, str]) -> None:
    assert layout(*(f"{n}/{c}" for n, c in zip(names, "abc", strict=True))) == (SPLIT, [])


def test_classes_without_split_folders() -> None:
    found, notes = layout(*"abcde")
    assert [value.split()[0] for value in found.values()] == [
        "val",
        "train",
        "train",
        "test",
        "train",
    ]
    assert notes == []


@pytest.mark.parametrize("around", ["images", "data/images"])
def test_a_wrapping_folder_is_passed_through(around: str) -> None:
    assert layout(*(f"{around}/{n}" for n in ("train/a", "val/b", "test/c"))) == (SPLIT, [])
    assert sizes(*(f"{around}/{n}" for n in "abc")) == (THREE, [])


def test_images_around_the_classes_are_left_out_with_a_line() -> None:
    line = "left out, images in no folder of a class: 2 (1.png, 2.png)"
    assert sizes(".", *"abc") == (THREE, [line])
    assert layout(".", "images/train/a", "images/val/b", "images/test/c") == (SPLIT, [line])
    assert layout("train/a", "train", "val/b", "test/c") == (SPLIT, [line])


def test_sub_folders_of_a_class_are_part_of_it() -> None:
    found, notes = sizes("a", "a/old", "a/old/more", "b", "c", "c/new")
    assert found == {"a": 6, "b": 2, "c": 4}
    assert notes == ["taken as part of the class above, folders: 3 (a/old, a/old/more, c/new)"]


def test_folders_above_the_classes_are_groups() -> None:
    names = ("Greek/alpha", "Greek/beta", "Latin/a", "Latin/old/a")
    assert sizes(*names) == (dict.fromkeys(names, 2), [])
    found, notes = layout("train/Greek/alpha", "val/Latin/a", "test/Lao/a")
    assert found == {"Greek/alpha": "train 2", "Latin/a": "val 2", "Lao/a": "test 2"} and not notes


def test_groups_beside_classes_are_told() -> None:
    found, notes = sizes("a", "b", "c/x", "c/y")
    assert found == {"a": 2, "b": 2, "c/x": 2, "c/y": 2}
    assert notes == ["taken as groups of classes, for no image lies directly in them: 1 (c)"]


def test_folders_beside_the_splits_are_left_out_with_a_line() -> None:
    found, notes = layout("train/a", "val/b", "test/c", "extra", "more/d", "more/e")
    assert found == SPLIT
    assert notes == ["left out, folders beside those of the splits: 2 (extra, more)"]


@pytest.mark.parametrize(
    "names", [("train",), ("train", "train/old"), ("train/day", "train/night")]
)
def test_a_class_called_train(names: tuple[str, ...]) -> None:
    found, _ = sizes(*names, "bus", "car", "tram")
    assert {name.partition("/")[0] for name in found} == {"train", "bus", "car", "tram"}
    inside = ("train/train", "train/bus", "val/car", "test/tram")
    assert layout(*inside)[0] == {
        "train": "train 2",
        "bus": "train 2",
        "car": "val 2",
        "tram": "test 2",
    }


def test_validation_is_taken_from_training_if_there_is_none() -> None:
    found, notes = layout(*(f"train/{c}" for c in "abcde"), "test/f", "test/g")
    assert list(found.values()) == ["train 2"] * 4 + ["val 2"] + ["test 2"] * 2
    assert found["a"] == "val 2"
    assert notes == ["no classes in val, which gets some of those in train: 1 (a)"]
    found, notes = layout("train/a", "train/b", "val/c")
    assert (
        sorted(found.values()) == ["test 2", "train 2", "val 2"] and "classes in test" in notes[0]
    )


def test_training_alone_is_split_as_classes_without_split_folders() -> None:
    found, notes = layout(*(f"train/{c}" for c in "abcde"))
    assert found == layout(*"abcde")[0] and len(notes) == 2


def test_a_test_folder_without_labels_is_left_out_with_a_line() -> None:
    found, notes = layout(*(f"train/{c}" for c in "abc"), "test")
    assert sorted(found.values()) == ["test 2", "train 2", "val 2"]
    assert notes[0] == "left out, images in no folder of a class: 2 (1.png, 2.png)"


def test_splits_within_each_class_are_put_together() -> None:
    found, notes = sizes(*(f"{c}/{s}" for c in "abc" for s in ("train", "test")))
    assert found == {"a": 4, "b": 4, "c": 4}
    assert notes == [
        "taken as part of the class above, folders: 6 (a/train, a/test, b/train and 3 more)"
    ]


def test_pooled_classes_hold_the_images_of_all_splits() -> None:
    names = [f"{s}/g/{c}" for s in ("train", "test") for c in "abcde"]
    found, notes = layout(*names, "train/g/f", pool=True)
    counts = {label: int(value.split()[1]) for label, value in found.items()}
    assert counts == {**{f"g/{c}": 4 for c in "abcde"}, "g/f": 2}
    assert {value.split()[0] for value in found.values()} == {"train", "val", "test"} and not notes


@pytest.mark.parametrize(
    ("folders", "told"),
    [
        (["train/a", "test/a"], "train and test have the same classes: 1 (a)"),
        (["train/g/a", "val/g/a", "test/b"], "train and val have the same classes"),
        (["x/train/a", "x/test/b", "y/train/c"], "x has folders for test and train"),
        (["train", "test"], "without a folder for each class"),
        (["test/a", "test/b", "test/c"], "no classes for training"),
        (["train/a", "test/b"], "1 classes; train, val need at least one each"),
        ([], "0 classes"),
    ],
)
def test_mistakes(folders: list[str], told: str) -> None:
    with pytest.raises(UserError, match=re.escape(told)):
        layout(*folders)
