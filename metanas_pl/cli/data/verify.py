"""``metanas-data verify``: is a store whole, and are its splits apart?"""

from __future__ import annotations

import argparse

from rich.console import Console
from rich.markup import escape

from metanas_pl.cli.data.names import add_settings, add_store_argument, chosen_stores
from metanas_pl.data.datasets import SOURCES
from metanas_pl.data.store.cache import CachedStore, source_info
from metanas_pl.data.store.verification import record, verify_store

HELP = "check a store: checksum, counts, classes and images in two splits, odd images"
MARKS = {"passed": "[green]✓[/]", "noticed": "[yellow]![/]", "failed": "[red]✗[/]"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds NAME."""
    add_store_argument(parser)
    add_settings(parser)


def run(args: argparse.Namespace) -> int:
    """Prints every check of every store meant; 1 if one of them fails."""
    passed = [_verify(cached) for cached in chosen_stores(args.name, args.settings)]
    return int(not all(passed))


def _verify(cached: CachedStore) -> bool:
    console = Console(soft_wrap=True, highlight=False)
    console.print(f"[bold]{escape(cached.key)}[/]")
    if cached.store is None:
        console.print(f"  {MARKS['failed']} {escape(cached.problem)}")
        return False
    info = source_info(cached.source) if cached.source in SOURCES else None
    with console.status("reading every image"):
        checks = verify_store(cached.store, info)
    for check in checks:
        console.print(f"  {MARKS[check.verdict]} {escape(check.text)}")
        for place in check.places:
            console.print(f"      {place}", markup=False)
    passed = all(check.verdict != "failed" for check in checks)
    try:
        record(cached.store, passed)
    except OSError as error:  # a cache that others share may be read-only
        console.print(f"  not recorded: {error}", markup=False)
    return passed
