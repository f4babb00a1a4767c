"""CIFAR-100 (Krizhevsky 2009) for Python: the one archive behind CIFAR-FS and FC100.

``cifar-100-python.tar.gz`` of the data set's home page holds three pickles: images and labels of both
of its parts, and the names of classes and superclasses.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from metanas_pl.data.conversion.images import ClassFiles, resized
from metanas_pl.data.datasets import DataRequest, SourceInfo
from metanas_pl.data.datasets.published import fetched, warn_unless_whole
from metanas_pl.data.download.archives import open_files
from metanas_pl.data.download.pickles import entry, load_pickle, text
from metanas_pl.data.store.class_store import SPLITS, ClassImages
from metanas_pl.errors import UserError
from metanas_pl.utils.progress import track

URL = "https://www.cs.toronto.edu/~kriz/cifar-100-python.tar.gz"
MD5 = "eb9058c3a382ffc7106e4002c42a8d85"
DOWNLOAD_BYTES = 169_001_437
LICENCE = "none stated; cite Krizhevsky 2009"
SIDE = 32
PICKLES = ("train", "test", "meta")


def read_cifar100(
    title: str, info: SourceInfo, request: DataRequest, split_of: Callable[[str, str], str]
) -> Iterator[ClassImages]:
    """Returns the classes of CIFAR-100, both of its parts together; superclasses are groups.

    Args:
        title: what messages call the data set.
        info: of its source.
        request: ``root`` is the archive, or the folder that it unpacks to; None downloads it.
        split_of: superclass and class to split.
    """
    root = request.root or fetched(URL, request, f"md5:{MD5}")
    tables = _tables(root, request.cache_dir)

    def column(key: str) -> list[Any]:
        return [entry(tables[part], key, f"{root}: {part}") for part in ("train", "test")]

    pixels = np.concatenate([np.asarray(rows) for rows in column("data")])
    images = pixels.reshape(-1, 3, SIDE, SIDE).transpose(0, 2, 3, 1)
    fine, coarse = (np.concatenate(column(f"{kind}_labels")) for kind in ("fine", "coarse"))
    names, groups = (
        [text(name) for name in entry(tables["meta"], f"{kind}_label_names", f"{root}: meta")]
        for kind in ("fine", "coarse")
    )
    classes: list[ClassFiles[int]] = []
    for label in np.unique(fine):
        rows = np.flatnonzero(fine == label)
        group, name = groups[coarse[rows[0]]], names[label]
        classes.append(ClassFiles(name, group, split_of(group, name), rows.tolist()))
    classes.sort(key=lambda item: (SPLITS.index(item.split), item.group, item.name))
    warn_unless_whole(title, info, root, classes)
    for item in track(classes, f"Converting {title} (once)"):
        chosen = resized(images[np.asarray(item.files)], request.image_size, request.channels)
        yield ClassImages(item.name, item.group, item.split, chosen)


def _tables(root: Path, scratch: Path) -> dict[str, Any]:
    """Returns the three unpickled files of the archive."""

    def is_wanted(path: PurePosixPath) -> bool:
        return path.name in PICKLES

    with open_files(root, is_wanted, scratch) as files:
        found = {path.name: path for path in files.names}
        if absent := [name for name in PICKLES if name not in found]:
            raise UserError(f"{root} is not CIFAR-100 for Python: it has no {', '.join(absent)}")
        return {k: load_pickle(files.read(path), f"{root}: {k}") for k, path in found.items()}
