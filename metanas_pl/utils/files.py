"""Files that survive a crash, and a word about a full disk."""

from __future__ import annotations

import csv
import errno
import io
import os
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import BinaryIO

from metanas_pl.errors import RunFailed

FULL = {
    errno.ENOSPC: "its disk is full",
    errno.EDQUOT: "your disk quota is used up",
    errno.EFBIG: "it is over the largest size that a file may have here",
}


@contextmanager
def space_for(path: Path) -> Iterator[None]:
    """Says in one line what is full, where writing ``path`` fails for want of space.

    Raises:
        RunFailed: there is no space left.
    """
    try:
        yield
    except OSError as error:
        if error.errno not in FULL:
            raise
        free = shutil.disk_usage(path.parent).free / 1e6
        raise RunFailed(
            f"cannot write {path}: {FULL[error.errno]} ({free:,.0f} MB free); what was saved before "
            "is whole: make space and resume with resume=auto"
        ) from error


def write_whole(path: Path, content: bytes) -> None:
    """Gives ``path`` this content, as :func:`open_whole` does."""
    with open_whole(path) as file:
        file.write(content)


@contextmanager
def open_whole(path: Path) -> Iterator[BinaryIO]:
    """Opens a file for writing; even after a crash ``path`` has all of its old content or of the new.

    Raises:
        RunFailed: there is no space left; the old content stays.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.part")
    with space_for(path):
        try:
            with beside.open("wb") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
        except BaseException:
            beside.unlink(missing_ok=True)
            raise
        beside.replace(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def csv_table(columns: Sequence[str], rows: Iterable[Mapping[str, object]]) -> bytes:
    """Returns the content of a CSV file with a heading.

    >>> csv_table(["a", "b"], [{"a": 1, "b": "x, y"}])
    b'a,b\\r\\n1,"x, y"\\r\\n'
    """
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, columns)
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue().encode()


class RowsFile:
    """A CSV file that grows by rows, and by columns, and can be cut back to its first rows.

    What an earlier run left under its name is replaced, unless :meth:`cut` keeps it.

    Args:
        path: the file.

    Attributes:
        n_rows: rows that are in it.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.n_rows = 0
        self._columns: list[str] = []

    def append(self, rows: Sequence[Mapping[str, object]]) -> None:
        """Adds rows at the end."""
        columns = sorted(set(self._columns).union(*rows))
        if columns != self._columns:
            self._write(columns, [*self._read(self.n_rows), *rows])
            return
        with space_for(self.path), self.path.open("a", encoding="utf-8", newline="") as file:
            csv.DictWriter(file, columns).writerows(rows)
        self.n_rows += len(rows)

    def cut(self, n_rows: int) -> None:
        """Keeps the first ``n_rows`` rows of what is there, be it from an earlier run."""
        rows = self._read(n_rows) if self.path.is_file() else []
        self._write(list(rows[0]) if rows else [], rows)

    def sync(self) -> None:
        """Sees to it that a crash of the machine takes nothing away.

        Raises:
            RunFailed: there is no space left, which some file systems say only now.
        """
        if self.n_rows:
            with space_for(self.path), self.path.open("rb") as file:
                os.fsync(file.fileno())

    def _read(self, n_rows: int) -> list[dict[str, str]]:
        if not n_rows:
            return []
        with self.path.open(encoding="utf-8", newline="") as file:
            return list(islice(csv.DictReader(file), n_rows))

    def _write(self, columns: list[str], rows: Sequence[Mapping[str, object]]) -> None:
        write_whole(self.path, csv_table(columns, rows) if columns else b"")
        self._columns, self.n_rows = columns, len(rows)
