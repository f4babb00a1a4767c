"""What the published data sets have in common: their downloads, the names of their stores, checks."""

from __future__ import annotations

import csv
import hashlib
import warnings
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TypeVar

import numpy as np

from metanas_pl.data.conversion.images import ClassFiles
from metanas_pl.data.datasets import DataRequest, SourceInfo, WholeNumber
from metanas_pl.data.download.download import download
from metanas_pl.data.download.errors import FetchError
from metanas_pl.data.store.class_store import (
    SPLITS,
    ClassImages,
    ClassStore,
    StoreMeta,
    build_store,
)
from metanas_pl.data.store.inspection import digest

T = TypeVar("T")

DUPLICATES: dict[str, tuple[str, ...] | WholeNumber] = {"duplicates": ("keep", "drop")}
"""Images that are in two splits, as published: keep them, as papers do, or drop all but the first."""


def build_published(
    name: str,
    info: SourceInfo,
    url: str,
    request: DataRequest,
    classes: Iterable[ClassImages],
    ink_is_one: bool = False,
    **notes: object,
) -> ClassStore:
    """Builds or opens the store of ``classes``, named after all that decides its content.

    Nothing is downloaded for a data set of which the cache has a whole store from another origin.

    Args:
        name: of the data set.
        info: of its source.
        url: where it comes from if the request names no root.
        request: what the user asks; its options are noted in the store.
        classes: what to write.
        ink_is_one: see ``StoreMeta``.
        notes: more to note.
    """
    origin = str(request.root.absolute()) if request.root else url
    origin_key = hashlib.sha256(origin.encode()).hexdigest()[:8]
    path = request.cache_dir / store_name(name, request, origin_key)
    if request.root is None and not path.exists():
        for other in sorted(request.cache_dir.glob(store_name(name, request, "?" * 8))):
            if (store := _whole(other, info)) is not None:
                return store
    meta = StoreMeta(name, origin, info.licence, ink_is_one, {**request.options, **notes})
    if request.options.get("duplicates") == "drop":
        classes = apart(classes, name)
    return build_store(path, _as_published(classes, name, origin), meta)


def apart(classes: Iterable[ClassImages], name: str) -> Iterator[ClassImages]:
    """``classes`` without images that an earlier class of another split has, pixel by pixel.

    A warning says how many they are, and that results are not those of papers on the data set ``name``.
    """
    split_of: dict[bytes, str] = {}
    n_dropped = 0
    for item in classes:
        firsts = [split_of.setdefault(digest(image), item.split) for image in item.images]
        first = [split == item.split for split in firsts]
        n_dropped += first.count(False)
        yield item._replace(images=item.images[np.array(first)])
    warnings.warn(
        f"{name}: {n_dropped} images left out that an earlier split has, too: results differ from those "
        "of papers, which keep them",
        stacklevel=2,
    )


def store_name(name: str, request: DataRequest, origin_key: str) -> str:
    """Returns the name of the folder of a store; ``origin_key`` has eight characters."""
    size, channels = request.image_size, request.channels
    chosen = [value for value in request.options.values() if value != "keep"]  # as if not asked
    return "-".join([name, *chosen, origin_key, f"{size}x{size}x{channels}"])


def _whole(path: Path, info: SourceInfo) -> ClassStore | None:
    """Returns the store in ``path`` if it has as many classes as were published."""
    try:
        store = ClassStore.open(path)
    except (FileNotFoundError, ValueError):
        return None
    n_classes = sum(store.n_classes(split) for split in SPLITS)
    return store if n_classes == sum(info.n_classes.values()) else None


def _as_published(classes: Iterable[ClassImages], name: str, origin: str) -> Iterator[ClassImages]:
    """``classes``; an error where the files hold other values than those that were published."""
    try:
        yield from classes
    except (LookupError, TypeError, AttributeError, OverflowError, MemoryError, csv.Error) as error:
        reason = f"{type(error).__name__}: {error}"
        raise FetchError(f"{origin} is damaged, or is not {name} ({reason})") from error


def fetched(url: str, request: DataRequest, checksum: str | None = None) -> Path:
    """Returns the file behind ``url``, downloaded into the cache unless it is there."""
    return download(url, request.cache_dir / "downloads" / url.rpartition("/")[2], checksum)


def warn_unless_whole(
    name: str, info: SourceInfo, root: Path | None, classes: Sequence[ClassFiles[T]]
) -> None:
    """Warns if ``classes`` are not as many, or not as large, as those that were published."""
    expected, found = sum(info.n_classes.values()), len(classes)
    sizes = {len(item.files) for item in classes}
    if found != expected or (info.images_a_class and sizes != {info.images_a_class}):
        images = f" with {info.images_a_class} images each" if info.images_a_class else ""
        few, many = min(sizes), max(sizes)
        warnings.warn(
            f"{name} in {root} is not the whole data set of {expected:,} classes{images}: "
            f"found {found:,} classes with {few if few == many else f'{few} to {many}'} images",
            stacklevel=2,
        )
