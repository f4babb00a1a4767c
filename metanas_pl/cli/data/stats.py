"""``metanas-data stats``: what a store holds, in numbers."""

from __future__ import annotations

import argparse

from rich.console import Console
from rich.markup import escape

from metanas_pl.cli.data.names import (
    add_settings,
    add_store_argument,
    chosen_stores,
    open_store,
)
from metanas_pl.cli.data.tables import make_table, print_store
from metanas_pl.data.store.class_store import SPLITS, ClassStore
from metanas_pl.data.store.inspection import group_sizes, split_statistics

HELP = "classes and images of each split, brightness of each channel, groups of classes"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds NAME."""
    add_store_argument(parser)
    add_settings(parser)


def run(args: argparse.Namespace) -> int:
    """Prints the figures of every store meant."""
    console = Console()
    for cached in chosen_stores(args.name, args.settings):
        store = open_store(cached)
        console.print(cached.key, style="bold", markup=False, highlight=False, soft_wrap=True)
        print_store(console, store)
        _print_splits(console, store)
        _print_groups(console, store)
    return 0


def _print_splits(console: Console, store: ClassStore) -> None:
    numbers = ("classes", "images", "per class", "mean", "std")
    table = make_table("split", *numbers, numbers=numbers)
    for split in SPLITS:
        figures = split_statistics(store, split)
        if figures is None:
            table.add_row(split, "0")
            continue
        low, median, high = figures.per_class
        table.add_row(
            split,
            f"{figures.n_classes:,}",
            f"{figures.n_images:,}",
            f"{low}" if low == high else f"{low} to {high}, median {median:g}",
            " ".join(f"{value:.3f}" for value in figures.mean),
            " ".join(f"{value:.3f}" for value in figures.std),
        )
    console.print(table)


def _print_groups(console: Console, store: ClassStore) -> None:
    groups = group_sizes(store)
    table = make_table("group", "split", "classes", "images", numbers=("classes", "images"))
    for group, split, n_classes, n_images in groups:
        table.add_row(escape(group), split, f"{n_classes:,}", f"{n_images:,}")
    if groups:
        console.print(table)
