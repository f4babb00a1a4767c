"""Data: from images to few-shot episodes."""

from metanas_pl.data.datamodule import EpisodeDataModule
from metanas_pl.data.episodes import Episode, EpisodeDataset
from metanas_pl.data.store import ClassStore

__all__ = ["ClassStore", "Episode", "EpisodeDataModule", "EpisodeDataset"]
