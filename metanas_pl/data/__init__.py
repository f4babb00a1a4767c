"""Few-shot data: class stores, episodes and the data module that serves them.

The public names load on first use: what needs no torch must not wait for it.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from metanas_pl.data.datamodule import EpisodeDataModule
    from metanas_pl.data.episodes import Episode, EpisodeDataset
    from metanas_pl.data.store import ClassStore

_HOMES = {
    "ClassStore": "store",
    "Episode": "episodes",
    "EpisodeDataModule": "datamodule",
    "EpisodeDataset": "episodes",
}
__all__ = ["ClassStore", "Episode", "EpisodeDataModule", "EpisodeDataset"]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
