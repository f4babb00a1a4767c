"""Your own images: ``root/<split>/<class>/*`` or ``root/<class>/*`` (see ``folder_layout.py``)."""

from __future__ import annotations

import hashlib
import os
import re
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from metanas_pl.data.conversion.decoding import (
    BACKGROUNDS,
    DECODING,
    MAX_PIXELS,
    PILLOWS_LIMIT,
    Decoding,
)
from metanas_pl.data.conversion.images import ClassFiles, read_classes, to_pixels
from metanas_pl.data.datasets import DataRequest, SourceInfo, WholeNumber
from metanas_pl.data.datasets.folder_layout import LAYOUT, find_layout
from metanas_pl.data.datasets.folder_listing import list_images, printable
from metanas_pl.data.store.class_store import ClassImages, ClassStore, StoreMeta, build_store
from metanas_pl.errors import UserError

INFO = SourceInfo(
    summary="your own images, one folder per class (data.root)",
    licence="yours",
    options={
        "background": BACKGROUNDS,
        "max_pixels": WholeNumber(MAX_PIXELS, PILLOWS_LIMIT),
        "pool": ("false", "true"),
    },
)


def prepare(request: DataRequest) -> ClassStore:
    """Converts a folder of images into a store below ``request.cache_dir``, or opens it.

    Images are cut to a centred square, scaled to ``image_size`` and turned grey or colour by
    ``channels``. A folder whose files change (name, size or time) gets a new store. What is left out
    of a new store is told by warnings, one for each kind.

    Raises:
        UserError: the folder has another layout, or files in it are no images (all are named).
    """
    root, options = _folder(request.root), request.options
    listing = list_images(root)
    try:
        classes, notes = find_layout(listing.images, options["pool"] == "true")
    except UserError as error:
        told = "".join(f"; {line}" for line in listing.lines())
        raise UserError(f"data.root={printable(str(root))}: {error}{told}") from error
    size, channels = request.image_size, request.channels
    how = Decoding(options["background"], int(options["max_pixels"]))

    def read(file: Path) -> np.ndarray:
        return to_pixels(file.read_bytes(), size, channels, how=how)

    def images() -> Iterator[ClassImages]:  # not asked for where there is a store
        for line in [*listing.lines(), *notes]:
            warnings.warn(f"data.root={printable(str(root))}: {line}", stacklevel=2)
        yield from read_classes(classes, read, "Reading images (once)")

    name = printable(root.name) or "root"
    key = f"folder-{_plain(name)}-{_fingerprint(root, classes, how)}-{size}x{size}x{channels}"
    meta = StoreMeta(f"folder {name}", printable(str(root)), "unknown", notes=dict(options))
    return build_store(request.cache_dir / key, images(), meta)


def _folder(root: Path | None) -> Path:
    """Returns the absolute path of ``root``, which must be a folder."""
    if root is None or not root.is_dir():
        is_file = root is not None and root.is_file()
        hint = "it is a file, unpack it if it is an archive: " if is_file else ""
        where = root if root is None else printable(str(root))
        raise UserError(f"data.root={where} must be an existing folder: {hint}{LAYOUT}")
    return Path(os.path.abspath(root))


def _plain(name: str) -> str:
    """Returns ``name`` as a part of a key that needs no quotes and is not too long for a file."""
    return re.sub(r"[^\w.-]+", "_", name)[:40]


def _fingerprint(root: Path, classes: Sequence[ClassFiles[Path]], how: Decoding) -> str:
    """Returns a key that changes with the folder, its files, their splits, and the way of decoding them."""
    digest = hashlib.sha256(os.fsencode(root))
    digest.update(repr((DECODING, how.background)).encode())
    for item in classes:
        for file in item.files:
            status, place = file.stat(), str(file.relative_to(root))
            entry = (item[:3], place, status.st_size, status.st_mtime_ns)
            digest.update(ascii(entry).encode())
    return digest.hexdigest()[:12]
