"""ClassStore: all images of a data set in one memory-mapped array, with a table of its classes.

A store is a folder with ``images.npy`` (uint8, ``(n, C, H, W)``, the images of a class side by side) and
``store.json`` (classes, their splits, checksum). Opening it costs a page of JSON; an episode costs an
index and a copy. A store is built in a folder beside its place and moved there when it is whole.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

SPLITS = ("train", "val", "test")
_CHUNK = 1 << 24


@dataclass(frozen=True)
class ClassInfo:
    """A class: where its images lie in the array, its split and its group (alphabet, script)."""

    name: str
    group: str
    split: str
    offset: int
    count: int


class ClassImages(NamedTuple):
    """What a source yields: one class with its images, uint8 ``(n, C, H, W)``."""

    name: str
    group: str
    split: str
    images: np.ndarray


@dataclass(frozen=True)
class ClassStore:
    """An opened store.

    Attributes:
        path: its folder.
        classes: the table of classes.
        meta: source, licence and whatever else the source noted.
        checksum: SHA-256 of the image bytes.
        images: read-only memory map, uint8 ``(n, C, H, W)``.
    """

    path: Path
    classes: tuple[ClassInfo, ...]
    meta: dict[str, Any]
    checksum: str
    images: np.ndarray

    @classmethod
    def open(cls, path: str | Path) -> ClassStore:
        """Open the store in folder ``path``.

        Raises:
            ValueError: there is no whole store.
        """
        path = Path(path)
        try:
            table = json.loads((path / "store.json").read_text(encoding="utf-8"))
            images = np.load(path / "images.npy", mmap_mode="r", allow_pickle=False)
            classes = tuple(ClassInfo(**row) for row in table["classes"])
            return cls(path, classes, table["meta"], table["checksum"], images)
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise ValueError(f"{path} holds no whole store ({error}): remove it and run again") from None

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """``(C, H, W)``."""
        _, c, h, w = self.images.shape
        return c, h, w

    def of_split(self, split: str) -> tuple[ClassInfo, ...]:
        """The classes of ``train``, ``val`` or ``test``."""
        return tuple(c for c in self.classes if c.split == split)

    def verify(self) -> None:
        """Compare the checksum.

        Raises:
            ValueError: the images are not those that were stored.
        """
        if _checksum(self.images) != self.checksum:
            raise ValueError(f"{self.path}: the checksum differs: remove the folder and run again")


def build_store(
    path: Path, source: Callable[[], Iterable[ClassImages]], meta: dict[str, Any]
) -> ClassStore:
    """Open the store at ``path``, after building it from ``source`` if it is not there.

    Classes are written one by one, so memory stays at one class. Processes that come at the same
    time wait for the one that builds.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with _locked(path.with_name(path.name + ".lock")):
        if not (path / "store.json").exists():
            draft = path.with_name(path.name + ".draft")
            shutil.rmtree(draft, ignore_errors=True)
            shutil.rmtree(path, ignore_errors=True)
            draft.mkdir()
            _write(draft, source(), meta)
            os.replace(draft, path)
    return ClassStore.open(path)


def _write(folder: Path, classes: Iterable[ClassImages], meta: dict[str, Any]) -> None:
    table: list[ClassInfo] = []
    shape: tuple[int, ...] = ()
    with (folder / "raw").open("wb") as file:
        for entry in classes:
            offset = table[-1].offset + table[-1].count if table else 0
            images = np.ascontiguousarray(entry.images, dtype=np.uint8)
            shape = images.shape[1:]
            info = ClassInfo(entry.name, entry.group, entry.split, offset, len(images))
            file.write(images.tobytes())
            table.append(info)
    if not table:
        raise ValueError(f"{meta.get('source', 'the source')} has no classes")
    total = table[-1].offset + table[-1].count
    array = np.lib.format.open_memmap(
        folder / "images.npy", mode="w+", dtype=np.uint8, shape=(total, *shape)
    )
    flat = array.reshape(-1)
    with (folder / "raw").open("rb") as file:
        position = 0
        while chunk := file.read(_CHUNK):
            flat[position : position + len(chunk)] = np.frombuffer(chunk, np.uint8)
            position += len(chunk)
    array.flush()
    (folder / "raw").unlink()
    text = json.dumps(
        {"meta": meta, "checksum": _checksum(array), "classes": [asdict(c) for c in table]}
    )
    with (folder / "store.json").open("w", encoding="utf-8") as out:
        out.write(text)
        out.flush()
        os.fsync(out.fileno())


def _checksum(images: np.ndarray) -> str:
    digest = hashlib.sha256()
    rows = max(1, _CHUNK // int(np.prod(images.shape[1:])))
    for start in range(0, len(images), rows):
        digest.update(np.ascontiguousarray(images[start : start + rows]).data)
    return digest.hexdigest()


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Hold an exclusive lock; the operating system frees it if the process dies."""
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
