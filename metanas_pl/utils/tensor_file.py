"""Files of ``torch.save`` from strangers: nothing in them is run, and no size in them is believed.

``torch.load(weights_only=True)`` runs nothing, but sets memory aside for whatever a file claims: a few
bytes can ask for a byte array, a compressed member or a tensor of any size. What is read here holds
tensors and plain values only, and no more bytes than the file.
"""

from __future__ import annotations

import pickletools
import re
import zipfile
from pathlib import Path
from typing import IO

from metanas_pl.errors import UserError

SAFE_NAME = re.compile(
    r"collections OrderedDict|torch\._utils _rebuild_(tensor_v2|parameter)|torch \w+Storage"
)
"""What the pickle in such a file may name: a dict, tensors, and the types of their elements."""

NAMING = {"GLOBAL", "STACK_GLOBAL", "INST", "EXT1", "EXT2", "EXT4"}
LEGACY_PICKLES = 5
"""Pickles at the beginning of a file of torch before 1.6, which was no zip; raw numbers follow."""

MAX_VALUES = 1_000_000
MAX_DEPTH = 50


class TensorFileError(UserError):
    """A file holds something else than tensors and plain values, or is damaged."""


def load_tensors(path: str | Path) -> object:
    """Returns what ``torch.save`` wrote to ``path``, on the CPU: plain containers, values, tensors.

    Raises:
        TensorFileError: it is no such file, is damaged (by its checksums, too), asks for anything but
            tensors and plain values, or for more memory than it has bytes.
    """
    import torch

    path = Path(path)
    try:
        if zipfile.is_zipfile(path):
            _check_archive(path)
        else:
            with path.open("rb") as file:
                for _ in range(LEGACY_PICKLES):
                    _check_names(file)
        content = torch.load(path, map_location="cpu", weights_only=True)
    except TensorFileError:
        raise
    except Exception as error:  # torch, zipfile and pickletools answer nonsense with any of theirs
        reason = next(iter(str(error).splitlines()), "") or type(error).__name__
        raise TensorFileError(f"it cannot be read ({reason})") from error
    _check_content(content, path.stat().st_size)
    return content


def _check_archive(path: Path) -> None:
    """Refuses compressed members, wrong checksums (torch compares none) and unsafe names."""
    with zipfile.ZipFile(path) as archive:
        members = archive.infolist()
        if any(m.compress_type or m.file_size != m.compress_size for m in members):
            raise TensorFileError("its members are compressed, which torch.save never does")
        if (damaged := archive.testzip()) is not None:
            raise TensorFileError(f"it is damaged: {damaged} has another checksum")
        pickles = [name for name in archive.namelist() if name.endswith(".pkl")]
        if len(pickles) != 1 or Path(pickles[0]).name != "data.pkl":
            raise TensorFileError("it has not one pickle, as torch.save writes it")
        with archive.open(pickles[0]) as file:
            _check_names(file)


def _check_names(file: IO[bytes]) -> None:
    """Reads one pickle, without running it; refuses what it names if that is neither value nor tensor."""
    for code, argument, _ in pickletools.genops(file):
        if code.name in NAMING and not SAFE_NAME.fullmatch(str(argument)):
            named = str(argument).replace(" ", ".") if code.name == "GLOBAL" else code.name
            raise TensorFileError(f"it asks for {named}, which is neither a value nor a tensor")


def _check_content(content: object, n_bytes: int) -> None:
    """Refuses tensors without bytes of their own in the file, and containers without end."""
    from torch import Tensor

    storages: dict[int, int] = {}
    left, n_values = [(content, 0)], 0
    while left:
        value, depth = left.pop()
        n_values += 1
        if n_values > MAX_VALUES or depth > MAX_DEPTH:
            raise TensorFileError("it is nested without end")
        if isinstance(value, Tensor):
            storage = value.untyped_storage()
            storages[storage.data_ptr()] = storage.nbytes()
            if value.numel() * value.element_size() > storage.nbytes():
                raise TensorFileError(
                    f"it holds a tensor of shape {tuple(value.shape)} without content"
                )
        elif isinstance(value, dict):
            if not all(isinstance(key, str | int | float) for key in value):
                raise TensorFileError("it holds a dict with odd keys")
            left += [(v, depth + 1) for v in value.values()]
        elif isinstance(value, list | tuple):
            left += [(v, depth + 1) for v in value]
        elif not (value is None or isinstance(value, str | int | float | bytes)):
            raise TensorFileError(f"it holds a {type(value).__name__}")
    if sum(storages.values()) > n_bytes:
        raise TensorFileError("its tensors have more bytes than the file")
