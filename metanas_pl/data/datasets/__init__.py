"""Where data sets come from: one file each, with one function ``(DataRequest) -> ClassStore``.

To add a data set, write such a function that ends in
:func:`~metanas_pl.data.store.class_store.build_store`, and name it below, or give its dotted path as
``data.source``.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import NamedTuple

from metanas_pl.data.store.class_store import ClassStore
from metanas_pl.errors import UserError

SOURCES = {
    "attributes": "metanas_pl.data.datasets.attributes.prepare",
    "cifar_fs": "metanas_pl.data.datasets.cifar_fs.prepare",
    "cub": "metanas_pl.data.datasets.cub.prepare",
    "fc100": "metanas_pl.data.datasets.fc100.prepare",
    "folder": "metanas_pl.data.datasets.folder.prepare",
    "glyphs": "metanas_pl.data.datasets.glyphs.prepare",
    "miniimagenet": "metanas_pl.data.datasets.miniimagenet.prepare",
    "omniglot": "metanas_pl.data.datasets.omniglot.prepare",
    "tensors": "metanas_pl.data.datasets.tensors.prepare",
    "tieredimagenet": "metanas_pl.data.datasets.tieredimagenet.prepare",
}


class WholeNumber(NamedTuple):
    """An option that is a whole number from 1 to ``largest``."""

    default: int
    largest: int


@dataclass(frozen=True)
class SourceInfo:
    """What a user wants to know of a data set before it is there; ``INFO`` of a source's module.

    Attributes:
        summary: content in one line.
        licence: terms of use in a few words.
        download_bytes: size of the download; 0 if there is none.
        n_classes: classes of each split, if they are known beforehand.
        images_a_class: images of every class, if they are as many in each.
        shared_images: images that the published set itself has in two splits: how many two classes, in
            the order of their names, have in common.
        options: what ``data.options`` of this source may be, by name: values, the default first, or the
            default and the largest of a whole number.
    """

    summary: str
    licence: str
    download_bytes: int = 0
    n_classes: dict[str, int] = field(default_factory=dict)
    images_a_class: int | None = None
    shared_images: dict[tuple[str, str], int] = field(default_factory=dict)
    options: dict[str, tuple[str, ...] | WholeNumber] = field(default_factory=dict)


@dataclass(frozen=True)
class DataRequest:
    """What a user asks of a source.

    Attributes:
        cache_dir: where to build the store (and to keep downloads).
        root: existing data of the user, if any.
        image_size: height and width in pixels.
        channels: 1 (grey) or 3 (colour; grey images are repeated).
        options: choices that only this source has (``SourceInfo.options``).
    """

    cache_dir: Path
    root: Path | None = None
    image_size: int = 28
    channels: int = 1
    options: Mapping[str, str] = field(default_factory=dict)


def prepare_source(name: str, request: DataRequest) -> ClassStore:
    """Builds or opens the store of data set ``name``: a key of ``SOURCES`` or a dotted path.

    Raises:
        UserError: there is no such source, or it has no such option.
    """
    module_name, _, function = SOURCES.get(name, name).rpartition(".")
    try:
        module = importlib.import_module(module_name)
        prepare = getattr(module, function)
    except (ImportError, AttributeError, ValueError) as error:
        if name in SOURCES:
            raise
        raise UserError(
            f"data.source={name!r} is unknown: choose one of {', '.join(SOURCES)}, or the dotted "
            "path of a function that takes a DataRequest and returns a ClassStore"
        ) from error
    if isinstance(info := getattr(module, "INFO", None), SourceInfo):
        request = replace(request, options=checked_options(name, info, request.options))
    store: ClassStore = prepare(request)
    return store


def checked_options(name: str, info: SourceInfo, options: Mapping[str, str]) -> dict[str, str]:
    """Returns a value for every option of a source."""
    options = {name: _as_text(value) for name, value in options.items()}
    for option, value in options.items():
        if option not in info.options:
            known = ", ".join(info.options) or "none"
            raise UserError(
                f"data.options.{option}={value} is no option of {name}, which has: {known}"
            )
        _check(name, option, value, info.options[option])
    return {option: str(options.get(option, kind[0])) for option, kind in info.options.items()}


def _as_text(value: object) -> str:
    """Returns an option as YAML writes it.

    >>> _as_text(True), _as_text("False"), _as_text(5), _as_text("lake")
    ('true', 'false', '5', 'lake')
    """
    return {"True": "true", "False": "false"}.get(str(value), str(value))


def _check(name: str, option: str, value: str, kind: tuple[str, ...] | WholeNumber) -> None:
    """Refuses a value that the option of source ``name`` cannot have."""
    if isinstance(kind, WholeNumber):
        fits = value.isdecimal() and 1 <= int(value) <= kind.largest
        allowed = f"give a whole number from 1 to {kind.largest}"
    else:
        fits, allowed = value in kind, f"choose {' or '.join(kind)}"
    if not fits:
        raise UserError(f"data.options.{option}={value} is unknown to {name}: {allowed}")
