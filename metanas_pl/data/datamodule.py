"""EpisodeDataModule: a source of images becomes loaders of few-shot episodes."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch

from metanas_pl.data.episodes import (
    EpisodeDataset,
    EpisodeLoader,
    EpisodeSampler,
    FixedEpisodeSampler,
)
from metanas_pl.data.sources import open_source
from metanas_pl.data.store import ClassStore


def default_cache() -> Path:
    """Where stores are kept: ``METANAS_DATA``, or the user's cache folder."""
    import platformdirs

    return Path(os.environ.get("METANAS_DATA") or platformdirs.user_cache_dir("metanas_pl"))


class EpisodeDataModule(pl.LightningDataModule):
    """Episodes of N ways and S shots from one data set.

    Args:
        source: ``glyphs``, ``omniglot``, ``folder``, or the dotted path of a source function.
        root: where the source finds existing files.
        cache_dir: where its store is kept (default: ``METANAS_DATA`` or the user's cache folder).
        n_ways, n_shots, n_queries: size of validation and test episodes.
        n_train_shots, n_train_queries: images of a class in training episodes; None as in tests.
        meta_batch_size: tasks of an outer step, over all processes.
        n_train_episodes: episodes between two validations.
        n_val_episodes, n_test_episodes: length of the fixed lists.
        eval_batch_size: episodes that are evaluated at once, per process.
        num_workers: loader processes; 0 loads in the training process.
        seed: seed of all episodes.
        image_size, channels: shape of the images.
        rotations: rotated training classes are new classes.
        omniglot_split: ``lake`` or ``vinyals``.

    >>> data = EpisodeDataModule(source="glyphs", n_ways=5, n_shots=1)
    >>> data.n_tasks_per_step
    10
    """

    def __init__(
        self,
        source: str = "glyphs",
        root: str | None = None,
        cache_dir: str | None = None,
        n_ways: int = 5,
        n_shots: int = 1,
        n_queries: int = 15,
        n_train_shots: int | None = None,
        n_train_queries: int | None = None,
        meta_batch_size: int = 10,
        n_train_episodes: int = 1000,
        n_val_episodes: int = 100,
        n_test_episodes: int = 300,
        eval_batch_size: int = 10,
        num_workers: int = 0,
        seed: int = 0,
        image_size: int = 28,
        channels: int = 1,
        rotations: bool = False,
        omniglot_split: str = "lake",
    ) -> None:
        super().__init__()
        self.save_hyperparameters()
        self.store: ClassStore | None = None

    @property
    def n_tasks_per_step(self) -> int:
        """Tasks of an outer step, over all processes."""
        return self.hparams["meta_batch_size"]

    def prepare_data(self) -> None:
        """Build the store if it is not there (Lightning calls this in one process of a node)."""
        self._open()

    def setup(self, stage: str | None = None) -> None:
        """Open the store."""
        self.store = self._open()

    def _open(self) -> ClassStore:
        h = self.hparams
        cache = Path(h["cache_dir"]).expanduser() if h["cache_dir"] else default_cache()
        options = {k: h[k] for k in ("image_size", "channels", "omniglot_split")}
        return open_source(h["source"], h["root"], cache, options)

    def dataset(self, split: str) -> EpisodeDataset:
        """The episodes of ``train``, ``val`` or ``test``."""
        h = self.hparams
        if self.store is None:
            self.setup()
        assert self.store is not None
        train = split == "train"
        shots = h["n_train_shots"] if train else None
        queries = h["n_train_queries"] if train else None
        return EpisodeDataset(
            self.store,
            split,
            h["n_ways"],
            shots or h["n_shots"],
            queries or h["n_queries"],
            h[f"n_{split}_episodes"],
            h["seed"],
            rotations=train and h["rotations"],
        )

    def train_dataloader(self) -> EpisodeLoader:
        """Meta-batches of training episodes, this process's share of each."""
        _, world_size = self._place()
        tasks = self.n_tasks_per_step
        if tasks % world_size:
            raise ValueError(
                f"data.meta_batch_size={tasks} tasks cannot be shared evenly by the {world_size} "
                f"processes of trainer.devices: choose a multiple of {world_size}"
            )
        return self._loader("train", tasks // world_size)

    def val_dataloader(self) -> EpisodeLoader:
        """The fixed validation episodes."""
        return self._loader("val", self.hparams["eval_batch_size"])

    def test_dataloader(self) -> EpisodeLoader:
        """The fixed test episodes."""
        return self._loader("test", self.hparams["eval_batch_size"])

    def _place(self) -> tuple[int, int]:
        trainer: Any = self.trainer
        return (0, 1) if trainer is None else (trainer.global_rank, trainer.world_size)

    def _loader(self, split: str, batch_size: int) -> EpisodeLoader:
        dataset, workers = self.dataset(split), self.hparams["num_workers"]
        kind = EpisodeSampler if split == "train" else FixedEpisodeSampler
        return EpisodeLoader(
            dataset,
            kind(len(dataset), *self._place()),
            batch_size=batch_size,
            drop_last=split == "train",
            num_workers=workers,
            persistent_workers=workers > 0,
            pin_memory=torch.cuda.is_available(),
        )
