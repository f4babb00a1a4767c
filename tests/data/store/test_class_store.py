"""The class store: content, checksum, atomic building, one builder among many processes."""

from __future__ import annotations

import errno
import multiprocessing
import pickle
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from metanas_pl.data.store.class_store import ClassImages, ClassStore, StoreMeta, build_store
from metanas_pl.errors import UserError
from tests.data.conftest import META, N_CLASSES, N_IMAGES, SIDE, toy_classes


def test_store_holds_what_was_given(toy_store: ClassStore) -> None:
    everything = [info for split in N_CLASSES for info in toy_store.classes(split)]
    for info, given in zip(everything, toy_classes(), strict=True):
        rows = toy_store.images[info.offset : info.offset + info.count]
        assert (info.name, info.group, info.split) == (given.name, given.group, given.split)
        np.testing.assert_array_equal(rows, given.images)
    assert {split: toy_store.n_classes(split) for split in N_CLASSES} == N_CLASSES
    assert toy_store.image_shape == (1, SIDE, SIDE)
    assert isinstance(toy_store.images.base, np.memmap) and not toy_store.images.flags.writeable
    toy_store.verify()


def test_no_class_or_image_belongs_to_two_splits(toy_store: ClassStore) -> None:
    everything = [info for split in N_CLASSES for info in toy_store.classes(split)]
    assert len({(info.group, info.name) for info in everything}) == len(everything)
    rows = [row for i in everything for row in range(i.offset, i.offset + i.count)]
    assert sorted(rows) == list(range(len(toy_store.images)))


def test_statistics_are_those_of_the_train_images(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    images = {s: rng.integers(0, 256, (5, 3, 4, 4), dtype=np.uint8) for s in N_CLASSES}
    classes = [ClassImages(split, "", split, x) for split, x in images.items()]
    store = build_store(tmp_path / "s", classes, StoreMeta("noise", "", ""))
    assert store.mean is not None and store.std is not None
    np.testing.assert_allclose(store.mean, (images["train"] / 255).mean((0, 2, 3)))
    np.testing.assert_allclose(store.std, (images["train"] / 255).std((0, 2, 3)))


def test_verify_finds_a_changed_byte_and_open_a_cut_file(tmp_path: Path) -> None:
    store = build_store(tmp_path / "s", toy_classes(), META)
    array = store.path / "images.npy"
    data = bytearray(array.read_bytes())
    data[-1] ^= 1
    array.write_bytes(data)
    with pytest.raises(ValueError, match="damaged"):
        ClassStore.open(store.path).verify()
    array.write_bytes(data[:-1])
    with pytest.raises(ValueError, match="cut short"):
        ClassStore.open(store.path)
    build_store(store.path, toy_classes(), META).verify()  # builds anew


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_an_interrupted_build_leaves_nothing(tmp_path: Path, error: type[BaseException]) -> None:
    def interrupted() -> Iterator[ClassImages]:
        yield next(toy_classes())
        raise error

    with pytest.raises(error):
        build_store(tmp_path / "s", interrupted(), META)
    assert [entry.name for entry in tmp_path.iterdir() if entry.suffix != ".lock"] == []
    with pytest.raises(FileNotFoundError, match="no class store"):
        ClassStore.open(tmp_path / "s")


def _endless_build(path: Path) -> None:
    def endless() -> Iterator[ClassImages]:
        yield from toy_classes()
        while True:
            time.sleep(0.01)

    build_store(path, endless(), META)


def test_what_a_killed_build_leaves_is_never_used_and_cleared_up(tmp_path: Path) -> None:
    process = multiprocessing.get_context("fork").Process(
        target=_endless_build, args=(tmp_path / "s",)
    )
    process.start()
    while not list(tmp_path.glob(".s.tmp/images.npy")):
        time.sleep(0.01)
    process.kill()
    process.join()
    assert (tmp_path / ".s.tmp").exists() and not (tmp_path / "s").exists()
    build_store(tmp_path / "s", toy_classes(), META).verify()
    assert [entry.name for entry in tmp_path.iterdir() if entry.suffix != ".lock"] == ["s"]


def _slow_build(path: Path, log: Path) -> None:
    def slow() -> Iterator[ClassImages]:
        with open(log, "a") as file:
            file.write("built\n")
        time.sleep(0.3)
        yield from toy_classes()

    build_store(path, slow(), META).verify()


def test_two_processes_prepare_once(tmp_path: Path) -> None:
    context = multiprocessing.get_context("fork")
    arguments = (tmp_path / "s", tmp_path / "log")
    processes = [context.Process(target=_slow_build, args=arguments) for _ in range(2)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0, 0]
    assert (tmp_path / "log").read_text() == "built\n"


def test_a_pickled_store_carries_no_images(toy_store: ClassStore) -> None:
    data = pickle.dumps(toy_store)
    assert len(data) < 300
    assert pickle.loads(data).checksum == toy_store.checksum


@pytest.mark.parametrize(
    ("classes", "message"),
    [
        ([], "at least one class"),
        ([ClassImages("a", "", "train", np.zeros((0, 1, 2, 2), np.uint8))], "no images"),
        ([ClassImages("a", "", "dev", np.zeros((1, 1, 2, 2), np.uint8))], "split 'dev'"),
        ([ClassImages("a", "", "train", np.zeros((1, 1, 2, 2)))], "float64"),
        ([ClassImages("a", "", s, np.zeros((1, 1, 2, 2), np.uint8)) for s in N_CLASSES], "twice"),
    ],
)
def test_unfit_classes_are_refused(
    tmp_path: Path, classes: list[ClassImages], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        build_store(tmp_path / "s", classes, META)


def test_an_unknown_split_is_refused(toy_store: ClassStore) -> None:
    with pytest.raises(ValueError, match="train, val, test"):
        toy_store.classes("dev")
    assert len(toy_store.images) == sum(N_CLASSES.values()) * N_IMAGES


def test_a_store_in_a_folder_that_cannot_be_written_is_opened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that is there is opened; another cannot be built, and the message says what to set."""
    store = build_store(tmp_path / "s", toy_classes(), META)
    monkeypatch.setattr("metanas_pl.data.store.cache_folder.FileLock.acquire", refused)
    assert build_store(tmp_path / "s", iter(()), META).checksum == store.checksum
    with pytest.raises(
        UserError, match=r"nothing can be kept in .*Permission denied.*METANAS_DATA"
    ):
        build_store(tmp_path / "t", toy_classes(), META)


def refused(*_: object) -> None:
    raise PermissionError(errno.EACCES, "Permission denied")


def test_a_full_disk_is_told_and_nothing_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("metanas_pl.data.store.class_store._flush", full)
    with pytest.raises(UserError, match="no space is left for the store .*make room, or set"):
        build_store(tmp_path / "s", toy_classes(), META)
    assert [path.name for path in tmp_path.iterdir()] in ([], [".s.lock"])
