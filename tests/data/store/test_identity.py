"""A checkpoint knows its data: other images and other splits are told apart, and by name."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch

from metanas_pl.data import ClassStore, EpisodeDataModule
from metanas_pl.data.datasets import DataRequest
from metanas_pl.data.store.class_store import StoreMeta, build_store
from metanas_pl.data.store.identity import check_same, differences, identity
from tests.data.conftest import META, toy_classes
from tests.data.episodes.test_mixture import bright, dark


def test_a_copy_is_the_same_data(toy_store: ClassStore, tmp_path: Path) -> None:
    copy = ClassStore.open(shutil.copytree(toy_store.path, tmp_path / "copy"))
    assert differences(identity(toy_store), identity(copy)) == []
    check_same([identity(toy_store)], [identity(copy)], "")


def test_other_images_and_other_splits_are_named(toy_store: ClassStore, tmp_path: Path) -> None:
    then = identity(toy_store)
    fewer = build_store(tmp_path / "fewer", toy_classes(7), META)
    assert [text.split(":")[0] for text in differences(then, identity(fewer))] == [
        "split",
        "checksum",
    ]
    moved = list(toy_classes())
    moved[0], moved[-1] = moved[0]._replace(split="test"), moved[-1]._replace(split="train")
    swapped = build_store(tmp_path / "swapped", moved, META)
    (text,) = differences(then, identity(swapped))
    assert "split: as many classes as then (train 6, val 5, test 5), but others" in text
    moved[0] = moved[0]._replace(split="val")
    uneven = build_store(tmp_path / "uneven", moved, META)
    (text,) = differences(then, identity(uneven))
    assert text.endswith("train 6, val 5, test 5 then, train 6, val 6, test 4 now")
    with pytest.raises(ValueError, match=r"toy is not the data .*\(toy\); classes.*: do this"):
        check_same([then], [identity(uneven)], "do this")


def test_one_of_several_stores_will_do(tmp_path: Path) -> None:
    request = DataRequest(tmp_path)
    stores = [identity(make(request)) for make in (dark, bright)]
    check_same(stores, stores[1:], "")
    with pytest.raises(ValueError, match=r"bright is not .*\(dark\)"):
        check_same(stores[:1], stores, "")


def data(folder: Path, source: str) -> EpisodeDataModule:
    return EpisodeDataModule(
        f"tests.data.episodes.test_mixture.{source}", cache_dir=str(folder), n_ways=3, n_queries=2
    )


def test_the_data_module_holds_to_the_training(tmp_path: Path) -> None:
    trained = data(tmp_path, "dark")
    trained.setup()
    state = trained.state_dict()
    again, other = data(tmp_path, "dark"), data(tmp_path, "bright")
    again.trained_on = other.trained_on = state["stores"]
    again.setup()
    assert torch.equal(again.dataset("test")[0].query_x, trained.dataset("test")[0].query_x)
    with pytest.raises(ValueError, match=r"checksum: .*evaluation\.other_data=true"):
        other.setup()
    plain = data(tmp_path, "bright")
    plain.setup()
    with pytest.raises(ValueError, match="start a new run"):
        plain.load_state_dict(state)


def test_other_data_is_normalised_by_the_constants_of_the_training(tmp_path: Path) -> None:
    trained, plain, told = (data(tmp_path, name) for name in ("dark", "bright", "bright"))
    trained.setup()
    plain.setup()
    told.trained_on, told.other_data = trained.state_dict()["stores"], True
    told.setup()
    own, of_training = plain.store, trained.store
    assert own.mean and own.std and of_training.mean and of_training.std
    pixels = plain.dataset("test")[0].query_x * own.std[0] + own.mean[0]
    expected = (pixels - of_training.mean[0]) / of_training.std[0]
    torch.testing.assert_close(told.dataset("test")[0].query_x, expected, rtol=1e-4, atol=1e-4)


def test_raw_images_stay_raw_where_the_training_had_them(tmp_path: Path) -> None:
    """Constants of None are constants, too."""
    ink = build_store(tmp_path / "ink", toy_classes(), StoreMeta("ink", "", "", ink_is_one=True))
    module = data(tmp_path, "bright")
    module.trained_on, module.other_data = [identity(ink)], True
    module.setup()
    images = module.dataset("test")[0].query_x
    assert 0.7 < images.min() and images.max() <= 1
