"""How sizes, counts and stores are printed."""

from __future__ import annotations

from typing import Any

from rich.console import Console
from rich.table import Table

from metanas_pl.data.store.class_store import SPLITS, ClassStore


def make_table(*columns: str, numbers: tuple[str, ...] = (), **options: Any) -> Table:
    """A table with a line below its header; the columns ``numbers`` are flush right."""
    from rich import box

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, **options)
    for name in columns:
        right = name in numbers
        table.add_column(name, justify="right" if right else "left", overflow="fold")
    return table


def size(n_bytes: int) -> str:
    """Bytes in units of 1000, with two or three digits.

    >>> size(0), size(980), size(25_447_808), size(1_100_000_000)
    ('-', '980 B', '25 MB', '1.1 GB')
    """
    value, unit = float(n_bytes), "B"
    for unit in ("B", "kB", "MB", "GB", "TB"):
        if value < 999.5 or unit == "TB":
            break
        value /= 1000
    digits = 1 if value < 9.95 and unit != "B" else 0
    return f"{value:.{digits}f} {unit}" if n_bytes else "-"


def shape(store: ClassStore) -> str:
    """Size and colour of the images, such as ``28x28 grey``."""
    channels, height, width = store.image_shape
    return f"{height}x{width} {'grey' if channels == 1 else 'colour'}"


def counts(n_classes: dict[str, int]) -> str:
    """Classes of each split, for training, validation and test.

    >>> counts({"train": 1028, "val": 172, "test": 423})
    '1028/172/423'
    """
    return "/".join(f"{n_classes[split]}" for split in SPLITS)


def classes_of(store: ClassStore) -> dict[str, int]:
    """Number of classes of each split."""
    return {split: store.n_classes(split) for split in SPLITS}


def print_store(console: Console, store: ClassStore) -> None:
    """Images, checksum and folder of a store in four lines, none of them cut."""
    rows = {
        "classes": f"{counts(classes_of(store))} (train/val/test)",
        "images": f"{len(store.images):,} of {shape(store)}",
        "checksum": store.checksum,
        "folder": str(store.path),
    }
    for name, value in rows.items():
        console.print(f"  {name:9} {value}", soft_wrap=True, markup=False, highlight=False)
