"""Pieces of one open file, read by several threads."""

from __future__ import annotations

import threading
from typing import BinaryIO, NamedTuple


class Span(NamedTuple):
    """Where a piece begins and how long it is, in bytes."""

    offset: int
    size: int


class Slices:
    """Reads spans of ``file``, from any thread.

    >>> import io
    >>> Slices(io.BytesIO(b"abcdef")).read(Span(2, 3))
    b'cde'
    """

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._lock = threading.Lock()

    def read(self, span: Span) -> bytes:
        """Returns the bytes of one span."""
        with self._lock:
            self._file.seek(span.offset)
            return self._file.read(span.size)
