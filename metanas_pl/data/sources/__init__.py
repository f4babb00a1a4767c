"""Where data sets come from: one file each, with one function ``(DataRequest) -> ClassStore``.

To add a data set, write such a function that ends in :func:`~metanas_pl.data.store.build_store`,
and name it below, or give its dotted path as ``data.source``.
"""

from __future__ import annotations

import importlib
from dataclasses import dataclass, field
from pathlib import Path

from metanas_pl.data.store import ClassStore

SOURCES = {
    "folder": "metanas_pl.data.sources.folder.prepare",
    "glyphs": "metanas_pl.data.sources.glyphs.prepare",
    "omniglot": "metanas_pl.data.sources.omniglot.prepare",
}


@dataclass(frozen=True)
class SourceInfo:
    """What a user wants to know of a data set before it is there; ``INFO`` of a source's module.

    Attributes:
        summary: content in one line.
        licence: terms of use in a few words.
        download_bytes: size of the download; 0 if there is none.
        n_classes: classes of each split, if they are known beforehand.
    """

    summary: str
    licence: str
    download_bytes: int = 0
    n_classes: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class DataRequest:
    """What a user asks of a source.

    Attributes:
        cache_dir: where to build the store (and to keep downloads).
        root: existing data of the user, if any.
        image_size: height and width in pixels.
        channels: 1 (grey) or 3 (colour; grey images are repeated).
        omniglot_split: ``lake`` or ``vinyals``; other sources pass over it.
    """

    cache_dir: Path
    root: Path | None = None
    image_size: int = 28
    channels: int = 1
    omniglot_split: str = "lake"


def prepare_source(name: str, request: DataRequest) -> ClassStore:
    """Build or open the store of data set ``name``: a key of ``SOURCES`` or a dotted path."""
    module_name, _, function = SOURCES.get(name, name).rpartition(".")
    try:
        prepare = getattr(importlib.import_module(module_name), function)
    except (ImportError, AttributeError, ValueError) as error:
        if name in SOURCES:
            raise
        raise ValueError(
            f"data.source={name!r} is unknown: choose one of {', '.join(SOURCES)}, or the dotted "
            "path of a function that takes a DataRequest and returns a ClassStore"
        ) from error
    store: ClassStore = prepare(request)
    return store
