"""What NAME on the command line means: a data set, or a store in the cache."""

from __future__ import annotations

import argparse
import difflib
from collections.abc import Sequence

from metanas_pl.data.cache import CachedStore, default_cache_dir, stores_in
from metanas_pl.data.sources import SOURCES
from metanas_pl.data.store import ClassStore
from metanas_pl.errors import UserError


def add_store_argument(parser: argparse.ArgumentParser) -> None:
    """NAME of one or several stores."""
    parser.add_argument(
        "name", metavar="NAME", help="a data set, or a store as `metanas-data list` shows it"
    )


def find_stores(name: str) -> list[CachedStore]:
    """The stores of the data set ``name``, or the one with this key.

    Raises:
        UserError: there are none.
    """
    stores = stores_in(default_cache_dir())
    if found := [cached for cached in stores if name in (cached.key, cached.source)]:
        return found
    if name in SOURCES:
        raise UserError(f"{name} is not there yet: metanas-data prepare {name}")
    known = [*SOURCES, *(cached.key for cached in stores)]
    raise UserError(f"{name} is no store in {default_cache_dir()}{did_you_mean(name, known)}")


def open_store(cached: CachedStore) -> ClassStore:
    """The store, or a ValueError that says why it cannot be opened."""
    if cached.store is None:
        raise UserError(cached.problem)
    return cached.store


def did_you_mean(name: str, known: Sequence[str]) -> str:
    """End of an error message about an unknown name.

    >>> did_you_mean("omniglt", ["glyphs", "omniglot"])
    '; did you mean omniglot? (known: glyphs, omniglot)'
    """
    close = difflib.get_close_matches(name, known, n=1)
    hint = f"; did you mean {close[0]}?" if close else ""
    return f"{hint} (known: {', '.join(known)})"
