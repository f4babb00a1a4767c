"""``stats`` prints the figures of a store."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from metanas_pl.data.store.class_store import ClassImages, StoreMeta, build_store
from tests.cli.data.conftest import Command


def test_figures(command: Command, cache: Path) -> None:
    rng = np.random.default_rng(0)
    classes = [
        ClassImages(name, group, split, rng.integers(0, 256, (n, 3, 4, 4), dtype=np.uint8))
        for name, group, split, n in [
            ("a", "north", "train", 3),
            ("b", "north", "train", 8),
            ("c", "north", "train", 9),
            ("d", "south", "val", 7),
        ]
    ]
    store = build_store(cache / "own", classes, StoreMeta("own", "", ""))
    answer = command("stats", "own")
    assert answer.code == 0
    rows = [line.split() for line in answer.out.splitlines()]
    mean, std = ([f"{v:.3f}" for v in values or []] for values in (store.mean, store.std))
    assert ["train", "3", "20", "3", "to", "9,", "median", "8", *mean, *std] in rows
    assert ["test", "0"] in rows
    assert ["north", "train", "3", "20"] in rows and ["south", "val", "1", "7"] in rows
    assert f"checksum  {store.checksum}" in answer.out


def test_names_of_groups_are_printed_as_they_are(command: Command, cache: Path) -> None:
    images = np.zeros((2, 1, 4, 4), dtype=np.uint8)
    build_store(
        cache / "own", [ClassImages("a", "[red] x", "train", images)], StoreMeta("own", "", "")
    )
    assert "[red] x" in command("stats", "own").out
