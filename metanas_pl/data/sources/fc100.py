"""FC100 (Oreshkin et al. 2018): CIFAR-100 split by its 20 superclasses, so that test is farther away.

Made from ``cifar-100-python.tar.gz`` of the data set's home page; ``data.root`` may name that file or
the folder that it unpacks to.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from metanas_pl.data.fetch.archives import open_files
from metanas_pl.data.fetch.pickles import entry, load_pickle, text
from metanas_pl.data.sources import DataRequest, SourceInfo
from metanas_pl.data.sources.images import ClassFiles, resized
from metanas_pl.data.sources.progress import track
from metanas_pl.data.sources.published import build_published, fetched, warn_unless_whole
from metanas_pl.data.store import SPLITS, ClassImages, ClassStore

INFO = SourceInfo(
    summary="CIFAR-100 by superclass: 60,000 photographs of 100 classes, 32x32",
    licence="none stated; cite Krizhevsky 2009",
    download_bytes=169_001_437,
    n_classes={"train": 60, "val": 20, "test": 20},
    images_a_class=600,
)

URL = "https://www.cs.toronto.edu/~kriz/cifar-100-python.tar.gz"
MD5 = "eb9058c3a382ffc7106e4002c42a8d85"
SIDE = 32
PICKLES = ("train", "test", "meta")

SPLIT_OF_SUPERCLASS = {
    "large_carnivores": "val",
    "large_omnivores_and_herbivores": "val",
    "non-insect_invertebrates": "val",
    "small_mammals": "val",
    "aquatic_mammals": "test",
    "insects": "test",
    "medium_mammals": "test",
    "people": "test",
}
"""The other twelve are for training."""


def prepare(request: DataRequest) -> ClassStore:
    """Convert FC100 into a store below ``request.cache_dir``, or open the one that is there."""
    return build_published("fc100", INFO, URL, request, _classes(request))


def _classes(request: DataRequest) -> Iterator[ClassImages]:
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
        group = groups[coarse[rows[0]]]
        split = SPLIT_OF_SUPERCLASS.get(group, "train")
        classes.append(ClassFiles(names[label], group, split, rows.tolist()))
    classes.sort(key=lambda item: (SPLITS.index(item.split), item.group, item.name))
    warn_unless_whole("FC100", INFO, root, classes)
    for item in track(classes, "Converting FC100 (once)"):
        chosen = resized(images[np.asarray(item.files)], request.image_size, request.channels)
        yield ClassImages(item.name, item.group, item.split, chosen)


def _tables(root: Path, scratch: Path) -> dict[str, Any]:
    """The three unpickled files of the archive."""

    def is_wanted(path: PurePosixPath) -> bool:
        return path.name in PICKLES

    with open_files(root, is_wanted, scratch) as files:
        found = {path.name: path for path in files.names}
        if absent := [name for name in PICKLES if name not in found]:
            raise ValueError(f"{root} is not CIFAR-100 for Python: it has no {', '.join(absent)}")
        return {k: load_pickle(files.read(path), f"{root}: {k}") for k, path in found.items()}
