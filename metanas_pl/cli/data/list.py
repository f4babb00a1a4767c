"""``metanas-data list``: which data sets exist, and what is in the cache."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from rich.console import Console

from metanas_pl.cli.data.tables import make_table, size
from metanas_pl.data.datasets import SOURCES
from metanas_pl.data.store.cache import (
    CachedStore,
    default_cache_dir,
    size_on_disk,
    source_info,
    stores_in,
)
from metanas_pl.data.store.inspection import classes_of, slashed
from metanas_pl.data.store.verification import is_verified

HELP = "which data sets exist, and which of them are in the cache"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds none."""


def run(args: argparse.Namespace) -> int:
    """Prints one table of data sets and one of stores."""
    console, cache_dir = Console(), default_cache_dir()
    stores = stores_in(cache_dir)
    _print_sources(console, [cached.source for cached in stores])
    if stores:
        _print_stores(console, stores)
    downloads = size_on_disk(cache_dir / "downloads")
    kept = f" (downloads: {size(downloads)}, of no use once prepared)" if downloads else ""
    console.print(f"cache: {cache_dir}{kept}", soft_wrap=True, markup=False, highlight=False)
    return 0


def _print_sources(console: Console, prepared: Sequence[str]) -> None:
    columns = ("data set", "holds", "licence", "download", "stores")
    table = make_table(*columns, numbers=("download", "stores"))
    for name in SOURCES:
        info = source_info(name)
        there = str(prepared.count(name) or "not yet")
        table.add_row(name, info.summary, info.licence, size(info.download_bytes), there)
    console.print(table)


def _print_stores(console: Console, stores: Sequence[CachedStore]) -> None:
    columns = ("store", "classes", "images", "on disk", "verified")
    table = make_table(*columns, numbers=("images", "on disk"))
    for cached in stores:
        store, on_disk = cached.store, size(cached.n_bytes)
        if store is None:
            table.add_row(cached.key, "", "", on_disk, "damaged")
        else:
            verified = "yes" if is_verified(store) else "not yet"
            n_classes, n_images = slashed(classes_of(store)), f"{len(store.images):,}"
            table.add_row(cached.key, n_classes, n_images, on_disk, verified)
    console.print(table)
