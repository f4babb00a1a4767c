"""Few-shot data: class stores, episodes and the data module that serves them."""

from __future__ import annotations

from metanas_pl.data.datamodule import EpisodeDataModule
from metanas_pl.data.episodes import Episode, EpisodeDataset
from metanas_pl.data.store import ClassStore

__all__ = ["ClassStore", "Episode", "EpisodeDataModule", "EpisodeDataset"]
