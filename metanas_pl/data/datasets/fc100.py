"""FC100 (Oreshkin et al. 2018): CIFAR-100 split by its 20 superclasses, so that test is farther away.

``data.root`` may name ``cifar-100-python.tar.gz`` or the folder that it unpacks to.
"""

from __future__ import annotations

from metanas_pl.data.datasets import DataRequest, SourceInfo
from metanas_pl.data.datasets.cifar100 import DOWNLOAD_BYTES, LICENCE, URL, read_cifar100
from metanas_pl.data.datasets.published import DUPLICATES, build_published
from metanas_pl.data.store.class_store import ClassStore

INFO = SourceInfo(
    summary="CIFAR-100 by superclass: 60,000 photographs of 100 classes, 32x32",
    licence=LICENCE,
    download_bytes=DOWNLOAD_BYTES,
    n_classes={"train": 60, "val": 20, "test": 20},
    images_a_class=600,
    shared_images={("shark", "whale"): 1, ("snake", "worm"): 2},
    options=DUPLICATES,
)

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
    """Converts FC100 into a store below ``request.cache_dir``, or opens the one that is there."""
    classes = read_cifar100("FC100", INFO, request, split_of)
    return build_published("fc100", INFO, URL, request, classes)


def split_of(superclass: str, name: str) -> str:
    """Returns the split of a class, which its superclass decides.

    >>> split_of("insects", "bee")
    'test'
    """
    return SPLIT_OF_SUPERCLASS.get(superclass, "train")
