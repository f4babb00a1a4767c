"""Your own images: ``root/<split>/<class>/*`` or ``root/<class>/*``."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np

from metanas_pl.data.sources import DataRequest, SourceInfo
from metanas_pl.data.sources.images import ClassFiles, read_classes, to_pixels
from metanas_pl.data.sources.splitting import split_names
from metanas_pl.data.store import SPLITS, ClassStore, StoreMeta, build_store
from metanas_pl.errors import UserError

INFO = SourceInfo(summary="your own images, one folder a class (data.root)", licence="yours")

LAYOUT = "<root>/<class>/<images> or <root>/{train,val,test}/<class>/<images>"


def prepare(request: DataRequest) -> ClassStore:
    """Convert a folder of images into a store below ``request.cache_dir``, or open it.

    Images are cut to a centred square, scaled to ``image_size`` and turned grey or colour by
    ``channels``. A folder whose files change (name, size or time) gets a new store.

    Raises:
        UserError: the folder has another layout, or files in it are no images (all are named).
    """
    root = request.root
    if root is None or not root.is_dir():
        raise UserError(f"data.root={root} must be an existing folder: {LAYOUT}")
    splits = find_classes(root)
    size, channels = request.image_size, request.channels
    key = f"folder-{root.name}-{_fingerprint(root, splits)}-{size}x{size}x{channels}"
    meta = StoreMeta(name=f"folder {root.name}", source=str(root.absolute()), licence="unknown")
    classes = [ClassFiles(f.name, "", split, _images(f)) for f, split in splits.items()]

    def read(file: Path) -> np.ndarray:
        return to_pixels(file.read_bytes(), size, channels)

    images = read_classes(classes, read, "Reading images (once)")
    return build_store(request.cache_dir / key, images, meta)


def find_classes(root: Path) -> dict[Path, str]:
    """The split of every class folder below ``root``.

    Without split folders, 60 % of the classes are for training, 20 % each for validation and
    test, by a fixed permutation.
    """
    if any((root / split).is_dir() for split in SPLITS):
        absent = [split for split in SPLITS if not _folders(root / split)]
        if absent:
            raise UserError(f"data.root={root} has no classes in {', '.join(absent)}: {LAYOUT}")
        classes = {folder: split for split in SPLITS for folder in _folders(root / split)}
    else:
        classes = _split_by_class(root)
    empty = [str(folder.relative_to(root)) for folder in classes if not _images(folder)]
    if empty:
        raise UserError(f"data.root={root} has classes without files: {', '.join(empty)}")
    return classes


def _split_by_class(root: Path) -> dict[Path, str]:
    folders = _folders(root)
    try:
        return dict(zip(folders, split_names(len(folders)), strict=True))
    except ValueError as error:
        raise UserError(f"data.root={root}: {error}: {LAYOUT}") from error


def _visible(folder: Path) -> list[Path]:
    if not folder.is_dir():
        return []
    return sorted(entry for entry in folder.iterdir() if not entry.name.startswith("."))


def _folders(folder: Path) -> list[Path]:
    return [entry for entry in _visible(folder) if entry.is_dir()]


def _images(folder: Path) -> list[Path]:
    return [entry for entry in _visible(folder) if entry.is_file()]


def _fingerprint(root: Path, splits: dict[Path, str]) -> str:
    digest = hashlib.sha256(str(root.absolute()).encode())
    for folder, split in splits.items():
        for file in _images(folder):
            status = file.stat()
            entry = (split, str(file.relative_to(root)), status.st_size, status.st_mtime_ns)
            digest.update(repr(entry).encode())
    return digest.hexdigest()[:12]
