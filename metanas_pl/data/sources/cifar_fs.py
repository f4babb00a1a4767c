"""CIFAR-FS (Bertinetto et al. 2019): CIFAR-100 split into 64, 16 and 20 classes.

It comes as ``cifar100.zip``: images in ``data/<class>/`` and lists of classes in
``splits/bertinetto/{train,val,test}.txt``. ``data.root`` may name that zip or what it unpacks to.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from pathlib import PurePosixPath

import numpy as np

from metanas_pl.data.fetch.archives import Files, open_files
from metanas_pl.data.sources import DataRequest, SourceInfo
from metanas_pl.data.sources.images import SUFFIXES, ClassFiles, read_classes, to_pixels
from metanas_pl.data.sources.published import build_published, fetched, warn_unless_whole
from metanas_pl.data.store import SPLITS, ClassImages, ClassStore

INFO = SourceInfo(
    summary="CIFAR-100 by class: 60,000 photographs of 100 classes, 32x32",
    licence="none stated; cite Krizhevsky 2009",
    download_bytes=168_500_000,
    n_classes={"train": 64, "val": 16, "test": 20},
    images_a_class=600,
)

URL = "https://zenodo.org/record/7978538/files/cifar100.zip"
MD5 = "fdb4405027b809aa4c059047f21ca3d1"


def prepare(request: DataRequest) -> ClassStore:
    """Convert CIFAR-FS into a store below ``request.cache_dir``, or open the one that is there."""
    return build_published("cifar_fs", INFO, URL, request, _classes(request))


def _classes(request: DataRequest) -> Iterator[ClassImages]:
    root = request.root or fetched(URL, request, f"md5:{MD5}")
    with open_files(root, _is_wanted, request.cache_dir) as files:
        classes = _plan(files, str(root))
        warn_unless_whole("CIFAR-FS", INFO, root, classes)

        def read(path: PurePosixPath) -> np.ndarray:
            return to_pixels(files.read(path), request.image_size, request.channels)

        yield from read_classes(classes, read, "Converting CIFAR-FS (once)")


def _is_list(path: PurePosixPath) -> bool:
    return path.parts[-3:-1] == ("splits", "bertinetto") and path.stem in SPLITS


def _is_wanted(path: PurePosixPath) -> bool:
    return _is_list(path) or (path.suffix.lower() in SUFFIXES and path.parts[-3:-2] == ("data",))


def _plan(files: Files, root: str) -> list[ClassFiles[PurePosixPath]]:
    images: dict[str, list[PurePosixPath]] = defaultdict(list)
    lists = {}
    for path in files.names:
        if _is_list(path):
            lists[path.stem] = files.read(path).decode().split()
        else:
            images[path.parts[-2]].append(path)
    if absent := [f"splits/bertinetto/{split}.txt" for split in SPLITS if split not in lists]:
        raise ValueError(f"{root} is not CIFAR-FS: it has no {', '.join(absent)}")
    if empty := [name for split in SPLITS for name in lists[split] if not images[name]]:
        raise ValueError(f"{root} has no images in data/{empty[0]}, which its lists name")
    return [ClassFiles(name, "", s, images[name]) for s in SPLITS for name in sorted(lists[s])]
