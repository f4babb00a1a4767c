"""A source that stops in the middle until the file ``go`` is in its root."""

from __future__ import annotations

import time
from collections.abc import Iterator

from metanas_pl.data.datasets import DataRequest
from metanas_pl.data.store.class_store import ClassImages, ClassStore, build_store
from tests.data.conftest import META, toy_classes


def prepare(request: DataRequest) -> ClassStore:
    """Build the toy store; the file ``log`` gets a line when half of it is written."""
    assert request.root is not None
    root = request.root

    def classes() -> Iterator[ClassImages]:
        items = toy_classes()
        yield next(items)
        with open(root / "log", "a", encoding="utf-8") as log:
            log.write("half\n")
        while not (root / "go").exists():
            time.sleep(0.02)
        yield from items

    return build_store(request.cache_dir / "slow", classes(), META)
