"""The table of a store is believed in nothing that does not fit the rest of it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from metanas_pl.data.store.class_store import ClassStore, build_store
from tests.data.conftest import META, toy_classes

Table = dict[str, Any]


def setter(*path: Any, to: Any) -> Callable[[Table], None]:
    """Changes the entry at ``path``."""

    def change(table: Table) -> None:
        node: Any = table
        for key in path[:-1]:
            node = node[key]
        node[path[-1]] = to

    return change


CHANGES = {
    "an overflowing shape": setter("shape", to=[2**32, 2**32, 1, 1]),
    "a huge shape": setter("shape", to=[2**40, 1, 4, 4]),
    "too few dimensions": setter("shape", to=[128, 16]),
    "a shape of text": setter("shape", to="1234"),
    "a shape with a hole": setter("shape", 1, to=0),
    "an offset outside": setter("classes", 3, "offset", to=10**6),
    "an offset of another class": setter("classes", 3, "offset", to=0),
    "a negative count": setter("classes", 3, "count", to=-8),
    "a count in halves": setter("classes", 3, "count", to=8.0),
    "a class less": lambda table: table["classes"].pop(),
    "an unknown split": setter("classes", 0, "split", to="dev"),
    "a name that is none": setter("classes", 0, "name", to=["a"]),
    "an unknown field": setter("classes", 0, "x", to=1),
    "a mean alone": setter("mean", to=[0.5]),
    "means of other channels": lambda table: table.update(mean=[0.1, 0.2], std=[0.1, 0.2]),
    "a mean that is no number": lambda table: table.update(mean=[float("nan")], std=[0.1]),
    "no checksum": lambda table: table.pop("checksum"),
    "a checksum of numbers": setter("checksum", to=5),
    "notes that are none": setter("meta", "notes", to=3),
    "no name of the data": setter("meta", "name", to=None),
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return build_store(tmp_path / "store", toy_classes(), META).path


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_what_does_not_fit(folder: Path, change: Callable[[Table], None]) -> None:
    table = json.loads((folder / "store.json").read_text())
    change(table)
    (folder / "store.json").write_text(json.dumps(table))
    with pytest.raises(ValueError, match=r"store\.json is damaged.*delete .*it is built again"):
        ClassStore.open(folder)


@pytest.mark.parametrize(
    "text", ["", "[]", "7", "null", '{"version"', "[" * 100_000, '{"version": 1}', "\x00"]
)
def test_what_is_no_table(folder: Path, text: str) -> None:
    (folder / "store.json").write_text(text)
    with pytest.raises(ValueError, match="is damaged"):
        ClassStore.open(folder)


def test_an_array_with_a_header_of_its_own_is_refused(folder: Path) -> None:
    """Objects would be unpickled, other shapes read beyond the end."""
    data = (folder / "images.npy").read_bytes()
    for old, new in ((b"|u1", b"|O8"), (b"(128,", b"(129,"), (b"\x93NUMPY", b"PK\x03\x04xx")):
        (folder / "images.npy").write_bytes(data.replace(old, new, 1))
        with pytest.raises(ValueError, match="cut short or damaged"):
            ClassStore.open(folder)
