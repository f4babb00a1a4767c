"""CUB-200-2011 (Wah et al. 2011): 11,788 photographs of 200 birds, for telling alike things apart.

``data.root`` may name ``CUB_200_2011.tgz`` or what it unpacks to. The classes are split by their number as
in Chen et al. 2019: of class 0, 1, 2, … every second is for training, and of the others every second
for validation.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from pathlib import PurePosixPath

import numpy as np

from metanas_pl.data.conversion.decoding import SUFFIXES
from metanas_pl.data.conversion.images import Box, ClassFiles, read_classes, to_pixels
from metanas_pl.data.datasets import DataRequest, SourceInfo
from metanas_pl.data.datasets.published import build_published, fetched, warn_unless_whole
from metanas_pl.data.download.archives import Files, open_files
from metanas_pl.data.store.class_store import SPLITS, ClassImages, ClassStore
from metanas_pl.errors import UserError

INFO = SourceInfo(
    summary="11,788 photographs of 200 species of birds",
    licence="research and teaching only; the photographers keep their rights",
    download_bytes=1_150_585_339,
    n_classes={"train": 100, "val": 50, "test": 50},
    options={"crop": ("full", "box")},
)

URL = "https://data.caltech.edu/records/65de6-vp158/files/CUB_200_2011.tgz"
MD5 = "97eceeb196236b17998738112f37df78"
TABLES = ("images.txt", "bounding_boxes.txt")


def prepare(request: DataRequest) -> ClassStore:
    """Converts CUB into a store below ``request.cache_dir``, or opens the one that is there.

    With ``options={"crop": "box"}`` images are first cut to the bounding box of the bird; the
    store's notes say which.
    """
    return build_published("cub", INFO, URL, request, _classes(request))


def _classes(request: DataRequest) -> Iterator[ClassImages]:
    root = request.root or fetched(URL, request, f"md5:{MD5}")
    with open_files(root, _is_wanted, request.cache_dir) as files:
        boxes = read_boxes(files, str(root)) if request.options["crop"] == "box" else {}
        classes = _plan(files)
        if not classes:
            raise UserError(f"{root} holds no CUB: expected CUB_200_2011/images/<class>/*.jpg")
        warn_unless_whole("CUB", INFO, root, classes)

        def read(path: PurePosixPath) -> np.ndarray:
            box = boxes[path.parts[-2:]] if boxes else None
            return to_pixels(files.read(path), request.image_size, request.channels, box)

        yield from read_classes(classes, read, "Converting CUB (once)")


def _is_wanted(path: PurePosixPath) -> bool:
    is_image = path.suffix.lower() in SUFFIXES and path.parts[-3:-2] == ("images",)
    return is_image or path.name in TABLES


def _plan(files: Files) -> list[ClassFiles[PurePosixPath]]:
    images: dict[str, list[PurePosixPath]] = defaultdict(list)
    for path in files.names:
        if path.name not in TABLES:
            images[path.parts[-2]].append(path)
    classes = [ClassFiles(name, "", split_of(name), images[name]) for name in sorted(images)]
    return sorted(classes, key=lambda item: SPLITS.index(item.split))


def split_of(name: str) -> str:
    """Returns the split of a class, whose name begins with its number from 1 on.

    >>> [split_of(f"{number:03d}.Bird") for number in (1, 2, 3, 4)]
    ['train', 'val', 'train', 'test']
    """
    return ("train", "val", "train", "test")[(int(name[:3]) - 1) % 4]


def read_boxes(files: Files, root: str) -> dict[tuple[str, ...], Box]:
    """Returns left, upper, right and lower edge of the bird, by class and file name."""
    tables = {path.name: path for path in files.names if path.name in TABLES}
    if absent := [name for name in TABLES if name not in tables]:
        raise UserError(f"{root} has no {' and no '.join(absent)}: use data.options.crop=full")
    names, corners = (
        dict(line.split(" ", 1) for line in files.read(tables[name]).decode().splitlines())
        for name in TABLES
    )
    boxes: dict[tuple[str, ...], Box] = {}
    for number, name in names.items():
        left, top, width, height = map(float, corners[number].split())
        boxes[PurePosixPath(name).parts] = (left, top, left + width, top + height)
    return boxes
