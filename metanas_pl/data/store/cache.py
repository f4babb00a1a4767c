"""The folder in which stores are built, and the stores that are in it."""

from __future__ import annotations

import importlib
import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from metanas_pl.data.datasets import SOURCES, SourceInfo
from metanas_pl.data.store.cache_folder import default_cache_dir, locked
from metanas_pl.data.store.class_store import ClassStore

__all__ = [
    "CachedStore",
    "default_cache_dir",
    "remove_store",
    "size_on_disk",
    "source_info",
    "stores_in",
]


def source_info(name: str) -> SourceInfo:
    """Returns what is known of the source ``name``, a key of ``SOURCES``, before it is there.

    >>> source_info("omniglot").n_classes["test"]
    659
    """
    module_name = SOURCES[name].rpartition(".")[0]
    info: SourceInfo = importlib.import_module(module_name).INFO
    return info


@dataclass(frozen=True)
class CachedStore:
    """A store in the cache, whole or not.

    Attributes:
        path: its folder, whose name is the key of the store.
        store: the open store, or None if it cannot be opened.
        problem: why it cannot; empty if it can.
    """

    path: Path
    store: ClassStore | None
    problem: str = ""

    @property
    def key(self) -> str:
        """Name of the folder: the source, and what it was asked for."""
        return self.path.name

    @property
    def source(self) -> str:
        """The key of ``SOURCES`` that built it; for a source of your own, the store's key."""
        known = [name for name in SOURCES if self.key.startswith(f"{name}-")]
        return max(known, key=len, default=self.key)

    @property
    def n_bytes(self) -> int:
        """Size on disk."""
        return size_on_disk(self.path)


def stores_in(cache_dir: Path) -> list[CachedStore]:
    """Returns the stores of a cache folder, by key. Other folders, such as downloads, are none."""
    folders = sorted(path.parent for path in cache_dir.absolute().glob("[!.]*/store.json"))
    return [_open(folder) for folder in folders if (folder / "images.npy").is_file()]


def _open(folder: Path) -> CachedStore:
    try:
        return CachedStore(folder, ClassStore.open(folder))
    except ValueError as error:
        return CachedStore(folder, None, str(error))


def size_on_disk(folder: Path) -> int:
    """Returns bytes of all files below ``folder``; 0 if there is no such folder."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def remove_store(cached: CachedStore) -> None:
    """Deletes a store. It first loses its name, so that no half of it is ever found."""
    with locked(cached.path):
        # as of a build: the next clears it up
        scratch = cached.path.with_name(f".{cached.key}.tmp")
        shutil.rmtree(scratch, ignore_errors=True)
        os.replace(cached.path, scratch)
        shutil.rmtree(scratch)
