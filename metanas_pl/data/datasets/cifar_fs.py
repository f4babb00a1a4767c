"""CIFAR-FS (Bertinetto et al. 2019): CIFAR-100 split into 64, 16 and 20 classes.

``data.root`` may name ``cifar-100-python.tar.gz`` or the folder that it unpacks to.
"""

from __future__ import annotations

from metanas_pl.data.datasets import DataRequest, SourceInfo
from metanas_pl.data.datasets.cifar100 import DOWNLOAD_BYTES, LICENCE, URL, read_cifar100
from metanas_pl.data.datasets.published import DUPLICATES, build_published
from metanas_pl.data.store.class_store import ClassStore

INFO = SourceInfo(
    summary="CIFAR-100 by class: 60,000 photographs of 100 classes, 32x32",
    licence=LICENCE,
    download_bytes=DOWNLOAD_BYTES,
    n_classes={"train": 64, "val": 16, "test": 20},
    images_a_class=600,
    shared_images={
        ("baby", "girl"): 4,
        ("crab", "spider"): 1,
        ("otter", "seal"): 7,
        ("shark", "whale"): 1,
        ("snake", "worm"): 2,
    },
    options=DUPLICATES,
)

HELD_OUT = {
    "val": (
        "beaver beetle butterfly camel cattle crab crocodile flatfish lamp maple_tree motorcycle otter "
        "sea shark television tractor"
    ).split(),
    "test": (
        "baby bed bicycle chimpanzee fox leopard man pickup_truck plain poppy rocket rose snail "
        "sweet_pepper table telephone wardrobe whale woman worm"
    ).split(),
}
"""The classes of validation and test; the other 64 are for training."""


def prepare(request: DataRequest) -> ClassStore:
    """Converts CIFAR-FS into a store below ``request.cache_dir``, or opens the one that is there."""
    classes = read_cifar100("CIFAR-FS", INFO, request, split_of)
    return build_published("cifar_fs", INFO, URL, request, classes)


def split_of(superclass: str, name: str) -> str:
    """Returns the split of a class.

    >>> split_of("flowers", "rose"), split_of("flowers", "tulip")
    ('test', 'train')
    """
    return next((split for split, names in HELD_OUT.items() if name in names), "train")
