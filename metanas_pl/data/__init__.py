"""Few-shot data: class stores, episodes and the data module that serves them.

The public names load on first use: what needs no torch must not wait for it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from metanas_pl.utils.lazy import lazy_names

if TYPE_CHECKING:
    from metanas_pl.data.datamodule import EpisodeDataModule
    from metanas_pl.data.episodes.dataset import Episode, EpisodeDataset
    from metanas_pl.data.store.class_store import ClassStore

_HOMES = {
    "ClassStore": "store.class_store",
    "Episode": "episodes.dataset",
    "EpisodeDataModule": "datamodule",
    "EpisodeDataset": "episodes.dataset",
}
__all__ = ["ClassStore", "Episode", "EpisodeDataModule", "EpisodeDataset"]
__getattr__ = lazy_names(__name__, {k: f"{__name__}.{home}" for k, home in _HOMES.items()})
