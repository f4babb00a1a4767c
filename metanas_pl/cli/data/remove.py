"""``metanas-data remove``: free the space of a store."""

from __future__ import annotations

import argparse

from metanas_pl.cli.data.names import add_store_argument, find_stores
from metanas_pl.cli.data.tables import size
from metanas_pl.data.store.cache import remove_store
from metanas_pl.errors import UserError

HELP = "delete a store from the cache, after a question; nothing else is ever deleted"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds NAME, and whether to ask."""
    add_store_argument(parser)
    parser.add_argument("--yes", action="store_true", help="do not ask")


def run(args: argparse.Namespace) -> int:
    """Deletes the stores meant; 1 if the answer is no."""
    found = find_stores(args.name)
    for cached in found:
        print(f"{cached.path}  {size(cached.n_bytes)}")
    total = size(sum(cached.n_bytes for cached in found))
    if not args.yes and not _agreed(f"Delete {len(found)} and free {total}? [y/N] "):
        print("nothing deleted")
        return 1
    for cached in found:
        remove_store(cached)
    print(f"freed {total}")
    return 0


def _agreed(question: str) -> bool:
    try:
        return input(question).strip().lower() in ("y", "yes")
    except EOFError:
        raise UserError("there is no terminal to ask in: pass --yes") from None
