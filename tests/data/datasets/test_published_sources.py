"""The published data sets, from small archives in each original format."""

from __future__ import annotations

import hashlib
import importlib
import pickle
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from metanas_pl.data.datasets import (
    SOURCES,
    DataRequest,
    SourceInfo,
    cifar_fs,
    fc100,
    prepare_source,
)
from metanas_pl.data.download import download
from metanas_pl.data.download.errors import DownloadError, FetchError
from metanas_pl.data.store.class_store import SPLITS, ClassStore
from tests.data import published_archives as made
from tests.data.download.server import Server, serving

pytestmark = pytest.mark.filterwarnings("ignore:.*is not the whole data set")

Write = Callable[[Path, dict[str, bytes]], Path]


def prepared(source: str, tmp_path: Path, root: Path | None, side: int, **more: Any) -> ClassStore:
    settings: dict[str, Any] = {"image_size": side, "channels": 3, **more}
    store = prepare_source(source, DataRequest(tmp_path / "cache", root, **settings))
    store.verify()
    return store


def check_content(
    store: ClassStore, side: int, classes: dict[str, tuple[str, ...]] = made.CLASSES
) -> None:
    """The classes in their splits, each with its own images in order."""
    for split, names in classes.items():
        assert sorted(info.name for info in store.classes(split)) == list(names)
        for info in store.classes(split):
            found = store.images[info.offset : info.offset + info.count].transpose(0, 2, 3, 1)
            expected = {made.picture(info.name, k, side).tobytes() for k in range(made.N)}
            assert {image.tobytes() for image in found} == expected


@pytest.mark.parametrize("protocol", [0, 2, 4, 5])
def test_miniimagenet_pickles(tmp_path: Path, protocol: int) -> None:
    root = made.write_folder(tmp_path / "root", made.miniimagenet_pickles(protocol))
    check_content(prepared("miniimagenet", tmp_path, root, 84), 84)


@pytest.mark.parametrize("files", [made.miniimagenet_tables, made.miniimagenet_folders])
@pytest.mark.parametrize("write", [made.write_folder, made.write_zip, made.write_tar])
def test_miniimagenet_images(
    tmp_path: Path, files: Callable[[], dict[str, bytes]], write: Write
) -> None:
    root = write(tmp_path / "root", files())
    check_content(prepared("miniimagenet", tmp_path, root, 84), 84)


def test_miniimagenet_images_of_one_name_are_told_apart_by_their_class(tmp_path: Path) -> None:
    files = {k.replace("mini/train/", "mini/"): v for k, v in made.miniimagenet_folders().items()}
    files = {
        k.replace("mini/val/", "mini/").replace("mini/test/", "mini/"): v for k, v in files.items()
    }
    for split, names in made.CLASSES.items():
        rows = [f"{k}.png,{name}" for name in names for k in range(made.N)]
        files[f"mini/{split}.csv"] = "\n".join(["filename,label", *rows]).encode()
    check_content(
        prepared("miniimagenet", tmp_path, made.write_folder(tmp_path / "r", files), 84), 84
    )
    del files["mini/ant/0.png"]
    with pytest.raises(ValueError, match=r"1 images of mini/train\.csv are absent.*as 0\.png"):
        prepared("miniimagenet", tmp_path, made.write_zip(tmp_path / "r.zip", files), 84)


@pytest.mark.parametrize("as_arrays", [True, False])
@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_tieredimagenet(tmp_path: Path, protocol: int, as_arrays: bool) -> None:
    files = made.tieredimagenet_pickles(protocol, as_arrays)
    root = made.write_folder(tmp_path / "root", files)
    store = prepared("tieredimagenet", tmp_path, root, 84)
    check_content(store, 84)
    for split in SPLITS:
        assert {info.group for info in store.classes(split)} == {made.GROUPS[split]}


@pytest.mark.parametrize("write", [made.write_folder, made.write_zip, made.write_tar])
def test_cifar_fs(tmp_path: Path, write: Write) -> None:
    root = write(tmp_path / "root", made.cifar100_files(made.CIFAR_FS_CLASSES))
    check_content(prepared("cifar_fs", tmp_path, root, 32), 32, made.CIFAR_FS_CLASSES)


def test_cifar_fs_holds_out_36_classes() -> None:
    val, test = (set(cifar_fs.HELD_OUT[split]) for split in ("val", "test"))
    assert (len(val), len(test), len(val & test)) == (16, 20, 0)


@pytest.mark.parametrize("write", [made.write_folder, made.write_tar])
def test_fc100(tmp_path: Path, write: Write) -> None:
    store = prepared("fc100", tmp_path, write(tmp_path / "root", made.cifar100_files()), 32)
    groups = {split: {info.group for info in store.classes(split)} for split in SPLITS}
    assert groups == {
        "train": {"trees", "flowers"},
        "val": {"small_mammals", "large_carnivores"},
        "test": {"insects", "people"},
    }
    for split in SPLITS:
        for info in store.classes(split):
            first = store.images[info.offset].transpose(1, 2, 0)
            np.testing.assert_array_equal(first, made.picture(info.name, 0, 32))


def test_fc100_holds_out_eight_superclasses() -> None:
    held_out = list(fc100.SPLIT_OF_SUPERCLASS.values())
    assert (held_out.count("val"), held_out.count("test")) == (4, 4)  # of five classes each


@pytest.mark.parametrize("crop", ["full", "box"])
def test_cub(tmp_path: Path, crop: str) -> None:
    root = made.write_tar(tmp_path / "CUB_200_2011.tgz", made.cub_files())
    store = prepared("cub", tmp_path, root, 30 if crop == "box" else 84, options={"crop": crop})
    numbers = {s: [int(info.name[:3]) - 1 for info in store.classes(s)] for s in SPLITS}
    assert numbers == {"train": [0, 2, 4, 6, 8, 10], "val": [1, 5, 9], "test": [3, 7, 11]}
    assert store.meta.notes == {"crop": crop} and f"cub-{crop}-" in store.path.name
    expected = made.picture("bird0", 0, 84)
    if crop == "box":  # the box is 40 x 30 pixels from (10, 20) on: its central square
        expected = expected[20:50, 15:45]
    np.testing.assert_array_equal(store.images[0].transpose(1, 2, 0), expected)


@pytest.mark.parametrize(
    ("source", "files", "side"),
    [
        ("miniimagenet", made.miniimagenet_pickles, 84),
        ("fc100", made.cifar100_files, 32),
    ],
)
@pytest.mark.parametrize("channels", [1, 3])
def test_any_size_in_grey_or_colour(
    tmp_path: Path, source: str, files: Callable[[], dict[str, bytes]], side: int, channels: int
) -> None:
    root = made.write_folder(tmp_path / "root", files())
    store = prepared(source, tmp_path, root, 20, channels=channels)
    first = made.picture(store.classes("train")[0].name, 0, side)
    image = Image.fromarray(first).convert("L" if channels == 1 else "RGB")
    expected = np.asarray(image.resize((20, 20), Image.Resampling.BICUBIC))
    found = store.images[0].transpose(1, 2, 0)
    np.testing.assert_array_equal(found, expected.reshape(20, 20, channels))


# ---- downloads


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setattr(download, "PAUSE", 0.001)
    with serving({}) as server:
        yield server


ARCHIVES: dict[str, tuple[Callable[[], dict[str, bytes]], Write, str]] = {
    "cifar_fs": (made.cifar100_files, made.write_tar, "cifar-100-python.tar.gz"),
    "fc100": (made.cifar100_files, made.write_tar, "cifar-100-python.tar.gz"),
    "cub": (made.cub_files, made.write_tar, "CUB_200_2011.tgz"),
}


@pytest.mark.parametrize("source", ["cifar_fs", "fc100", "cub"])
def test_downloaded_archives(
    tmp_path: Path, server: Server, source: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    files, write, name = ARCHIVES[source]
    where = "cub" if source == "cub" else "cifar100"
    data = write(tmp_path / name, files()).read_bytes()
    module = importlib.import_module(f"metanas_pl.data.datasets.{where}")
    assert module.URL.endswith(f"/{name}")
    monkeypatch.setattr(module, "URL", server.url + name)
    monkeypatch.setattr(module, "MD5", hashlib.md5(data).hexdigest())
    server.files[name] = data
    server.cuts = [len(data) // 2]
    store = prepared(source, tmp_path, None, 32)
    assert store.checksum == prepared(source, tmp_path, tmp_path / name, 32).checksum
    assert len(server.asked) == 2
    prepared(source, tmp_path, None, 16)  # another size needs no other download
    assert len(server.asked) == 2


@pytest.mark.parametrize(
    ("source", "files"),
    [("miniimagenet", made.miniimagenet_pickles), ("tieredimagenet", made.tieredimagenet_pickles)],
)
def test_downloaded_pickles(
    tmp_path: Path,
    server: Server,
    source: str,
    files: Callable[[], dict[str, bytes]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    module = importlib.import_module(f"metanas_pl.data.datasets.{source}")
    monkeypatch.setattr(module, "URL", server.url)
    server.files = files()
    check_content(prepared(source, tmp_path, None, 84), 84)
    assert len(server.asked) == len(server.files)


def test_no_store_without_the_data(
    tmp_path: Path, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = importlib.import_module("metanas_pl.data.datasets.cifar100")
    monkeypatch.setattr(module, "URL", server.url + "cifar.tar.gz")
    for body in (b"<html>quota</html>", b"PK another file"):
        server.files["cifar.tar.gz"] = body
        with pytest.raises(DownloadError):
            prepared("cifar_fs", tmp_path, None, 32)
    left = [p for p in (tmp_path / "cache").rglob("*") if p.is_file() and p.suffix != ".lock"]
    assert left == []


def test_no_download_where_a_whole_store_is_there_from_a_root(
    tmp_path: Path, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = importlib.import_module("metanas_pl.data.datasets.miniimagenet")
    monkeypatch.setattr(module, "URL", server.url)
    server.files = made.miniimagenet_pickles()
    root = made.write_folder(tmp_path / "root", made.miniimagenet_pickles())
    ours = prepared("miniimagenet", tmp_path, root, 84)
    assert prepared("miniimagenet", tmp_path, None, 84).path != ours.path
    assert server.asked, "100 classes were published, these are 9"
    server.asked.clear()
    monkeypatch.setattr(
        module, "INFO", SourceInfo("", "", n_classes={s: len(c) for s, c in made.CLASSES.items()})
    )
    ours = prepared("miniimagenet", tmp_path, root, 28)
    assert prepared("miniimagenet", tmp_path, None, 28).path == ours.path
    assert not server.asked


# ---- mistakes and damage


def touching(path: Path) -> bytes:
    class Malicious:
        def __reduce__(self) -> Any:
            return eval, (f"open({str(path)!r}, 'w').close()",)

    return pickle.dumps({"image_data": Malicious(), "class_dict": {}})


@pytest.mark.parametrize(
    ("source", "files", "name"),
    [
        ("miniimagenet", made.miniimagenet_pickles, "mini-imagenet-cache-train.pkl"),
        ("tieredimagenet", made.tieredimagenet_pickles, "tiered-imagenet-val_labels.pkl"),
        ("fc100", made.cifar100_files, "cifar-100-python/meta"),
    ],
)
def test_malicious_pickles_run_nothing(
    tmp_path: Path, source: str, files: Callable[[], dict[str, bytes]], name: str
) -> None:
    target = tmp_path / "touched"
    root = made.write_folder(tmp_path / "root", {**files(), name: touching(target)})
    with pytest.raises(FetchError, match=r"builtins(__)?\.eval|__builtin__\.eval"):
        prepared(source, tmp_path, root, 84)
    assert not target.exists()


def without(files: dict[str, bytes], part: str) -> dict[str, bytes]:
    return {name: data for name, data in files.items() if part not in name}


@pytest.mark.parametrize(
    ("source", "files", "message"),
    [
        ("miniimagenet", without(made.miniimagenet_pickles(), "test"), "no pickle for test"),
        ("miniimagenet", {"x.txt": b"x"}, "holds no miniImageNet: expected mini-imagenet-cache"),
        ("tieredimagenet", without(made.tieredimagenet_pickles(), "val_l"), "val_labels.pkl, as"),
        (
            "fc100",
            without(made.cifar100_files(), "meta"),
            "not CIFAR-100 for Python: it has no meta",
        ),
        ("cub", {"x.txt": b"x"}, r"holds no CUB: expected CUB_200_2011/images"),
    ],
)
def test_incomplete_data_is_named(
    tmp_path: Path, source: str, files: dict[str, bytes], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        prepared(source, tmp_path, made.write_folder(tmp_path / "root", files), 32)


def test_tieredimagenet_labels_of_other_images(tmp_path: Path) -> None:
    files = made.tieredimagenet_pickles()
    name = "tiered-imagenet-train_images_png.pkl"
    files[name] = pickle.dumps(pickle.loads(files[name])[:-1])
    root = made.write_folder(tmp_path / "root", files)
    with pytest.raises(ValueError, match="holds 11 images and .* 12 labels"):
        prepared("tieredimagenet", tmp_path, root, 84)
    (root / name).write_bytes(files[name][:-100])
    with pytest.raises(ValueError, match="train_images_png.pkl is cut short"):
        prepared("tieredimagenet", tmp_path, root, 84)


def test_cub_without_boxes(tmp_path: Path) -> None:
    root = made.write_folder(tmp_path / "root", without(made.cub_files(), "boxes"))
    with pytest.raises(ValueError, match=r"no bounding_boxes\.txt: use data\.options\.crop=full"):
        prepared("cub", tmp_path, root, 30, options={"crop": "box"})
    with pytest.raises(ValueError, match=r"data\.options\.crop=middle is unknown to cub"):
        prepared("cub", tmp_path, root, 30, options={"crop": "middle"})


@pytest.mark.filterwarnings("default:.*is not the whole data set")
def test_a_part_of_a_data_set_is_pointed_out(tmp_path: Path) -> None:
    root = made.write_zip(tmp_path / "cifar.zip", made.cifar100_files(made.CIFAR_FS_CLASSES))
    message = r"not the whole data set of 100 classes with 600 images each: found 6 classes with 4"
    with pytest.warns(UserWarning, match=message):
        prepared("cifar_fs", tmp_path, root, 32)


def test_every_source_says_what_it_holds() -> None:
    for name, path in SOURCES.items():
        info = importlib.import_module(path.rpartition(".")[0]).INFO
        assert isinstance(info, SourceInfo) and info.summary and info.licence, name
