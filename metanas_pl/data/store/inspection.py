"""What is in a store: identical images, blank ones, small classes, statistics.

Images are read in batches of one class, so neither a store nor a class need fit into memory.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

import numpy as np

from metanas_pl.data.store.class_store import SPLITS, ClassInfo, ClassStore

BATCH = 256


class Place(NamedTuple):
    """Where an image is: image ``number`` of a class, counted from 0."""

    info: ClassInfo
    number: int

    def __str__(self) -> str:
        return f"{self.info.split} {label(self.info)}[{self.number}]"


def label(info: ClassInfo) -> str:
    """Returns group and name of a class.

    >>> label(ClassInfo("character01", "Greek", "test", offset=0, count=20))
    'Greek/character01'
    """
    return f"{info.group}/{info.name}" if info.group else info.name


def classes_of(store: ClassStore) -> dict[str, int]:
    """Returns the number of classes of each split."""
    return {split: store.n_classes(split) for split in SPLITS}


def slashed(n_classes: Mapping[str, int]) -> str:
    """Returns the classes of each split, for training, validation and test.

    >>> slashed({"train": 1028, "val": 172, "test": 423})
    '1028/172/423'
    """
    return "/".join(str(n_classes[split]) for split in SPLITS)


def all_classes(store: ClassStore) -> list[ClassInfo]:
    """Returns the classes of all splits."""
    return [info for split in SPLITS for info in store.classes(split)]


def batches(
    store: ClassStore, classes: Iterable[ClassInfo]
) -> Iterator[tuple[ClassInfo, int, np.ndarray]]:
    """Yields class, number of the first image, and up to ``BATCH`` images ``(n, C, H, W)`` uint8."""
    for info in classes:
        images = store.images[info.offset : info.offset + info.count]
        for start in range(0, info.count, BATCH):
            yield info, start, images[start : start + BATCH]


def digest(image: np.ndarray) -> bytes:
    """Returns a hash of 128 bits of the pixels."""
    return hashlib.blake2b(image.tobytes(), digest_size=16).digest()


def identical_images(store: ClassStore) -> list[list[Place]]:
    """Returns sets of two or more images whose pixels are all equal, found by a hash of 128 bits."""
    places: dict[bytes, list[Place]] = defaultdict(list)
    for info, start, images in batches(store, all_classes(store)):
        for number, image in enumerate(images, start):
            places[digest(image)].append(Place(info, number))
    return [same for same in places.values() if len(same) > 1]


def blank_images(store: ClassStore) -> Iterator[Place]:
    """Returns images of a single colour."""
    for info, start, images in batches(store, all_classes(store)):
        blank = (images == images[:, :, :1, :1]).all((1, 2, 3))
        yield from (Place(info, start + int(number)) for number in np.flatnonzero(blank))


def classes_in_two_splits(store: ClassStore) -> list[str]:
    """Returns labels of the classes that belong to more than one split."""
    splits: dict[str, set[str]] = defaultdict(set)
    for info in all_classes(store):
        splits[label(info)].add(info.split)
    return [name for name, found in splits.items() if len(found) > 1]


class SplitStatistics(NamedTuple):
    """Figures of one split.

    Attributes:
        n_classes: its classes.
        n_images: their images.
        per_class: fewest, median and most images of a class.
        mean: mean of each channel, pixels in [0, 1].
        std: standard deviation of each channel.
    """

    n_classes: int
    n_images: int
    per_class: tuple[int, float, int]
    mean: list[float]
    std: list[float]


def split_statistics(store: ClassStore, split: str) -> SplitStatistics | None:
    """Returns figures of one split; None if it has no classes."""
    classes = store.classes(split)
    if not classes:
        return None
    counts = [info.count for info in classes]
    histogram = np.zeros((store.image_shape[0], 256), dtype=np.int64)
    for _, _, images in batches(store, classes):
        for channel, pixels in enumerate(np.moveaxis(images, 1, 0)):
            histogram[channel] += np.bincount(pixels.ravel(), minlength=256)
    shares = histogram / histogram.sum(1, keepdims=True)
    values = np.arange(256) / 255
    mean = shares @ values
    std = np.sqrt((shares * (values - mean[:, None]) ** 2).sum(1))
    per_class = (min(counts), float(np.median(counts)), max(counts))
    return SplitStatistics(len(counts), sum(counts), per_class, mean.tolist(), std.tolist())


def group_sizes(store: ClassStore) -> list[tuple[str, str, int, int]]:
    """Returns group, split, classes and images of every group (alphabet, …) that has a name."""
    sizes: dict[tuple[str, str], list[int]] = defaultdict(list)
    for info in all_classes(store):
        if info.group:
            sizes[info.group, info.split].append(info.count)
    return [(group, split, len(n), sum(n)) for (group, split), n in sizes.items()]
