"""How sizes, counts and stores are printed."""

from __future__ import annotations

from typing import Any

from rich.console import Console
from rich.filesize import decimal
from rich.table import Table

from metanas_pl.data.store.class_store import ClassStore
from metanas_pl.data.store.inspection import classes_of, slashed


def make_table(*columns: str, numbers: tuple[str, ...] = (), **options: Any) -> Table:
    """Returns a table with a line below its header; the columns ``numbers`` are flush right."""
    from rich import box

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, **options)
    for name in columns:
        right = name in numbers
        table.add_column(name, justify="right" if right else "left", overflow="fold")
    return table


def size(n_bytes: int) -> str:
    """Returns bytes in units of 1000; nothing is a dash.

    >>> size(0), size(980), size(25_447_808), size(1_100_000_000)
    ('-', '980 bytes', '25.4 MB', '1.1 GB')
    """
    return decimal(n_bytes) if n_bytes else "-"


def shape(store: ClassStore) -> str:
    """Returns the size and colour of the images, such as ``28x28 grey``."""
    channels, height, width = store.image_shape
    return f"{height}x{width} {'grey' if channels == 1 else 'colour'}"


def print_store(console: Console, store: ClassStore) -> None:
    """Prints images, checksum and folder of a store in four lines, none of them cut."""
    rows = {
        "classes": f"{slashed(classes_of(store))} (train/val/test)",
        "images": f"{len(store.images):,} of {shape(store)}",
        "checksum": store.checksum,
        "folder": str(store.path),
    }
    for name, value in rows.items():
        console.print(f"  {name:9} {value}", soft_wrap=True, markup=False, highlight=False)
