"""The restricted unpickler: the same values as pickle's own, and nothing that runs."""

from __future__ import annotations

import os
import pickle
import pickletools
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from metanas_pl.data.download.errors import PickleError
from metanas_pl.data.download.pickle_codes import read_codes
from metanas_pl.data.download.pickles import entry, load_pickle

VALUES = {
    "plain": [1, -2.5, None, True, 10**30, "ü", b"\x89\xff", bytearray(b"q"), b"", (1,) * 5],
    "C": np.arange(6, dtype=np.uint8).reshape(2, 3),
    "F": np.asfortranarray(np.arange(6.0).reshape(2, 3)),
    "big endian": np.arange(3, dtype=">i4"),
    "names": np.array(["x", "yy"]),
    "bytes": np.array([b"x", b"yy"]),
    "empty": np.zeros((0, 3)),
    "no dimension": np.array(3.0),
    "scalars": [np.int64(4), np.float32(0.5)],
}


@pytest.mark.parametrize("protocol", range(6))
@pytest.mark.parametrize("core", ["numpy._core", "numpy.core"])
def test_the_same_values_as_pickle(protocol: int, core: str, tmp_path: Path) -> None:
    data = pickle.dumps(VALUES, protocol)
    if protocol < 4:  # later ones carry the lengths of names
        data = data.replace(b"numpy._core", core.encode())
    (tmp_path / "x.pkl").write_bytes(data)
    for found in (load_pickle(data, "values"), load_pickle(tmp_path / "x.pkl", "values")):
        assert found.keys() == VALUES.keys()
        for key, expected in VALUES.items():
            if isinstance(expected, np.ndarray):
                np.testing.assert_array_equal(np.asarray(found[key]), expected)
            else:
                assert found[key] == expected


def test_a_pickle_of_python_2() -> None:
    """``{'data': array([1, 2], uint8), u'name': 'caf\\xe9'}`` as Python 2 writes it in protocol 2."""
    array = (
        b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85U\x01b\x87R(K\x01K\x02\x85"
        b"cnumpy\ndtype\nU\x02u1K\x00K\x01\x87R(K\x03U\x01|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb"
        b"\x89U\x02\x01\x02tb"
    )
    data = b"\x80\x02}(U\x04data" + array + b"X\x04\x00\x00\x00nameU\x04caf\xe9u."
    table = load_pickle(data, "old")
    assert np.array_equal(entry(table, "data", "old"), [1, 2]) and table["name"] == b"caf\xe9"
    with pytest.raises(PickleError, match="old has no entry 'labels', found data, name"):
        entry(table, "labels", "old")


class Malicious:
    """Runs ``function(*arguments)`` when unpickled."""

    def __init__(self, function: Any, *arguments: Any) -> None:
        self.call = (function, arguments)

    def __reduce__(self) -> Any:
        return self.call


@pytest.mark.parametrize("protocol", range(6))
@pytest.mark.parametrize("function", [os.system, eval, exec, np.fromfile, np.load])
def test_nothing_is_run(tmp_path: Path, protocol: int, function: Any) -> None:
    target = tmp_path / "touched"
    command = f"touch {target}" if function is os.system else f"open({str(target)!r}, 'w').close()"
    data = pickle.dumps([np.arange(2), Malicious(function, command)], protocol)
    if function in (os.system, eval, exec):  # the pickle works, if it is let
        with pytest.MonkeyPatch.context() as patch:
            patch.chdir(tmp_path)
            pickle.loads(data)
        assert target.exists()
        target.unlink()
    with pytest.raises(PickleError, match=rf"bad\.pkl .*it asks for .*{function.__name__}"):
        load_pickle(data, "bad.pkl")
    assert not target.exists()


HUGE = b"\x8a\x08" + (2**50).to_bytes(8, "little")
DTYPE = b"cnumpy\ndtype\nX\x02\x00\x00\x00%s\x85R"


@pytest.mark.parametrize(
    ("program", "message"),
    [
        (b"cnumpy.core.multiarray\n_reconstruct\nN" + HUGE + b"\x85N\x87R.", "memory for an array"),
        (b"cnumpy\nndarray\n" + HUGE + b"\x85\x85R.", "damaged"),
        (b"cbuiltins\nbytes\n" + HUGE + b"\x85R.", "array of int"),
        (b"r\xff\xff\xff\x7fN.", "wants 2,147,483,647 places"),
        (b"p99999999\nN.", "wants 99,999,999 places"),
        (b"\x8e" + (2**60).to_bytes(8, "little") + b"abc.", "cut short"),
        (b"\x8e" + b"\xff" * 8 + b"abc.", "cut short"),
        (b"\x8b\xff\xff\xff\x7f1.", "cut short"),
        (DTYPE % b"O8" + b".", "array of 'O8'"),
        (DTYPE % b"V9" + b".", "array of 'V9'"),
        (b"c_codecs\nencode\nX\x01\x00\x00\x00aX\x03\x00\x00\x00rot\x86R.", "encoding 'rot'"),
        (b"c_codecs\nencode\n}X\x04\x00\x00\x00callNsb.", "damaged"),
        (b"c_codecs\nencode\n(N}X\x04\x00\x00\x00callNstb.", "damaged"),
        (b"cos.path\njoin\n.", r"asks for os\.path\.join"),
        (b"Pid\n.", "damaged"),
        (b"\x82\x01.", "damaged"),
        (b"N", "cut short"),
        (b"<html>", "no pickle: byte 0"),
        (b"", "cut short"),
    ],
)
def test_bombs_and_nonsense(program: bytes, message: str) -> None:
    with pytest.raises(PickleError, match=message):
        load_pickle(program, "bad.pkl")


def test_a_nested_name_is_no_way_out() -> None:
    data = b"\x80\x04\x8c\x05numpy\x8c\x0bdtype.__mro\x93."
    with pytest.raises(PickleError, match=r"asks for numpy\.dtype\.__mro"):
        load_pickle(data, "bad.pkl")


@pytest.mark.parametrize("protocol", range(6))
def test_codes_are_those_of_pickletools(protocol: int, tmp_path: Path) -> None:
    data = pickle.dumps([VALUES, "long " * 100, os.path.join], protocol)
    (tmp_path / "x").write_bytes(data)
    with (tmp_path / "x").open("rb") as file:
        codes = list(read_codes(file, "x"))
    expected = list(pickletools.genops(data))
    assert [code.name for code in codes] == [kind.name for kind, _, _ in expected]
    for code, (kind, argument, position) in zip(codes, expected, strict=True):
        span = data[code.span.offset : code.span.offset + code.span.size]
        assert position < code.span.offset and span.startswith(code.argument)
        if kind.name in ("BINBYTES", "SHORT_BINBYTES", "BYTEARRAY8"):
            assert span == bytes(argument)
