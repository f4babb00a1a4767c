"""Which stores a network was trained on, as plain values that a checkpoint can hold."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import TypedDict

from metanas_pl.data.store.class_store import SPLITS, ClassStore
from metanas_pl.errors import UserError


class Identity(TypedDict):
    """What tells a store from others; ``split`` is the SHA-256 of its class table."""

    name: str
    image_shape: list[int]
    checksum: str
    n_classes: dict[str, int]
    split: str
    mean: list[float] | None
    std: list[float] | None


def identity(store: ClassStore) -> Identity:
    """Returns what tells ``store`` from others.

    ``split`` is the SHA-256 of the class table: equal images that are divided otherwise differ in it.
    """
    table = [asdict(info) for split in SPLITS for info in store.classes(split)]
    return {
        "name": store.meta.name,
        "image_shape": list(store.image_shape),
        "checksum": store.checksum,
        "n_classes": {split: store.n_classes(split) for split in SPLITS},
        "split": hashlib.sha256(json.dumps(table).encode()).hexdigest(),
        "mean": store.mean,
        "std": store.std,
    }


def checked(state: object) -> list[Identity]:
    """Returns the identities in what ``EpisodeDataModule.state_dict`` wrote; none if there is nothing.

    Raises:
        UserError: it is something else.
    """
    stores = state.get("stores", []) if isinstance(state, dict) else None
    if not isinstance(stores, list) or not all(_is_identity(store) for store in stores):
        raise UserError("the checkpoint is damaged: it does not say on which data it was trained")
    return stores


def _is_identity(store: object) -> bool:
    if not isinstance(store, dict) or set(store) != set(Identity.__annotations__):
        return False
    shape, n_classes = store["image_shape"], store["n_classes"]
    constants = [store[key] for key in ("mean", "std") if store[key] is not None]
    return (
        all(isinstance(store[key], str) for key in ("name", "checksum", "split"))
        and isinstance(n_classes, dict)
        and isinstance(shape, list)
        and len(constants) in (0, 2)
        and all(isinstance(c, list) and [len(c)] == shape[:1] for c in constants)
        and all(isinstance(x, float) for c in constants for x in c)
    )


def differences(then: Identity, now: Identity) -> list[str]:
    """Says in what two stores differ; empty if they hold the same images in the same splits.

    >>> then = {"image_shape": [1, 28, 28], "n_classes": {"train": 3}, "checksum": "a", "split": "s"}
    >>> differences(then, then | {"n_classes": {"train": 4}, "split": "t"})
    ['classes: train 3 then, train 4 now']
    """
    found = []
    if then["image_shape"] != now["image_shape"]:
        found.append(f"image shape: {then['image_shape']} then, {now['image_shape']} now")
    if then["n_classes"] != now["n_classes"]:
        found.append(f"classes: {_counts(then)} then, {_counts(now)} now")
    elif then["split"] != now["split"]:
        found.append(
            f"split: as many classes as then ({_counts(now)}), but others or of other size"
        )
    if then["checksum"] != now["checksum"]:
        found.append(f"checksum: {then['checksum'][:12]} then, {now['checksum'][:12]} now")
    return found


def check_same(then: Sequence[Identity], now: Sequence[Identity], remedy: str) -> None:
    """Refuses a store of ``now`` that is none of ``then``.

    Args:
        then: stores of the training.
        now: the stores that are used now.
        remedy: what to do about it, the end of the message.

    Raises:
        UserError: names the store and in what it differs from the one of the same name, or the first.
    """
    for store in now:
        if all(differences(known, store) for known in then):
            nearest = next((known for known in then if known["name"] == store["name"]), then[0])
            raise UserError(
                f"data.source: {store['name']} is not the data that the network was trained on "
                f"({nearest['name']}); {'; '.join(differences(nearest, store))}: {remedy}"
            )


def _counts(store: Identity) -> str:
    return ", ".join(f"{split} {n}" for split, n in store["n_classes"].items())
