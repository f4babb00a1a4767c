"""The instructions of a pickle, one by one: nothing is built or run."""

from __future__ import annotations

import pickletools
from collections.abc import Iterator
from typing import BinaryIO, NamedTuple

from metanas_pl.data.download.errors import PickleError
from metanas_pl.data.download.slices import Span

_HEAD = 9
_KINDS = {kind.code.encode("latin1"): kind for kind in pickletools.opcodes}
_LENGTH_BYTES = {
    pickletools.TAKEN_FROM_ARGUMENT1: 1,
    pickletools.TAKEN_FROM_ARGUMENT4: 4,
    pickletools.TAKEN_FROM_ARGUMENT4U: 4,
    pickletools.TAKEN_FROM_ARGUMENT8U: 8,
}


class Code(NamedTuple):
    """One instruction.

    Attributes:
        name: as in ``pickletools``.
        argument: bytes of its argument; of one with a length of its own (a string) the first nine.
        span: where that argument is in the file.
    """

    name: str
    argument: bytes
    span: Span


def read_codes(file: BinaryIO, name: str) -> Iterator[Code]:
    """Returns the instructions of a pickle from the beginning of ``file`` to its ``STOP``.

    Long strings are jumped over, so a file of any size takes no memory.

    Args:
        file: open for reading, seekable.
        name: what messages call it.

    Raises:
        PickleError: it is no pickle, or it is cut short.

    >>> import io, pickle
    >>> [code.name for code in read_codes(io.BytesIO(pickle.dumps(7)), "seven")]
    ['PROTO', 'BININT1', 'STOP']
    """
    end = file.seek(0, 2)
    position = file.seek(0)
    while key := file.read(1):
        kind = _KINDS.get(key)
        if kind is None:
            raise PickleError(f"{name} is no pickle: byte {position:,} is {key!r}")
        offset = position + 1
        size = kind.arg.n if kind.arg else 0
        if size == pickletools.UP_TO_NEWLINE:
            lines = 2 if kind.name in ("GLOBAL", "INST") else 1
            argument = b"".join(file.readline() for _ in range(lines))
            size = len(argument)
        elif size >= 0:
            argument = file.read(size)
        else:
            n = _LENGTH_BYTES[size]
            size = int.from_bytes(file.read(n), "little")
            offset += n
            argument = file.read(min(size, _HEAD))
        position = offset + size
        if position > end:
            break
        if len(argument) < size:
            file.seek(position)
        yield Code(kind.name, argument, Span(offset, size))
        if kind.name == "STOP":
            return
    raise PickleError(f"{name} is cut short: it ends at byte {end:,}, in the middle of a pickle")
