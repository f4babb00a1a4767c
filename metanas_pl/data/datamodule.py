"""The data module: from the name of a data set to batches of episodes."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import pytorch_lightning as pl

from metanas_pl.data.augment import LIMITS, augment
from metanas_pl.data.cache import default_cache_dir
from metanas_pl.data.episodes import EpisodeDataset
from metanas_pl.data.loader import EpisodeLoader
from metanas_pl.data.sources import DataRequest, prepare_source
from metanas_pl.data.store import SPLITS, ClassStore


class EpisodeDataModule(pl.LightningDataModule):
    """Training, validation and test episodes of one data set.

    Training draws new episodes in every epoch; validation and test are fixed lists, the same for
    any number of ranks and workers. Works without a Trainer, too: call ``prepare_data`` and
    ``setup``, then a loader.

    Args:
        source: a data set (see ``data.sources``), or the dotted path of a function
            ``(DataRequest) -> ClassStore``.
        root: existing data for the source, a folder or an archive; None downloads it.
        cache_dir: where stores are built; None takes ``$METANAS_DATA`` or the user's cache.
        n_ways: classes an episode.
        n_shots: support images a class.
        n_queries: query images a class.
        n_train_shots: support images a class in meta-training; None takes ``n_shots``.
        n_train_queries: query images a class in meta-training; None takes ``n_queries``.
        meta_batch_size: tasks a training step, over all ranks.
        n_train_episodes: tasks an epoch, a multiple of ``meta_batch_size``.
        n_val_episodes: validation tasks.
        n_test_episodes: test tasks.
        eval_batch_size: tasks a validation or test batch on each rank.
        num_workers: loader processes a rank.
        seed: which episodes are drawn.
        image_size: height and width in pixels.
        channels: 1 (grey) or 3 (colour).
        rotations: turned train classes are further classes.
        augment: limits of the augmentation of training images (see ``data.augment``);
            None leaves them as they are.
        options: choices that only this source has, as ``{"split": "vinyals"}`` of Omniglot.

    Raises:
        ValueError: the numbers do not fit each other, the data set, or the number of ranks.
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
        augment: Mapping[str, float] | None = None,
        options: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__()
        self.save_hyperparameters(logger=False)  # so that a checkpoint knows its episodes
        if n_train_episodes % meta_batch_size:
            raise ValueError(
                f"data.n_train_episodes={n_train_episodes} must be a multiple of "
                f"data.meta_batch_size={meta_batch_size}"
            )
        self.seed, self.augment = seed, {k: v for k, v in (augment or {}).items() if v}
        if unknown := set(self.augment) - set(LIMITS):
            raise ValueError(f"augment: {unknown.pop()} is unknown, known are {', '.join(LIMITS)}")
        self.source = source
        self.request = DataRequest(
            cache_dir=Path(cache_dir).expanduser() if cache_dir else default_cache_dir(),
            root=Path(root).expanduser() if root else None,
            image_size=image_size,
            channels=channels,
            options=dict(options or {}),
        )
        seen = partial(
            EpisodeDataset,
            n_ways=n_ways,
            n_shots=n_shots if n_train_shots is None else n_train_shots,
            n_queries=n_queries if n_train_queries is None else n_train_queries,
            seed=seed,
            rotations=rotations,
        )
        unseen = partial(seen, n_shots=n_shots, n_queries=n_queries)
        self._episodes_of = {
            "train": partial(seen, n_episodes=n_train_episodes),
            "val": partial(unseen, n_episodes=n_val_episodes),
            "test": partial(unseen, n_episodes=n_test_episodes),
        }
        self.meta_batch_size = meta_batch_size
        self.eval_batch_size = eval_batch_size
        self.num_workers = num_workers
        self._datasets: dict[str, EpisodeDataset] = {}

    @property
    def n_tasks_per_step(self) -> int:
        """Tasks of one outer step, over all ranks."""
        return self.meta_batch_size

    def prepare_data(self) -> None:
        """Build the store, once; Lightning calls this on one process of a node."""
        prepare_source(self.source, self.request)

    def setup(self, stage: str | None = None) -> None:
        """Open the store. All splits are checked at once: a test must not fail after training."""
        if self._datasets:
            return
        store = prepare_source(self.source, self.request)
        self._datasets = {split: self._episodes_of[split](store, split) for split in SPLITS}

    @property
    def store(self) -> ClassStore:
        """The images behind the episodes; call ``setup`` first."""
        return self.dataset("train").store

    def dataset(self, split: str) -> EpisodeDataset:
        """The episodes of ``split``, before they are shared out to ranks and batches."""
        if not self._datasets:
            raise RuntimeError("call setup() before asking for data")
        return self._datasets[split]

    def train_dataloader(self) -> EpisodeLoader:
        """Batches of ``meta_batch_size / world_size`` training tasks; resumable in mid-epoch."""
        _, world_size = self._rank_and_world_size()
        if self.meta_batch_size % world_size:
            raise ValueError(
                f"data.meta_batch_size={self.meta_batch_size} cannot be shared evenly by "
                f"{world_size} processes (trainer.devices): choose a multiple of {world_size}"
            )
        return self._loader("train", self.meta_batch_size // world_size)

    def val_dataloader(self) -> EpisodeLoader:
        """Batches of ``eval_batch_size`` validation tasks."""
        return self._loader("val", self.eval_batch_size)

    def test_dataloader(self) -> EpisodeLoader:
        """Batches of ``eval_batch_size`` test tasks."""
        return self._loader("test", self.eval_batch_size)

    def on_after_batch_transfer(self, batch: Any, dataloader_idx: int) -> Any:
        """Augment training episodes, on the device."""
        if self.augment and self.trainer is not None and self.trainer.training:
            return augment(batch, self.seed, self.augment)
        return batch

    def _loader(self, split: str, batch_size: int) -> EpisodeLoader:
        rank, world_size = self._rank_and_world_size()
        return EpisodeLoader(self.dataset(split), batch_size, rank, world_size, self.num_workers)

    def _rank_and_world_size(self) -> tuple[int, int]:
        return (self.trainer.global_rank, self.trainer.world_size) if self.trainer else (0, 1)
