"""Sources: each turns files, fonts or a download into a ClassStore.

A source is ``source(root, cache, options) -> ClassStore``. To add one, write a file with such a function
here and list it below, or name a function of your own package by its dotted path in ``data.source``.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from metanas_pl.data.store import ClassStore

SOURCES = {
    "folder": "metanas_pl.data.sources.folder.folder",
    "glyphs": "metanas_pl.data.sources.glyphs.glyphs",
    "omniglot": "metanas_pl.data.sources.omniglot.omniglot",
}


def open_source(
    name: str, root: str | None, cache: Path, options: Mapping[str, Any]
) -> ClassStore:
    """The store of the source called ``name``, built under ``cache`` if it is not there.

    Raises:
        ValueError: no such source, or the source cannot be built.
    """
    path = SOURCES.get(name, name)
    module, _, function = path.rpartition(".")
    if not module:
        known = ", ".join(SOURCES)
        raise ValueError(f"data.source={name} is unknown: choose one of {known}, or a dotted path")
    try:
        source = getattr(importlib.import_module(module), function)
    except (ImportError, AttributeError) as error:
        raise ValueError(f"data.source={name} cannot be imported: {error}") from None
    return source(root, cache, options)
