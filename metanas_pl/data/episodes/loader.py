"""A loader of episodes that a checkpoint can resume in the middle of an epoch."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from math import ceil

import torch
from torch.utils.data import DataLoader

from metanas_pl.data.episodes.dataset import EpisodeBatch, EpisodeDataset, EpisodeSampler, collate
from metanas_pl.data.episodes.mixture import MixtureDataset
from metanas_pl.errors import UserError
from metanas_pl.utils.lightning_private import WithWorkers


class EpisodeLoader(WithWorkers):
    """Batches of episodes for one rank, with the state that Lightning saves and restores.

    The state counts the tasks handed out on all ranks together, not what workers have prefetched,
    so a checkpoint continues with the next task for any number of workers. Iteration starts the
    workers at the first ``next``: Lightning asks for the iterator before it sets the epoch.

    Args:
        dataset: the episodes.
        batch_size: tasks a batch on this rank.
        rank: this process.
        world_size: number of processes.
        num_workers: loader processes; they stay alive between epochs.

    Attributes:
        batch_sampler: its ``sampler`` holds the epoch; Lightning looks for ``set_epoch`` there.
        waited: seconds that this process has waited for episodes, or drawn them itself.
    """

    def __init__(
        self,
        dataset: EpisodeDataset | MixtureDataset,
        batch_size: int,
        rank: int = 0,
        world_size: int = 1,
        num_workers: int = 0,
    ) -> None:
        self.dataset = dataset
        self.batch_size = batch_size
        self._sampler = EpisodeSampler(len(dataset), rank, world_size)
        self._position = (0, 0)
        self.waited = 0.0
        # A generator of its own: otherwise every epoch takes a number from the global one.
        self.torch_loader: DataLoader[EpisodeBatch] = DataLoader(
            dataset,
            batch_size=batch_size,
            sampler=self._sampler,
            collate_fn=collate,
            num_workers=num_workers,
            persistent_workers=num_workers > 0,
            pin_memory=torch.cuda.is_available(),
            generator=torch.Generator(),
        )
        self.batch_sampler = self.torch_loader.batch_sampler

    def __len__(self) -> int:
        """Returns the number of batches of this rank in a whole epoch."""
        return ceil(len(self._sampler) / self.batch_size)

    def __iter__(self) -> Iterator[EpisodeBatch]:
        epoch, done = self._sampler.epoch, self._sampler.start
        self._position = (epoch, done)
        for batch in self._timed(self.torch_loader):
            done += self.batch_size * self._sampler.world_size
            self._position = (epoch, done)
            yield batch

    def _timed(self, batches: Iterable[EpisodeBatch]) -> Iterator[EpisodeBatch]:
        iterator = iter(batches)
        while True:
            begin = time.perf_counter()
            batch = next(iterator, None)
            self.waited += time.perf_counter() - begin
            if batch is None:
                return
            yield batch

    def state_dict(self) -> dict[str, int]:
        """``epoch`` and ``tasks``, the tasks of this epoch done on all ranks together."""
        epoch, tasks = self._position
        return {"epoch": epoch, "tasks": min(tasks, len(self.dataset))}

    def load_state_dict(self, state: dict[str, int]) -> None:
        """Continues after ``state``; the end of an epoch is the beginning of the next.

        Raises:
            UserError: it is no such state.
        """
        tells = isinstance(state, dict) and {"epoch", "tasks"} <= set(state)
        if not tells or any(type(n) is not int or n < 0 for n in state.values()):
            raise UserError("the checkpoint is damaged: it does not say which episodes come next")
        epoch, tasks = state["epoch"], state["tasks"]
        if tasks >= len(self.dataset):
            epoch, tasks = epoch + 1, 0
        self._sampler.epoch, self._sampler.start = epoch, tasks
        self._position = (epoch, tasks)
