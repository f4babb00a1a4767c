"""A data set on disk: one memory-mapped uint8 array of images and a table of its classes.

A store is a folder with two files: ``images.npy`` ``(n_images, C, H, W)``, in which the images of a
class lie side by side, and ``store.json``, which holds the class table, where the images come from
and the SHA-256 of the array's bytes. It is written once, class by class, into a temporary folder
that takes the final name when it is complete: a half-built store is never found.
"""

from __future__ import annotations

import errno
import hashlib
import json
import math
import os
import shutil
from collections.abc import Callable, Iterable
from dataclasses import asdict
from pathlib import Path
from typing import IO, TYPE_CHECKING, BinaryIO, NamedTuple

import numpy as np

from metanas_pl.data.store.cache_folder import REMEDY, locked
from metanas_pl.data.store.table import (
    FORMAT_VERSION,
    SPLITS,
    ClassInfo,
    StoreMeta,
    StoreTable,
    read_table,
)
from metanas_pl.errors import UserError

if TYPE_CHECKING:
    from metanas_pl.types import Settings

__all__ = ["SPLITS", "ClassImages", "ClassInfo", "ClassStore", "StoreMeta", "build_store"]

_HEADER_BYTES = 128
NO_ROOM = (errno.ENOSPC, errno.EDQUOT)


class ClassImages(NamedTuple):
    """What a source yields for one class: ``images (n, C, H, W)`` uint8 and where they belong."""

    name: str
    group: str
    split: str
    images: np.ndarray


class ClassStore:
    """Read access to a store; open one with :meth:`ClassStore.open`.

    Attributes:
        path: the folder.
        images: read-only memory map ``(n_images, C, H, W)`` of uint8.
        meta: what the images are.
        checksum: SHA-256 of the bytes of ``images``.
        mean: per-channel mean of the train images in [0, 1], or None if ``meta.ink_is_one``.
        std: per-channel standard deviation of the train images, or None likewise.
    """

    def __init__(self, path: Path, images: np.ndarray, table: StoreTable) -> None:
        self.path = path
        self.images = np.asarray(images)  # indexing a memmap object itself is slower
        self.meta, self.checksum = table.meta, table.checksum
        self.mean, self.std = table.mean, table.std
        every = table.classes
        self._classes = {s: tuple(info for info in every if info.split == s) for s in SPLITS}

    @classmethod
    def open(cls, path: str | Path) -> ClassStore:
        """Maps the store in folder ``path``.

        Raises:
            FileNotFoundError: there is no complete store in ``path``.
            UserError: the store was written by another version, or is cut short or damaged.
        """
        path = Path(path)
        table_file, array_file = path / "store.json", path / "images.npy"
        if not (table_file.is_file() and array_file.is_file()):
            raise FileNotFoundError(f"{path} holds no class store (store.json and images.npy)")
        table = read_table(table_file)
        with array_file.open("rb") as file:
            header = file.read(_HEADER_BYTES)
        size = _HEADER_BYTES + math.prod(table.shape)
        if header != _npy_header(table.shape) or array_file.stat().st_size != size:
            raise UserError(
                f"{array_file} is cut short or damaged: delete {path}, and it is built again"
            )
        return cls(path, np.memmap(array_file, np.uint8, "r", _HEADER_BYTES, table.shape), table)

    def __reduce__(self) -> tuple[Callable[[Path], ClassStore], tuple[Path]]:
        # A worker process maps the file itself instead of receiving a copy of the images.
        return ClassStore.open, (self.path,)

    def __repr__(self) -> str:
        counts = ", ".join(f"{split}={self.n_classes(split)}" for split in SPLITS)
        return f"ClassStore({self.meta.name}, classes: {counts}, image_shape={self.image_shape})"

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """``(C, H, W)`` of every image."""
        channels, height, width = self.images.shape[1:]
        return channels, height, width

    def classes(self, split: str) -> tuple[ClassInfo, ...]:
        """Returns the classes of ``split`` in the order in which they are stored."""
        if split not in SPLITS:
            raise UserError(f"split {split!r} is unknown: choose one of {', '.join(SPLITS)}")
        return self._classes[split]

    def n_classes(self, split: str) -> int:
        """Returns the number of classes of ``split``."""
        return len(self.classes(split))

    def verify(self) -> None:
        """Compares the array's bytes with the checksum; ValueError if they differ."""
        digest = hashlib.sha256()
        for start in range(0, len(self.images), 4096):
            digest.update(self.images[start : start + 4096].tobytes())
        if digest.hexdigest() != self.checksum:
            raise UserError(f"{self.path} is damaged (checksum): delete it, and it is built again")


def build_store(path: str | Path, classes: Iterable[ClassImages], meta: StoreMeta) -> ClassStore:
    """Writes ``classes`` as the store ``path``, or opens it if it is already there.

    ``classes`` may be a generator: it is consumed class by class, and not at all if the store
    exists. A second process that asks for the same store waits for the first one and opens its
    work. If anything fails, nothing stays behind; after a kill, the next build clears up.

    Args:
        path: folder of the store; its parent is created.
        classes: at least one class; all images have one shape.
        meta: what the images are.

    Raises:
        UserError: a class is empty, occurs twice, or its images do not fit the others; or the store
            cannot be written.
    """
    path = Path(path).absolute()
    if (store := _whole(path)) is not None:  # perhaps in a folder that is read-only
        return store
    with locked(path):
        if (store := _whole(path)) is not None:  # another process has built it meanwhile
            return store
        shutil.rmtree(path, ignore_errors=True)
        scratch = path.with_name(f".{path.name}.tmp")
        shutil.rmtree(scratch, ignore_errors=True)  # of a process that was killed
        try:
            scratch.mkdir()
            _write(scratch, classes, meta)
            os.replace(scratch, path)
        except BaseException as error:
            shutil.rmtree(scratch, ignore_errors=True)
            if isinstance(error, OSError) and error.errno in NO_ROOM:
                reason = f"no space is left for the store {path}"
                raise UserError(f"{reason}: make room, or {REMEDY}") from error
            raise
        return ClassStore.open(path)


def _whole(path: Path) -> ClassStore | None:
    """Returns the store in ``path``; None if there is none, or a damaged one."""
    try:
        return ClassStore.open(path)
    except (FileNotFoundError, ValueError):
        return None


def _write(folder: Path, classes: Iterable[ClassImages], meta: StoreMeta) -> None:
    """Writes both files of a store and flushes them to the disk."""
    with open(folder / "images.npy", "wb") as file:
        writer = _Writer(file)
        for item in classes:
            writer.add(item)
        table = writer.finish()
        _flush(file)
    if meta.ink_is_one:
        table["mean"] = table["std"] = None
    with open(folder / "store.json", "w", encoding="utf-8") as text:
        json.dump({"version": FORMAT_VERSION, "meta": asdict(meta), **table}, text, indent=1)
        _flush(text)


def _flush(file: IO[str] | IO[bytes]) -> None:
    file.flush()
    os.fsync(file.fileno())


def _npy_header(shape: tuple[int, ...]) -> bytes:
    """Returns the header of a uint8 ``.npy`` file; its length does not depend on ``shape``."""
    text = repr({"descr": "|u1", "fortran_order": False, "shape": shape})
    body = text.ljust(_HEADER_BYTES - 11).encode() + b"\n"
    return b"\x93NUMPY\x01\x00" + len(body).to_bytes(2, "little") + body


class _Writer:
    """Appends classes to an open ``.npy`` file and keeps their table, checksum and statistics."""

    def __init__(self, file: BinaryIO) -> None:
        self.file = file
        self.table: dict[tuple[str, str], ClassInfo] = {}
        self.shape: tuple[int, ...] = ()
        self.n_images = 0
        self.digest = hashlib.sha256()
        self.moments = np.zeros((3, 1), dtype=np.int64)
        file.write(bytes(_HEADER_BYTES))

    def add(self, item: ClassImages) -> None:
        """Appends one class."""
        images = np.ascontiguousarray(item.images)
        self.shape = self.shape or images.shape[1:]
        self._check(item, images)
        info = ClassInfo(item.name, item.group, item.split, self.n_images, len(images))
        self.table[item.group, item.name] = info
        self.n_images += len(images)
        data = images.tobytes()
        self.digest.update(data)
        self.file.write(data)
        if item.split == "train":
            pixels = np.moveaxis(images, 1, 0).reshape(self.shape[0], -1).astype(np.int64)
            power_sums = [np.full(len(pixels), pixels.shape[1]), pixels.sum(1), (pixels**2).sum(1)]
            self.moments = self.moments + np.stack(power_sums)

    def _check(self, item: ClassImages, images: np.ndarray) -> None:
        label = f"class {item.name!r} of group {item.group!r}"
        if images.dtype != np.uint8 or images.ndim != 4 or images.shape[1:] != self.shape:
            raise UserError(
                f"{label}: images are {images.dtype} {images.shape}, expected uint8 "
                f"(n, C, H, W) with (C, H, W) = {self.shape}"
            )
        if not len(images):
            raise UserError(f"{label} has no images")
        if item.split not in SPLITS:
            raise UserError(f"{label}: split {item.split!r} is none of {', '.join(SPLITS)}")
        if (item.group, item.name) in self.table:
            raise UserError(f"{label} occurs twice: a class belongs to one split and comes once")

    def finish(self) -> Settings:
        """Writes the header; returns the table as plain values."""
        if not self.table:
            raise UserError("a class store needs at least one class")
        self.file.seek(0)
        self.file.write(_npy_header((self.n_images, *self.shape)))
        moments = np.broadcast_to(self.moments, (3, self.shape[0]))  # also without train images
        count, total, squares = moments / np.array([[1.0], [255.0], [255.0**2]])
        mean = total / np.maximum(count, 1)
        variance = squares / np.maximum(count, 1) - mean**2
        return {
            "shape": [self.n_images, *self.shape],
            "checksum": self.digest.hexdigest(),
            "mean": mean.tolist(),
            "std": np.sqrt(np.maximum(variance, 1e-12)).tolist(),
            "classes": [asdict(info) for info in self.table.values()],
        }
