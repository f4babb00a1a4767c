"""Files of torch.save: the same values as torch.load, and nothing that runs or fills the memory."""

from __future__ import annotations

import io
import resource
import zipfile
from collections import OrderedDict
from pathlib import Path
from typing import Any

import pytest
import torch

from metanas_pl.utils.tensor_file import TensorFileError, load_tensors
from tests.runs import assert_equal

CONTENT = {
    "weights": OrderedDict(a=torch.randn(2, 3), b=torch.arange(3)),
    "parameter": torch.nn.Parameter(torch.ones(2)),
    "part": torch.arange(6.0)[2:4],
    "plain": [1, -2.5, None, True, "ü", (1, 2), {"x": {}}],
}


class Call:
    """Calls ``function(*arguments)`` when unpickled."""

    def __init__(self, function: Any, *arguments: Any) -> None:
        self.call = (function, arguments)

    def __reduce__(self) -> Any:
        return self.call


def repacked(path: Path, compression: int, **more: bytes) -> None:
    """The same archive, compressed, or with more members."""
    data = path.read_bytes()
    with zipfile.ZipFile(io.BytesIO(data)) as old, zipfile.ZipFile(path, "w", compression) as new:
        for name in old.namelist():
            new.writestr(name, old.read(name))
        for name, content in more.items():
            new.writestr(f"x/{name}.pkl", content)


@pytest.mark.parametrize("as_zip", [True, False])
def test_the_same_values_as_torch(tmp_path: Path, as_zip: bool) -> None:
    torch.save(CONTENT, tmp_path / "x", _use_new_zipfile_serialization=as_zip)
    assert_equal(load_tensors(tmp_path / "x"), CONTENT)


@pytest.mark.parametrize("as_zip", [True, False])
def test_nothing_is_run(tmp_path: Path, as_zip: bool) -> None:
    target = tmp_path / "touched"
    content = {"a": torch.ones(1), "b": Call(Path.touch, target)}
    torch.save(content, tmp_path / "x", _use_new_zipfile_serialization=as_zip)
    with pytest.raises(
        TensorFileError, match=r"asks for (pathlib\.Path\.touch|__builtin__\.getattr)"
    ):
        load_tensors(tmp_path / "x")
    assert not target.exists()


def test_memory_is_not_set_aside_for_a_claim(tmp_path: Path) -> None:
    """torch.load takes each of these, and gigabytes for the first two."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    torch.save({"x": Call(bytearray, 4 * 10**9)}, tmp_path / "bytes")
    torch.save({"x": torch.zeros(1).expand(10**12)}, tmp_path / "shape")
    torch.save({"x": torch.zeros(10**6)}, tmp_path / "packed")
    repacked(tmp_path / "packed", zipfile.ZIP_DEFLATED)
    assert (tmp_path / "packed").stat().st_size < 10_000
    for name, message in (
        ("bytes", r"asks for __builtin__\.bytearray"),
        ("shape", "without content"),
        ("packed", "compressed"),
    ):
        with pytest.raises(TensorFileError, match=message):
            load_tensors(tmp_path / name)
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert grown < 100_000  # kB


def test_a_flipped_bit_of_a_weight_is_noticed(tmp_path: Path) -> None:
    """torch.load compares no checksums: it would return another weight."""
    torch.save({"x": torch.ones(1000)}, tmp_path / "x")
    data = bytearray((tmp_path / "x").read_bytes())
    place = data.index(torch.ones(8).numpy().tobytes())
    data[place + 2] ^= 1
    (tmp_path / "x").write_bytes(data)
    assert not torch.load(tmp_path / "x", weights_only=True)["x"].eq(1).all()
    with pytest.raises(TensorFileError, match="checksum"):
        load_tensors(tmp_path / "x")


def laughs() -> Any:
    """2^60 numbers in a few bytes."""
    nested: Any = [0]
    for _ in range(60):
        nested = [nested, nested]
    return nested


def ring() -> Any:
    nested: list[Any] = []
    nested.append(nested)
    return nested


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (laughs(), "nested without end"),
        (ring(), "nested without end"),
        ({(1, 2): 3}, "odd keys"),
        (torch.float32, "asks for|holds a dtype"),
        ({"x": torch.zeros(2).to_sparse()}, "asks for"),
        ({"x": {1, 2}}, r"asks for __builtin__\.set"),
    ],
)
def test_odd_content(tmp_path: Path, content: Any, message: str) -> None:
    torch.save(content, tmp_path / "x")
    with pytest.raises(TensorFileError, match=message):
        load_tensors(tmp_path / "x")


def test_a_second_pickle_is_refused(tmp_path: Path) -> None:
    torch.save({}, tmp_path / "x")
    repacked(tmp_path / "x", zipfile.ZIP_STORED, constants=b"N.")
    with pytest.raises(TensorFileError, match="not one pickle"):
        load_tensors(tmp_path / "x")


@pytest.mark.parametrize("data", [b"", b"<html>", b"PK\x05\x06" + bytes(18), b"\x80\x02N."])
def test_other_files(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "x").write_bytes(data)
    with pytest.raises(TensorFileError):
        load_tensors(tmp_path / "x")
