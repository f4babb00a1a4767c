"""Tell the user about a long preparation: a bar in a terminal, one line elsewhere."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Sized
from contextlib import contextmanager
from typing import TypeVar

Item = TypeVar("Item")


def track(items: Iterable[Item], message: str) -> Iterator[Item]:
    """Yields ``items``; nothing is shown before the first one is asked for.

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


@contextmanager
def byte_count(message: str, total: int | None, done: int = 0) -> Iterator[Callable[[int], None]]:
    """Gives a function to call with the number of bytes that have come; ``total`` if it is known.

    >>> with byte_count("Downloading", total=3, done=1) as advance:
    ...     advance(2)
    """
    if sys.stderr.isatty():
        from rich.console import Console
        from rich.progress import (
            BarColumn,
            DownloadColumn,
            Progress,
            TextColumn,
            TimeRemainingColumn,
            TransferSpeedColumn,
        )

        columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn())
        speed = (TransferSpeedColumn(), TimeRemainingColumn())
        with Progress(*columns, *speed, console=Console(stderr=True), transient=True) as bar:
            task = bar.add_task(message, total=total, completed=done)
            yield lambda n: bar.advance(task, n)
    else:
        size = f" ({total / 1e6:,.1f} MB)" if total else ""
        start = f" from {done / 1e6:,.1f} MB on" if done else ""
        print(f"{message}{size}{start} …", file=sys.stderr)
        yield lambda n: None
