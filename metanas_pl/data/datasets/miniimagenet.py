"""miniImageNet (Vinyals et al. 2016, with the split of Ravi and Larochelle 2017): 100 classes.

It is about in three forms, and ``data.root`` may name any of them: three pickles
``mini-imagenet-cache-{train,val,test}.pkl`` (without a root they are downloaded), images with
``train.csv``, ``val.csv`` and ``test.csv``, or images in folders ``<split>/<class>/``; the latter two as a
folder, a zip or a tar.
"""

from __future__ import annotations

import csv
import io
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

import numpy as np

from metanas_pl.data.conversion.decoding import SUFFIXES
from metanas_pl.data.conversion.images import (
    ClassFiles,
    read_classes,
    resized,
    to_pixels,
)
from metanas_pl.data.datasets import DataRequest, SourceInfo
from metanas_pl.data.datasets.published import (
    DUPLICATES,
    build_published,
    fetched,
    warn_unless_whole,
)
from metanas_pl.data.download.archives import Files, open_files
from metanas_pl.data.download.pickles import entry, load_pickle, text
from metanas_pl.data.store.class_store import SPLITS, ClassImages, ClassStore
from metanas_pl.errors import UserError
from metanas_pl.utils.progress import track

INFO = SourceInfo(
    summary="60,000 photographs of 100 classes of ImageNet, 84x84",
    licence="ImageNet's terms: research and teaching only",
    download_bytes=1_270_000_000,
    n_classes={"train": 64, "val": 16, "test": 20},
    images_a_class=600,
    shared_images={("n02950826", "n04389033"): 1, ("n03535780", "n03888605"): 5},
    options=DUPLICATES,
)

URL = "https://zenodo.org/record/7978538/files/"
LONG_NAMES = {"train": "train", "val": "validation", "test": "test"}
LAYOUT = (
    "mini-imagenet-cache-{train,val,test}.pkl, or images with train.csv, val.csv and test.csv "
    "(filename,label), or images in {train,val,test}/<class>/"
)


def prepare(request: DataRequest) -> ClassStore:
    """Converts miniImageNet into a store below ``request.cache_dir``, or opens the one there."""
    return build_published("miniimagenet", INFO, URL, request, _classes(request))


def _classes(request: DataRequest) -> Iterator[ClassImages]:
    if pickles := _pickles(request):
        yield from _unpickled(pickles, request)
        return
    root = request.root
    assert root is not None
    with open_files(root, _is_wanted, request.cache_dir) as files:
        tables = {name.stem: name for name in files.names if name.suffix == ".csv"}
        classes = _listed(files, tables) if set(SPLITS) <= set(tables) else _sorted(files)
        if not classes:
            raise UserError(f"data.root={root} holds no miniImageNet: expected {LAYOUT}")
        warn_unless_whole("miniImageNet", INFO, root, classes)

        def read(path: PurePosixPath) -> np.ndarray:
            return to_pixels(files.read(path), request.image_size, request.channels)

        yield from read_classes(classes, read, "Converting miniImageNet (once)")


def _pickles(request: DataRequest) -> dict[str, Path]:
    """Returns the pickle of each split; none if the root holds something else."""
    root = request.root
    if root is None:
        name = "mini-imagenet-cache-{}.pkl"
        return {s: fetched(URL + name.format(LONG_NAMES[s]), request) for s in SPLITS}
    found = {}
    for split, long_name in LONG_NAMES.items():
        for name in {split, long_name}:
            for file in root.glob(f"*{name}.pkl"):
                found[split] = file
    if found and len(found) < len(SPLITS):
        absent = ", ".join(split for split in SPLITS if split not in found)
        raise UserError(f"data.root={root} has no pickle for {absent}: expected {LAYOUT}")
    return found


def _unpickled(pickles: dict[str, Path], request: DataRequest) -> Iterator[ClassImages]:
    """Returns the classes of all pickles; one pickle (813 MB for training) is in memory at a time."""
    plan: list[ClassFiles[int]] = []
    for split, file in pickles.items():
        table = load_pickle(file, str(file))
        images = np.asarray(entry(table, "image_data", str(file)))
        if images.dtype != np.uint8 or images.ndim != 4:
            raise UserError(
                f"{file}: image_data is {images.dtype} {images.shape}, expected uint8 (n, 84, 84, 3)"
            )
        rows_of = entry(table, "class_dict", str(file))
        for key in track(sorted(rows_of), f"Converting miniImageNet, {split} (once)"):
            rows = np.asarray(rows_of[key])
            if len(rows) > len(images):
                raise UserError(f"{file}: class {text(key)} has more images than there are")
            plan.append(ClassFiles(text(key), "", split, rows.tolist()))
            pixels = resized(images[rows], request.image_size, request.channels)
            yield ClassImages(text(key), "", split, pixels)
    warn_unless_whole("miniImageNet", INFO, request.root or pickles["train"].parent, plan)


def _is_wanted(path: PurePosixPath) -> bool:
    return path.suffix.lower() in SUFFIXES or (path.suffix == ".csv" and path.stem in SPLITS)


def _sorted(files: Files) -> list[ClassFiles[PurePosixPath]]:
    """Returns classes by the names of their folders, ``…/<split>/<class>/<image>``."""
    classes: dict[tuple[str, str], list[PurePosixPath]] = defaultdict(list)
    for path in files.names:
        if len(path.parts) >= 3 and path.parts[-3] in SPLITS and path.suffix != ".csv":
            classes[path.parts[-3], path.parts[-2]].append(path)
    order = sorted(classes, key=lambda key: (SPLITS.index(key[0]), key[1]))
    return [ClassFiles(name, "", split, classes[split, name]) for split, name in order]


def _listed(files: Files, tables: dict[str, PurePosixPath]) -> list[ClassFiles[PurePosixPath]]:
    """Returns classes by the tables ``<split>.csv`` with the columns filename and label."""
    by_name: dict[str, list[PurePosixPath]] = defaultdict(list)
    for path in files.names:
        by_name[path.name].append(path)
    classes = []
    for split in SPLITS:
        table = tables[split]
        images: dict[str, list[PurePosixPath]] = defaultdict(list)
        absent = []
        for row in csv.DictReader(io.StringIO(files.read(table).decode())):
            if not {"filename", "label"} <= row.keys():
                raise UserError(f"{table} has no columns filename and label")
            named = by_name[PurePosixPath(row["filename"]).name]
            chosen = [path for path in named if path.parent.name == row["label"]] or named
            if len(chosen) == 1:
                images[row["label"]] += chosen
            else:
                absent.append(row["filename"])
        if absent:
            raise UserError(
                f"{len(absent):,} images of {table} are absent or several times below data.root, as "
                f"{absent[0]}"
            )
        classes += [ClassFiles(name, "", split, sorted(images[name])) for name in sorted(images)]
    return classes
