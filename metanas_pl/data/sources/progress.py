"""Tell the user about a long preparation: a bar in a terminal, one line elsewhere."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Sized
from typing import TypeVar

Item = TypeVar("Item")


def track(items: Iterable[Item], message: str) -> Iterator[Item]:
    """Yield ``items``; nothing is shown before the first one is asked for.

    >>> list(track([1, 2], "Counting"))
    [1, 2]
    """
    if sys.stderr.isatty():
        from rich.console import Console
        from rich.progress import track as bar

        total = len(items) if isinstance(items, Sized) else None
        yield from bar(items, message, total, console=Console(stderr=True), transient=True)
    else:
        print(f"{message} …", file=sys.stderr)
        yield from items
