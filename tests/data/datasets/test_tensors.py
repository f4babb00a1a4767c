"""Arrays and ``.npz`` files as a source."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import metanas_pl
from metanas_pl.data import EpisodeDataModule
from metanas_pl.data.datasets import DataRequest, prepare_source
from metanas_pl.data.store.class_store import SPLITS

LABELS = np.repeat([3, 1, 2], 4)
IMAGES = np.random.default_rng(0).integers(0, 256, (12, 3, 8, 8), dtype=np.uint8)
OF = {1: "train", 2: "val", 3: "test"}
COLUMNS = {
    "labels": LABELS,
    "splits": [OF[k] for k in LABELS],
    "groups": ["even" if k == 2 else "odd" for k in LABELS],
}


@pytest.mark.parametrize("as_array", [np.asarray, torch.as_tensor])
def test_a_store_from_arrays(tmp_path: Path, as_array: Any) -> None:
    store = metanas_pl.store_from_arrays(tmp_path / "s", as_array(IMAGES), **COLUMNS, name="mine")
    assert store.meta.name == "mine"
    for label, split in OF.items():
        (info,) = store.classes(split)
        assert (info.name, info.group) == (str(label), "even" if label == 2 else "odd")
        rows = store.images[info.offset : info.offset + info.count]
        np.testing.assert_array_equal(rows, IMAGES[LABELS == label])
    with pytest.raises(FileExistsError, match="choose another folder"):
        metanas_pl.store_from_arrays(tmp_path / "s", IMAGES, **COLUMNS)


def test_a_store_from_arrays_in_a_data_module(tmp_path: Path) -> None:
    labels = np.repeat(np.arange(20), 4)
    images = np.repeat(labels[:, None, None], 64, axis=1).reshape(-1, 8, 8).astype(np.uint8)
    store = metanas_pl.store_from_arrays(tmp_path / "s", images, labels)
    assert [store.n_classes(split) for split in SPLITS] == [12, 4, 4]
    settings = {"n_ways": 3, "n_queries": 2, "image_size": 8}
    data = EpisodeDataModule("tensors", str(store.path), **settings)
    data.setup()
    assert data.store.checksum == store.checksum
    assert next(iter(data.test_dataloader())).support_x.shape == (10, 3, 1, 8, 8)
    request = DataRequest(tmp_path, store.path, image_size=28)
    with pytest.raises(ValueError, match=r"set data\.channels=1 data\.image_size=8"):
        prepare_source("tensors", request)


@pytest.mark.parametrize(
    "images",
    [
        IMAGES.transpose(0, 2, 3, 1),
        IMAGES / 255,
        (IMAGES / 255).astype(np.float32),
        IMAGES.astype(np.uint16) * 257,
        torch.as_tensor(IMAGES) / 255,
    ],
    ids=["channels last", "float64", "float32", "uint16", "tensor"],
)
def test_other_layouts_and_types_are_the_same_images(tmp_path: Path, images: Any) -> None:
    store = metanas_pl.store_from_arrays(tmp_path / "s", images, **COLUMNS)
    plain = metanas_pl.store_from_arrays(tmp_path / "t", IMAGES, **COLUMNS)
    assert store.checksum == plain.checksum


def test_a_mask_is_black_and_white_and_a_dark_class_is_dark(tmp_path: Path) -> None:
    mask = IMAGES[:, 0] > 100
    store = metanas_pl.store_from_arrays(tmp_path / "mask", mask, **COLUMNS)
    rows = store.classes("train")[0]
    np.testing.assert_array_equal(
        store.images[rows.offset : rows.offset + 4, 0], mask[LABELS == 1] * 255
    )
    dark = IMAGES / 255 * np.where(LABELS == 1, 1e-3, 1)[:, None, None, None]
    store = metanas_pl.store_from_arrays(tmp_path / "dark", dark, **COLUMNS)
    assert store.images[rows.offset : rows.offset + 4].max() == 0


def test_a_file(tmp_path: Path) -> None:
    np.savez_compressed(tmp_path / "x.npz", images=IMAGES, **COLUMNS)
    request = DataRequest(tmp_path / "cache", tmp_path / "x.npz", image_size=8, channels=3)
    store = prepare_source("tensors", request)
    (info,) = store.classes("test")
    np.testing.assert_array_equal(store.images[info.offset : info.offset + 4], IMAGES[:4])
    small = DataRequest(tmp_path / "cache", tmp_path / "x.npz", image_size=4, channels=1)
    assert prepare_source("tensors", small).image_shape == (1, 4, 4)
    np.savez(tmp_path / "x.npz", images=IMAGES[::-1], **COLUMNS)
    assert prepare_source("tensors", request).checksum != store.checksum


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"images": IMAGES / 1.0}, r"images: its floats go from 0 to 255: scale them to \[0, 1\]"),
        ({"images": IMAGES / 255 - 0.5}, "its floats go from -0.5 to 0.5"),
        ({"images": np.full((12, 8, 8), np.nan)}, "its floats go from nan to nan"),
        ({"images": IMAGES.astype(np.int64)}, "its int64 go up to 255 of .* would be black"),
        (
            {"images": IMAGES.astype(np.uint16)},
            "its uint16 go up to 255 of 65535, so it would be bl",
        ),
        ({"images": IMAGES.astype(str)}, "images: its values are <U.*, not numbers"),
        ({"images": IMAGES * 1j}, "its values are complex128, not numbers"),
        ({"images": [IMAGES[0], IMAGES[1, :2]]}, "images are no array"),
        ({"images": torch.ones(12, 8, 8, requires_grad=True)}, "images are no array.*detach"),
        ({"images": torch.ones(12, 8, 8).bfloat16()}, "images are no array"),
        ({"images": IMAGES[:, :2]}, r"images have shape \(12, 2, 8, 8\), expected \(n, H, W\)"),
        ({"labels": LABELS[:5]}, r"labels have shape \(5,\), expected \(12,\)"),
        ({"splits": ["train"] * 11 + ["val"]}, "class 2 has several splits: train, val"),
        ({"groups": list("ab" * 6)}, "class 1 has several groups: a, b"),
        ({"splits": ["dev"] * 12}, "split 'dev' is none of train, val, test"),
        ({"labels": [0] * 12, "splits": None}, "1 classes; train, val, test"),
    ],
)
def test_arrays_that_do_not_fit(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        metanas_pl.store_from_arrays(tmp_path / "s", **{"images": IMAGES, **COLUMNS, **changes})
    assert not (tmp_path / "s").exists()


def test_files_that_are_something_else(tmp_path: Path) -> None:
    def refused(root: Path | None, message: str) -> None:
        with pytest.raises(ValueError, match=message):
            prepare_source("tensors", DataRequest(tmp_path / "cache", root))

    refused(None, r"data\.root=None must be an \.npz file with images, labels and")
    np.savez(tmp_path / "x.npz", x=IMAGES, y=LABELS)
    refused(tmp_path / "x.npz", "holds x, y, expected images, labels and")
    (tmp_path / "y.npz").write_text("hello")
    refused(tmp_path / "y.npz", r"y\.npz is no readable \.npz file")
    objects = np.array([None] * 12, dtype=object)
    np.savez(tmp_path / "z.npz", images=IMAGES, labels=objects)
    refused(tmp_path / "z.npz", r"z\.npz is no readable \.npz file")


def test_files_that_claim_more_than_they_hold(tmp_path: Path) -> None:
    def refused(data: bytes, message: str) -> None:
        with zipfile.ZipFile(tmp_path / "x.npz", "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("images.npy", data)
        with pytest.raises(ValueError, match=rf"x\.npz is no readable \.npz file .*{message}"):
            prepare_source("tensors", DataRequest(tmp_path / "cache", tmp_path / "x.npz"))

    header = io.BytesIO()
    described = {"descr": "|u1", "fortran_order": False, "shape": (10**13, 28, 28)}
    np.lib.format.write_array_header_1_0(header, described)
    refused(header.getvalue() + bytes(100), "cut short")
    refused(header.getvalue() + bytes(2**28), "unpacks to 268,")
