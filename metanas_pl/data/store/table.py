"""The table of a store, ``store.json``: what the images are, and which of them belong to which class."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from metanas_pl.errors import UserError

if TYPE_CHECKING:
    from metanas_pl.types import Settings

SPLITS = ("train", "val", "test")
FORMAT_VERSION = 1


@dataclass(frozen=True)
class ClassInfo:
    """One class: images ``offset .. offset + count - 1`` of the store.

    Attributes:
        name: unique within its group.
        group: alphabet, writing system or whatever the classes of one family share; may be empty.
        split: ``train``, ``val`` or ``test``.
        offset: row of the first image.
        count: number of images.
    """

    name: str
    group: str
    split: str
    offset: int
    count: int


@dataclass(frozen=True)
class StoreMeta:
    """What the images are.

    Attributes:
        name: the data set, used in messages.
        source: where the images come from.
        licence: under which terms.
        ink_is_one: 255 is ink on a background of 0; such images are scaled to [0, 1] and no more.
        notes: anything else worth keeping, as plain JSON values.
    """

    name: str
    source: str
    licence: str
    ink_is_one: bool = False
    notes: dict[str, Any] = field(default_factory=dict)


class StoreTable(NamedTuple):
    """What ``store.json`` holds.

    Attributes:
        meta: what the images are.
        shape: ``(n_images, C, H, W)``.
        checksum: SHA-256 of the bytes of the images.
        mean: of each channel of the train images in [0, 1], or None.
        std: standard deviation likewise.
        classes: side by side and without a gap, in the order of their images.
    """

    meta: StoreMeta
    shape: tuple[int, ...]
    checksum: str
    mean: list[float] | None
    std: list[float] | None
    classes: tuple[ClassInfo, ...]


def read_table(file: Path) -> StoreTable:
    """Returns the table in ``file``, every value checked.

    Raises:
        UserError: another version wrote it, or it is damaged.
    """
    try:
        values = json.loads(file.read_text(encoding="utf-8"))
        version = values["version"]
        table = None if version != FORMAT_VERSION else _table(values)
    except (ValueError, LookupError, TypeError, RecursionError) as error:
        raise UserError(f"{file} is damaged ({_reason(error)}): {_remedy(file)}") from error
    if table is None:
        raise UserError(
            f"{file.parent} has store version {version!r}, this release reads {FORMAT_VERSION}: "
            f"{_remedy(file)}"
        )
    return table


def _table(values: Settings) -> StoreTable:
    shape, classes = tuple(values["shape"]), tuple(ClassInfo(**c) for c in values["classes"])
    _expect(len(shape) == 4 and all(_is_count(n) for n in shape), "shape")
    offset = 0
    for info in classes:
        _expect(all(isinstance(x, str) for x in (info.name, info.group)), "name of a class")
        _expect(info.split in SPLITS and _is_count(info.count), f"class {info.name}")
        _expect(type(info.offset) is int and info.offset == offset, f"class {info.name}")
        offset += info.count
    _expect(offset == shape[0], "number of images")
    meta = StoreMeta(**values["meta"])
    _expect(isinstance(meta.notes, dict) and type(meta.ink_is_one) is bool, "meta")
    texts = meta.name, meta.source, meta.licence, values["checksum"]
    _expect(all(isinstance(text, str) for text in texts), "meta")
    mean, std = values["mean"], values["std"]
    for constants in (mean, std):
        _expect((constants is None) == (mean is None), "mean and std")
        _expect(constants is None or _are_constants(constants, shape[1]), "mean and std")
    return StoreTable(meta, shape, values["checksum"], mean, std, classes)


def _expect(fits: bool, what: str) -> None:
    if not fits:
        raise UserError(f"{what} makes no sense")


def _is_count(value: object) -> bool:
    return type(value) is int and 0 < value < 2**48


def _are_constants(values: object, n: int) -> bool:
    if not isinstance(values, list) or len(values) not in (1, n):  # one without train images
        return False
    return all(type(x) in (int, float) and 0 <= x <= 1 + 1e-6 for x in values)


def _reason(error: Exception) -> str:
    return f"no {error}" if isinstance(error, KeyError) else str(error).split("\n")[0]


def _remedy(file: Path) -> str:
    return f"delete {file.parent}, and it is built again"
