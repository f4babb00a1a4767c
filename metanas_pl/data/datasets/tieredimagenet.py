"""tieredImageNet (Ren et al. 2018): 608 classes of ImageNet, split by 34 categories above them.

The images come in one pickle a split, a list with the PNG bytes of each, 12 GB in all. They are never
unpickled: one pass over the pickle's instructions notes where each PNG begins, and the images are
then read from the file class by class. So memory holds one class and a list of places.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

import numpy as np

from metanas_pl.data.conversion.images import ClassFiles, read_classes, to_pixels
from metanas_pl.data.datasets import DataRequest, SourceInfo
from metanas_pl.data.datasets.published import build_published, fetched, warn_unless_whole
from metanas_pl.data.download.errors import PickleError
from metanas_pl.data.download.pickle_codes import read_codes
from metanas_pl.data.download.pickles import entry, load_pickle, text
from metanas_pl.data.download.slices import Slices, Span
from metanas_pl.data.store.class_store import SPLITS, ClassImages, ClassStore
from metanas_pl.errors import UserError

INFO = SourceInfo(
    summary="779,165 photographs of 608 classes of ImageNet in 34 categories, 84x84",
    licence="ImageNet's terms: research and teaching only",
    download_bytes=12_900_000_000,
    n_classes={"train": 351, "val": 97, "test": 160},
)

URL = "https://zenodo.org/record/7978538/files/"
PARTS = ("images_png", "labels")
PNG = b"\x89PNG\r\n\x1a\n"
PNG_AS_TEXT = PNG.decode("latin1").encode()[: len(PNG) + 1]
"""How PNGs begin in pickles of protocol 2 that Python 3 wrote: as text, each byte a character."""


class Place(NamedTuple):
    """Where an image is."""

    split: str
    span: Span
    as_text: bool


def prepare(request: DataRequest) -> ClassStore:
    """Converts tieredImageNet into a store below ``request.cache_dir``, or opens the one there."""
    return build_published("tieredimagenet", INFO, URL, request, _classes(request))


def _classes(request: DataRequest) -> Iterator[ClassImages]:
    pickles = {split: _pickles(request, split) for split in SPLITS}
    with ExitStack() as stack:
        slices = {}
        classes: list[ClassFiles[Place]] = []
        for split, (images, labels) in pickles.items():
            slices[split] = Slices(stack.enter_context(images.open("rb")))
            classes += _plan(split, images, labels)
        warn_unless_whole(
            "tieredImageNet", INFO, request.root or pickles["train"][0].parent, classes
        )

        def read(place: Place) -> np.ndarray:
            data = slices[place.split].read(place.span)
            png = data.decode().encode("latin1") if place.as_text else data
            return to_pixels(png, request.image_size, request.channels)

        yield from read_classes(classes, read, "Converting tieredImageNet (once)")


def _pickles(request: DataRequest, split: str) -> tuple[Path, Path]:
    """Returns the pickles of the images and of the labels of a split."""
    root = request.root
    if root is None:
        images, labels = (fetched(f"{URL}tiered-imagenet-{split}_{x}.pkl", request) for x in PARTS)
        return images, labels
    for folder in (root, root / "tiered-imagenet"):
        for prefix in ("", "tiered-imagenet-"):
            images, labels = (folder / f"{prefix}{split}_{part}.pkl" for part in PARTS)
            if images.is_file() and labels.is_file():
                return images, labels
    raise UserError(
        f"data.root={root} must be a folder with {split}_images_png.pkl and {split}_labels.pkl, as "
        "unpacked from tiered-imagenet.tar or downloaded from Zenodo"
    )


def _plan(split: str, images: Path, labels: Path) -> list[ClassFiles[Place]]:
    """Returns the classes of a split, with the places of their images in the order of the pickle."""
    places = find_pngs(split, images)
    table = load_pickle(labels, str(labels))
    specific = np.asarray(entry(table, "label_specific", str(labels)))
    general = np.asarray(entry(table, "label_general", str(labels)))
    names, groups = (
        [text(name) for name in entry(table, f"label_{kind}_str", str(labels))]
        for kind in ("specific", "general")
    )
    if not len(places) == len(specific) == len(general):
        raise PickleError(
            f"{images} holds {len(places):,} images and {labels} {len(specific):,} labels: they do "
            "not belong together, or one of them is cut short"
        )
    classes = []
    for label in np.unique(specific):
        rows = np.flatnonzero(specific == label)
        files = [places[row] for row in rows]
        classes.append(ClassFiles(names[label], groups[general[rows[0]]], split, files))
    return classes


def find_pngs(split: str, images: Path) -> list[Place]:
    """Returns where the PNGs of a pickle are, whether they are bytes, strings of Python 2 or arrays."""
    places = []
    with images.open("rb") as file:
        for code in read_codes(file, str(images)):
            if code.argument.startswith(PNG):
                places.append(Place(split, code.span, False))
            elif code.argument.startswith(PNG_AS_TEXT):
                places.append(Place(split, code.span, True))
    return places
