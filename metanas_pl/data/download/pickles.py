"""Pickles of strangers, read without running anything that they ask for.

A pickle is a program: it may name any function and have it called. So names are restricted, as
the documentation of ``pickle`` has it ("Restricting Globals"), to the constructors of plain values
and of numpy arrays, under the names that numpy gave them in Python 2 and 3. Those of numpy itself
set memory aside for whatever a pickle claims and believe in elements of -5 bytes, so each is a
version of our own that checks what it is given.
"""

from __future__ import annotations

import io
import pickle
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, BinaryIO, Literal, NamedTuple

import numpy as np

from metanas_pl.data.download.errors import PickleError
from metanas_pl.data.download.pickle_codes import read_codes

PLAIN_DTYPE = r"[biufSU]\d+"
_MEMO_CODES = {"PUT", "BINPUT", "LONG_BINPUT"}


def load_pickle(data: Path | bytes, name: str) -> Any:
    """Returns what a pickle of protocol 0 to 5 holds: numbers, text, bytes, lists, dicts, numpy arrays.

    Strings of Python 2 come as bytes, arrays as :class:`PickledArray`.

    Args:
        data: file, or its content.
        name: what messages call it.

    Raises:
        PickleError: it asks for anything else, is damaged, or is no pickle.

    >>> load_pickle(pickle.dumps({"x": np.arange(3)}), "an example")["x"].tolist()
    [0, 1, 2]
    """
    with io.BytesIO(data) if isinstance(data, bytes) else data.open("rb") as file:
        try:
            _check_sizes(file)
            file.seek(0)
            return _Unpickler(file, encoding="bytes").load()
        except PickleError as error:
            raise PickleError(f"{name} was not unpickled: {error}") from error
        except Exception as error:  # whatever a damaged pickle makes of plain values
            raise PickleError(f"{name} is damaged ({type(error).__name__}: {error})") from error


def entry(table: object, key: str, name: str) -> Any:
    """``table[key]`` of an unpickled mapping, whose keys are text or bytes.

    >>> entry({b"labels": [1]}, "labels", "an example")
    [1]
    """
    if isinstance(table, dict):
        for candidate in (key, key.encode()):
            if candidate in table:
                return table[candidate]
    found = ", ".join(map(text, table)) if isinstance(table, dict) else type(table).__name__
    raise PickleError(f"{name} has no entry {key!r}, found {found}: is it another file?")


def text(value: object) -> str:
    """Returns the text of either Python as ``str``.

    >>> text(b"cat"), text("cat"), text(7)
    ('cat', 'cat', '7')
    """
    return value.decode() if isinstance(value, bytes) else str(value)


def _check_sizes(file: BinaryIO) -> None:
    """Refuses a pickle that would have memory set aside for what is not in it."""
    for n, code in enumerate(read_codes(file, "it")):
        if code.name in _MEMO_CODES:
            number = code.argument
            index = int(number) if code.name == "PUT" else int.from_bytes(number, "little")
            if index > n:
                raise PickleError(f"it wants {index:,} places at once")


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> object:
        place = f"{module}.{name}".replace("numpy.core.", "numpy._core.")
        if place not in _KNOWN:
            raise PickleError(f"it asks for {module}.{name}, which is neither a value nor an array")
        return _Function(_KNOWN[place])


class _Function(NamedTuple):
    """A function that a pickle may call; as a tuple it has no attribute that could be changed."""

    call: Callable[..., object]

    def __call__(self, *arguments: object) -> object:
        return self.call(*arguments)


class _Type:
    """A numpy dtype under construction: numpy gives its code first, then its byte order."""

    def __init__(self, code: object, *options: object) -> None:
        if not re.fullmatch(PLAIN_DTYPE, text(code)):
            raise PickleError(f"it holds an array of {text(code)!r}, not of numbers or text")
        self.dtype = np.dtype(text(code))

    def __setstate__(self, state: Sequence[object]) -> None:
        order = text(state[1])
        self.dtype = self.dtype.newbyteorder("=" if order == "|" else order)  # type: ignore[arg-type]


class PickledArray(np.ndarray):
    """A numpy array; empty at first, it gets its content next, as numpy's own protocol has it."""

    def __setstate__(self, state: Any) -> None:
        _, shape, kind, fortran, data = state
        whole = (1, _shape(shape), kind.dtype, bool(fortran), _content(data))
        super().__setstate__(whole)  # type: ignore[arg-type]


def _shape(shape: object) -> tuple[int, ...]:
    if not (isinstance(shape, tuple) and all(isinstance(n, int) and n >= 0 for n in shape)):
        raise PickleError(f"it holds an array of shape {shape!r}")
    return shape


def _content(data: object = b"") -> bytes:
    if not isinstance(data, bytes | bytearray):
        raise PickleError(f"it holds an array of {type(data).__name__}, not of numbers or text")
    return data  # type: ignore[return-value]


def _empty_array(subtype: object, shape: object, code: object) -> PickledArray:
    if shape != (0,):  # numpy writes no other; a large one would fill the memory
        raise PickleError(f"it asks for memory for an array of shape {shape!r}")
    return PickledArray((0,), np.uint8)


def _from_buffer(data: object, kind: _Type, shape: object, order: Literal["C", "F"]) -> np.ndarray:
    return np.frombuffer(_content(data), kind.dtype).reshape(_shape(shape), order=order)


def _scalar(kind: _Type, data: object) -> object:
    return np.frombuffer(_content(data), kind.dtype, 1)[0]


def _encode(value: str, encoding: object) -> bytes:
    if text(encoding) != "latin1":  # how Python 3 writes bytes in protocols 0 to 2
        raise PickleError(f"it asks for the encoding {encoding!r}")
    return bytes(value, "latin1")


_KNOWN: dict[str, Callable[..., object]] = {
    "numpy._core.multiarray._reconstruct": _empty_array,
    "numpy._core.multiarray.scalar": _scalar,
    "numpy._core.numeric._frombuffer": _from_buffer,
    "numpy.dtype": _Type,
    "numpy.ndarray": _empty_array,  # only ever named, as an argument
    "_codecs.encode": _encode,
    "builtins.bytes": _content,
    "builtins.bytearray": _content,
    "__builtin__.bytes": _content,
    "__builtin__.bytearray": _content,
}
