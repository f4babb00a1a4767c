"""Is a store what it should be, and may its test be trusted? Checks, and a record of them."""

from __future__ import annotations

import json
from collections import Counter
from typing import TYPE_CHECKING, NamedTuple

from metanas_pl.data.datasets import SourceInfo
from metanas_pl.data.store.class_store import ClassStore
from metanas_pl.data.store.inspection import (
    Place,
    all_classes,
    blank_images,
    classes_in_two_splits,
    classes_of,
    identical_images,
    label,
    slashed,
)

if TYPE_CHECKING:
    from metanas_pl.types import Settings

RECORD = "verified.json"
FEW_IMAGES = 5
"""A class with fewer images is worth a word: 1 shot leaves 3 queries at most."""


class Check(NamedTuple):
    """One question about a store, and the answer.

    Attributes:
        verdict: ``passed``, ``noticed`` (worth knowing, no error) or ``failed``.
        text: the answer in one line.
        places: where, if it is about certain images or classes.
    """

    verdict: str
    text: str
    places: tuple[str, ...] = ()


def verify_store(store: ClassStore, info: SourceInfo | None = None) -> list[Check]:
    """Returns all checks of a store; every image is read.

    Args:
        store: what to check.
        info: what its source promises; None leaves the numbers of classes and images unchecked.

    Returns:
        one :class:`Check` each for checksum, number of classes, classes in two splits, images in
        two splits (two if some are known and some are not), repeated images within a split, blank images,
        and classes of few images.
    """
    return [
        _checksum(store),
        _counts(store, info),
        _classes_apart(store),
        *_repeated(store, info),
        _blank(store),
        _few(store),
    ]


def record(store: ClassStore, passed: bool) -> None:
    """Keeps in the store's folder that it passed, or forgets it."""
    file = store.path / RECORD
    if passed:
        file.write_text(json.dumps(_state(store)), encoding="utf-8")
    else:
        file.unlink(missing_ok=True)


def is_verified(store: ClassStore) -> bool:
    """Returns whether the store has passed all checks and has not been written to since."""
    file = store.path / RECORD
    try:
        return json.loads(file.read_text(encoding="utf-8")) == _state(store)
    except (FileNotFoundError, ValueError, RecursionError):  # none, or a damaged one
        return False


def _state(store: ClassStore) -> Settings:
    status = (store.path / "images.npy").stat()
    return {"checksum": store.checksum, "size": status.st_size, "mtime_ns": status.st_mtime_ns}


def _checksum(store: ClassStore) -> Check:
    try:
        store.verify()
    except ValueError as error:
        return Check("failed", str(error))
    return Check("passed", f"the images have the checksum {store.checksum[:16]}…")


def _counts(store: ClassStore, info: SourceInfo | None) -> Check:
    found = classes_of(store)
    text = f"{slashed(found)} classes (train/val/test)"
    if not (info and info.n_classes):
        return Check("passed", f"{text}; how many there should be is not known")
    expected = slashed(info.n_classes)
    if sum(found.values()) != sum(info.n_classes.values()):
        return Check("failed", f"{text}, expected {expected}: part of the data set is missing")
    if partial := _partial(store, info):
        return Check("failed", f"{text}, but not of {info.images_a_class} images each", partial)
    if found == info.n_classes:
        return Check("passed", f"{text}, as it should be")
    return Check("passed", f"{text}: all of them, in another split than {expected}")


def _partial(store: ClassStore, info: SourceInfo) -> tuple[str, ...]:
    """Returns classes with fewer or more images than every class should have."""
    if info.images_a_class is None:
        return ()
    odd = [c for c in all_classes(store) if c.count != info.images_a_class]
    n_absent = sum(info.images_a_class - c.count for c in odd)
    if store.meta.notes.get("duplicates") == "drop" and n_absent == sum(
        info.shared_images.values()
    ):
        return ()
    return tuple(f"{c.split} {label(c)}: {c.count}" for c in odd)


def _classes_apart(store: ClassStore) -> Check:
    twice = tuple(classes_in_two_splits(store))
    if twice:
        return Check("failed", f"classes in two splits: {len(twice)}", twice)
    return Check("passed", "no class is in two splits")


def _repeated(store: ClassStore, info: SourceInfo | None) -> list[Check]:
    across: list[list[Place]] = []
    within: list[list[Place]] = []
    for same in identical_images(store):
        in_one_split = len({place.info.split for place in same}) == 1
        (within if in_one_split else across).append(same)
    known = _known(across, info)
    others = [same for same in across if same not in known]
    checks = []
    if known:
        text = (
            f"images in two splits, as in the published data set: {len(known)} "
            "(data.options.duplicates=drop leaves them out; results then differ from those of papers)"
        )
        checks.append(Check("noticed", text, _equations(known)))
    if others:
        text = f"images in two splits{' beside these' if known else ''}: {len(others)}"
        checks.append(Check("failed", text, _equations(others)))
    if not across:
        checks.append(Check("passed", "no image is in two splits"))
    if within:
        text = f"images repeated within a split: {len(within)}"
        return [*checks, Check("noticed", text, _equations(within))]
    return [*checks, Check("passed", "no image is repeated within a split")]


def _known(across: list[list[Place]], info: SourceInfo | None) -> list[list[Place]]:
    """Returns those of some sets of identical images that the published data set is known to have."""
    left = Counter(info.shared_images if info else {})
    known = []
    for same in across:
        names = tuple(sorted({place.info.name for place in same}))
        if left[names] > 0:  # type: ignore[index]
            left[names] -= 1  # type: ignore[index]
            known.append(same)
    return known


def _equations(sets: list[list[Place]]) -> tuple[str, ...]:
    return tuple(" = ".join(map(str, same)) for same in sets)


def _blank(store: ClassStore) -> Check:
    blank = tuple(map(str, blank_images(store)))
    if blank:
        return Check("noticed", f"blank images: {len(blank)}", blank)
    return Check("passed", "no image is blank")


def _few(store: ClassStore) -> Check:
    classes = all_classes(store)
    few = tuple(
        f"{info.split} {label(info)}: {info.count}" for info in classes if info.count < FEW_IMAGES
    )
    if few:
        return Check("noticed", f"classes of fewer than {FEW_IMAGES} images: {len(few)}", few)
    smallest = min(info.count for info in classes)
    return Check("passed", f"every class has {smallest} images or more")
