"""The data module: from the name of a data set to batches of episodes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

import pytorch_lightning as pl
import torch
from torch import Tensor

from metanas_pl.data.datasets import DataRequest, prepare_source
from metanas_pl.data.episodes.augment import Augmentation, augment
from metanas_pl.data.episodes.dataset import Episode, EpisodeBatch, EpisodeDataset, collate
from metanas_pl.data.episodes.loader import EpisodeLoader
from metanas_pl.data.episodes.mixture import MixtureDataset
from metanas_pl.data.store.cache_folder import default_cache_dir, expanded
from metanas_pl.data.store.class_store import SPLITS, ClassStore
from metanas_pl.data.store.identity import Identity, check_same, checked, identity
from metanas_pl.errors import UserError
from metanas_pl.utils.ranges import Range

if TYPE_CHECKING:
    from metanas_pl.types import Settings


class EpisodeDataModule(pl.LightningDataModule):
    """Training, validation and test episodes of one data set, or of several mixed.

    Training draws new episodes in every epoch; validation and test are fixed lists, the same for
    any number of ranks and workers. Works without a Trainer, too: call ``prepare_data`` and
    ``setup``, then a loader.

    Args:
        source: a data set (see ``data.sources``), or the dotted path of a function
            ``(DataRequest) -> ClassStore``; a list of them mixes their episodes, in every split.
        weights: how often each source of a list gives an episode; None takes all alike.
        root: existing data for the source, a folder or an archive; None downloads it. A list has one entry
            for each source.
        cache_dir: where stores are built; None takes ``$METANAS_DATA`` or the user's cache.
        n_ways: classes an episode; as a range ``[least, largest]`` it is drawn for each episode.
        n_shots: support images per class, a number or a range.
        n_queries: query images per class.
        n_train_ways: classes an episode in meta-training; None takes ``n_ways``.
        n_train_shots: support images per class in meta-training; None takes ``n_shots``.
        n_train_queries: query images per class in meta-training; None takes ``n_queries``.
        meta_batch_size: tasks a training batch, over all ranks; an outer step takes one, or as many as the
            Trainer accumulates.
        n_train_episodes: tasks per epoch, a multiple of ``meta_batch_size``.
        n_val_episodes: validation tasks.
        n_test_episodes: test tasks.
        eval_batch_size: tasks a validation or test batch on each rank.
        num_workers: loader processes a rank.
        seed: which training episodes are drawn.
        eval_seed: which validation and test episodes are drawn: the same for every ``seed``.
        image_size: height and width in pixels.
        channels: 1 (grey) or 3 (colour).
        rotations: turned train classes are further classes.
        sampling: ``uniform``, or ``group``: all classes of an episode are of one group.
        shots_per: a range of shots is drawn for each ``episode``, or each ``class``.
        small_classes: ``refuse`` classes with too few images, or ``shrink`` their part of an episode.
        augment: settings of the augmentation (see :class:`~metanas_pl.data.episodes.augment.Augmentation`);
            None leaves images as they are.
        options: choices that only this source has, as ``{"split": "vinyals"}`` of Omniglot.

    Attributes:
        trained_on: stores that a network was trained on, from its checkpoint; others are refused. If it
            was one, images are normalised by its constants, for the network expects them.
        other_data: take other stores than those of ``trained_on``.

    Raises:
        UserError: the numbers do not fit each other, the data set, or the number of ranks; or the
            data is not that of the training.
    """

    def __init__(
        self,
        source: str | Sequence[str] = "glyphs",
        root: str | None | Sequence[str | None] = None,
        cache_dir: str | None = None,
        n_ways: Range = 5,
        n_shots: Range = 1,
        n_queries: int = 15,
        n_train_ways: Range | None = None,
        n_train_shots: Range | None = None,
        n_train_queries: int | None = None,
        meta_batch_size: int = 10,
        n_train_episodes: int = 1000,
        n_val_episodes: int = 100,
        n_test_episodes: int = 300,
        eval_batch_size: int = 10,
        num_workers: int = 0,
        seed: int = 0,
        eval_seed: int = 0,
        image_size: int = 28,
        channels: int = 1,
        rotations: bool = False,
        weights: Sequence[float] | None = None,
        sampling: str = "uniform",
        shots_per: str = "episode",
        small_classes: str = "refuse",
        augment: Settings | None = None,
        options: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__()
        self.save_hyperparameters(logger=False)  # so that a checkpoint knows its episodes
        if n_train_episodes % meta_batch_size:
            raise UserError(
                f"data.n_train_episodes={n_train_episodes} must be a multiple of "
                f"data.meta_batch_size={meta_batch_size}"
            )
        self.seed, self.eval_seed = seed, eval_seed
        self.augment = Augmentation.of(augment or {})
        self.sources = [source] if isinstance(source, str) else list(source)
        self.weights = weights
        folder = expanded(cache_dir, "data.cache_dir") if cache_dir else default_cache_dir()
        request = DataRequest(folder, None, image_size, channels, dict(options or {}))
        self.requests = _one_each(request, root, len(self.sources))
        unseen = partial(
            EpisodeDataset,
            n_ways=n_ways,
            n_shots=n_shots,
            n_queries=n_queries,
            seed=eval_seed,
            rotations=rotations,
            sampling=sampling,
            shots_per=shots_per,
            small_classes=small_classes,
        )
        seen = partial(
            unseen,
            n_ways=n_ways if n_train_ways is None else n_train_ways,
            n_shots=n_shots if n_train_shots is None else n_train_shots,
            n_queries=n_queries if n_train_queries is None else n_train_queries,
            seed=seed,
        )
        self._episodes_of = {
            "train": partial(seen, n_episodes=n_train_episodes),
            "val": partial(unseen, n_episodes=n_val_episodes),
            "test": partial(unseen, n_episodes=n_test_episodes),
        }
        self.meta_batch_size, self.n_train_episodes = meta_batch_size, n_train_episodes
        self.eval_batch_size = eval_batch_size
        self.num_workers = num_workers
        self.trained_on: list[Identity] = []
        self.other_data = False
        self._identities: list[Identity] = []
        self._datasets: dict[str, EpisodeDataset | MixtureDataset] = {}
        self._groups_of: dict[str, list[str]] = {}

    @property
    def n_tasks_per_step(self) -> int:
        """Tasks of one outer step, over all ranks and accumulated batches."""
        batches = self.trainer.accumulate_grad_batches if self.trainer else 1
        return self.meta_batch_size * batches

    def prepare_data(self) -> None:
        """Builds the stores, once; Lightning calls this on one process of a node."""
        self._open()

    def setup(self, stage: str | None = None) -> None:
        """Opens the stores. All splits are checked at once: a test must not fail after training."""
        if self._datasets:
            return
        stores = self._open()
        self._identities = [identity(store) for store in stores]
        parts = {
            split: [self._episodes_of[split](store, split) for store in stores] for split in SPLITS
        }
        self._follow([part for split in SPLITS for part in parts[split]])
        self._datasets = {
            split: MixtureDataset(of_split, self.weights) if len(stores) > 1 else of_split[0]
            for split, of_split in parts.items()
        }

    def _open(self) -> list[ClassStore]:
        return [prepare_source(*pair) for pair in zip(self.sources, self.requests, strict=True)]

    def _follow(self, parts: Sequence[EpisodeDataset]) -> None:
        """Holds to ``trained_on``: refuses other stores, normalises by the constants of the training."""
        if self.trained_on and not self.other_data:
            check_same(
                self.trained_on,
                self._identities,
                "to test on it all the same, set evaluation.other_data=true",
            )
        if len(self.trained_on) == 1:
            for part in parts:
                part.constants = self.trained_on[0]["mean"], self.trained_on[0]["std"]

    def state_dict(self) -> dict[str, list[Identity]]:
        """``stores``: which data this is, for the checkpoint."""
        return {"stores": self._identities}

    def load_state_dict(self, state: dict[str, list[Identity]]) -> None:
        """Refuses to resume with other data than that of the checkpoint."""
        remedy = "resume with the same data, or start a new run"
        check_same(checked(state), self._identities, remedy)

    @property
    def store(self) -> ClassStore:
        """The images behind the episodes, of the first source; call ``setup`` first."""
        dataset = self.dataset("train")
        return (dataset.parts[0] if isinstance(dataset, MixtureDataset) else dataset).store

    def dataset(self, split: str) -> EpisodeDataset | MixtureDataset:
        """Returns the episodes of ``split``, before they are shared out to ranks and batches."""
        if not self._datasets:
            raise RuntimeError("call setup() before asking for data")
        return self._datasets[split]

    def train_dataloader(self) -> EpisodeLoader:
        """Returns batches of ``meta_batch_size / world_size`` training tasks; resumable in mid-epoch."""
        _, world_size = self._rank_and_world_size()
        if self.meta_batch_size % world_size:
            raise UserError(
                f"data.meta_batch_size={self.meta_batch_size} cannot be shared evenly by "
                f"{world_size} processes (trainer.devices): choose a multiple of {world_size}"
            )
        if self.n_train_episodes % self.n_tasks_per_step:
            raise UserError(
                f"data.n_train_episodes={self.n_train_episodes} must be a multiple of "
                f"data.meta_batch_size times trainer.accumulate_grad_batches={self.n_tasks_per_step}"
            )
        return self._loader("train", self.meta_batch_size // world_size)

    def val_dataloader(self) -> EpisodeLoader:
        """Returns batches of ``eval_batch_size`` validation tasks."""
        return self._loader("val", self.eval_batch_size)

    def test_dataloader(self) -> EpisodeLoader:
        """Returns batches of ``eval_batch_size`` test tasks."""
        return self._loader("test", self.eval_batch_size)

    def on_after_batch_transfer(self, batch: EpisodeBatch, dataloader_idx: int) -> EpisodeBatch:
        """Augments episodes, on the device."""
        if self.trainer is None:
            return batch
        stage = "train" if self.trainer.training else "test" if self.trainer.testing else "val"
        return self._augmented(batch, stage)

    def batch_of(self, split: str, index: int) -> EpisodeBatch:
        """Returns one episode as the network sees it; those of training are counted through all epochs.

        Raises:
            UserError: the split has no such episode.
        """
        dataset = self.dataset(split)
        if split != "train" and index >= len(dataset):
            raise UserError(f"episode={index}: {split} has episodes 0 to {len(dataset) - 1}")
        return self._augmented(collate([dataset[divmod(index, len(dataset))]]), split)

    def partners(
        self, split: str, index: Sequence[int], same_group: bool
    ) -> tuple[EpisodeBatch, list[bool]]:
        """Returns for each episode the next one of the same group, or of another.

        The group of an episode is that of its classes, if they have one in common.

        Args:
            split: ``val`` or ``test``.
            index: numbers of the episodes.
            same_group: of the same group, else of another.

        Returns:
            The episodes as a batch, and which of them are such partners; the others stand for themselves.
        """
        dataset, groups = self.dataset(split), self._groups(split)
        chosen = []
        for i in index:
            later = ((i + step) % len(groups) for step in range(1, len(groups)))
            fitting = (j for j in later if groups[j] and (groups[j] == groups[i]) == same_group)
            chosen.append(next(fitting, i))
        batch = self._augmented(collate([dataset[j] for j in chosen]), split)
        return batch, [j != i for i, j in zip(index, chosen, strict=True)]

    def _groups(self, split: str) -> list[str]:
        """Returns the group of every episode of a split; empty where its classes are of several."""
        if split not in self._groups_of:
            dataset = self.dataset(split)
            self._groups_of[split] = [dataset.group_of(i) for i in range(len(dataset))]
        return self._groups_of[split]

    def _augmented(self, batch: EpisodeBatch, split: str) -> EpisodeBatch:
        if not self.augment.changes or not (split == "train" or self.augment.at_test):
            return batch
        seed = self.seed if split == "train" else self.eval_seed
        return augment(batch, seed, self.augment, *self._constants(batch, split))

    def _constants(self, batch: Episode, split: str) -> tuple[Tensor, Tensor]:
        """Returns what normalised the images of each task, ``(T, C), (T, C)``; 0 and 1 if nothing did."""
        dataset, channels = self.dataset(split), batch.support_x.shape[2]
        constants = [dataset.constants_of(index) for index in batch.index.tolist()]
        mean = torch.tensor([mean or [0.0] * channels for mean, _ in constants])
        std = torch.tensor([std or [1.0] * channels for _, std in constants])
        return mean.to(batch.support_x), std.to(batch.support_x)

    def _loader(self, split: str, batch_size: int) -> EpisodeLoader:
        rank, world_size = self._rank_and_world_size()
        if len(self.dataset(split)) < world_size:  # Lightning would wait for the idle ones for ever
            raise UserError(
                f"data.n_{split}_episodes={len(self.dataset(split))} leaves some of {world_size} "
                f"processes without an episode: take at least {world_size}"
            )
        return EpisodeLoader(self.dataset(split), batch_size, rank, world_size, self.num_workers)

    def _rank_and_world_size(self) -> tuple[int, int]:
        return (self.trainer.global_rank, self.trainer.world_size) if self.trainer else (0, 1)


def _one_each(
    request: DataRequest, root: str | None | Sequence[str | None], n: int
) -> list[DataRequest]:
    """Returns the request to each of ``n`` sources, with a root of its own; one for all is repeated."""
    roots = [root] * n if root is None or isinstance(root, str) else list(root)
    if len(roots) != n:
        raise UserError(f"data.root={roots}: give one for each of the {n} data sets of data.source")
    return [replace(request, root=expanded(path, "data.root") if path else None) for path in roots]
