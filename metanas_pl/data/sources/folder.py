"""Your own images: ``root/<split>/<class>/*`` or ``root/<class>/*`` (see ``folder_layout.py``)."""

from __future__ import annotations

import hashlib
import os
import re
import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from metanas_pl.data.sources import DataRequest, SourceInfo, WholeNumber
from metanas_pl.data.sources.decoding import (
    BACKGROUNDS,
    DECODING,
    MAX_PIXELS,
    PILLOWS_LIMIT,
    Decoding,
)
from metanas_pl.data.sources.folder_layout import LAYOUT, FoundClass, find_layout
from metanas_pl.data.sources.folder_listing import shown
from metanas_pl.data.sources.images import ClassFiles, read_classes, to_pixels
from metanas_pl.data.store import ClassStore, StoreMeta, build_store
from metanas_pl.errors import UserError

INFO = SourceInfo(
    summary="your own images, one folder a class (data.root)",
    licence="yours",
    options={
        "background": BACKGROUNDS,
        "max_pixels": WholeNumber(MAX_PIXELS, PILLOWS_LIMIT),
        "pool": ("false", "true"),
    },
)


def prepare(request: DataRequest) -> ClassStore:
    """Convert a folder of images into a store below ``request.cache_dir``, or open it.

    Images are cut to a centred square, scaled to ``image_size`` and turned grey or colour by
    ``channels``. A folder whose files change (name, size or time) gets a new store. A warning tells
    what was left out.

    Raises:
        UserError: the folder has another layout, or files in it are no images (all are named).
    """
    root, options = request.root, request.options
    if root is None or not root.is_dir():
        raise UserError(f"data.root={root} must be an existing folder: {LAYOUT}")
    found, notes = find_layout(root, pool=options["pool"] == "true")
    for note in notes:
        warnings.warn(f"data.root={shown(str(root))}: {note}", stacklevel=2)
    size, channels = request.image_size, request.channels
    how = Decoding(options["background"], int(options["max_pixels"]))
    name = shown(root.absolute().name)
    plain = re.sub(r"[^\w.-]+", "_", name) or "root"
    key = f"folder-{plain}-{_fingerprint(root, found, how)}-{size}x{size}x{channels}"
    meta = StoreMeta(name=f"folder {name}", source=shown(str(root.absolute())), licence="unknown")
    classes = [ClassFiles(c.name, c.group, c.split, c.files) for c in found]

    def read(file: Path) -> np.ndarray:
        return to_pixels(file.read_bytes(), size, channels, how=how)

    images = read_classes(classes, read, "Reading images (once)")
    return build_store(request.cache_dir / key, images, meta)


def _fingerprint(root: Path, found: Sequence[FoundClass], how: Decoding) -> str:
    """Changes with the folder, its files, their splits, and the way of decoding them."""
    digest = hashlib.sha256(os.fsencode(root.absolute()))
    digest.update(repr((DECODING, how.background)).encode())
    for c in found:
        for file in c.files:
            status, place = file.stat(), str(file.relative_to(root))
            entry = (c.split, c.group, c.name, place, status.st_size, status.st_mtime_ns)
            digest.update(ascii(entry).encode())
    return digest.hexdigest()[:12]
