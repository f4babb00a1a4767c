"""The processes of a run: which is the first, and which is gone where others cannot reach it any more."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeVar

from metanas_pl.errors import RunFailed

if TYPE_CHECKING:
    import pytorch_lightning as pl

Item = TypeVar("Item")

PATIENCE_S = 3.0
"""For how long a process that closed its connections may still be on its way out."""

RANKS = ("RANK", "LOCAL_RANK", "NODE_RANK", "GROUP_RANK", "SLURM_PROCID")
"""Environment variables that number the processes of a run."""


def is_first_process() -> bool:
    """Returns whether this is rank 0, by the environment that Lightning, torchrun or srun set."""
    return all(int(os.environ.get(name) or 0) == 0 for name in RANKS)


@contextmanager
def naming_lost_ranks(trainer: pl.Trainer) -> Iterator[None]:
    """Ends with one line that names the rank which died, where a rank waits for it in vain.

    Lightning's launcher knows how its processes ended, and they know whether it lives; torchrun and srun
    report a dead process themselves, and end the others.

    Raises:
        RunFailed: the connection to another rank is lost.
    """
    parent = os.getppid()
    try:
        yield
    except RuntimeError as error:
        if not _lost_a_connection(error):
            raise
        reason = " ".join(str(error).split())[:160]
        who = _who(trainer, parent) or f"another rank cannot be reached ({reason})"
        raise RunFailed(
            f"rank {trainer.global_rank} ends: {who}; resume with resume=auto"
        ) from error


@contextmanager
def closing_connections() -> Iterator[None]:
    """Closes the connections between ranks at the end of the block.

    A process that keeps them until its interpreter ends is now and then aborted by their threads, after
    everything was done (https://github.com/pytorch/pytorch/issues/190489). Lightning closes those of NCCL.
    """
    import torch

    try:
        yield
    finally:
        if torch.distributed.is_available() and torch.distributed.is_initialized():
            torch.distributed.destroy_process_group()


def of_all_ranks(items: list[Item]) -> list[Item]:
    """Returns the items of all processes, rank after rank."""
    import torch

    if not (torch.distributed.is_available() and torch.distributed.is_initialized()):
        return items
    parts: list[list[Item]] = [[] for _ in range(torch.distributed.get_world_size())]
    torch.distributed.all_gather_object(parts, items)
    return [item for part in parts for item in part]


def _lost_a_connection(error: RuntimeError) -> bool:
    import torch

    return isinstance(error, torch.distributed.DistError) or "gloo" in str(error)


def _who(trainer: pl.Trainer, parent: int) -> str | None:
    """Returns the rank that is gone and how it ended, if that can be known here."""
    from metanas_pl.utils.lightning_private import launched_processes  # loads Lightning

    children = launched_processes(trainer)
    end = time.monotonic() + PATIENCE_S
    while time.monotonic() < end:
        for rank, process in enumerate(children, trainer.global_rank + 1):
            if process.poll():
                return f"rank {rank} ended {_manner(process.returncode)}"
        if trainer.local_rank > 0 and os.getppid() != parent:
            return f"rank {trainer.global_rank - trainer.local_rank} is gone"
        time.sleep(0.05)
    return None


def _manner(code: int) -> str:
    """Returns in words how a process ended, by its return code.

    >>> _manner(-9), _manner(2)
    ('by SIGKILL', 'with code 2')
    """
    return f"by {signal.Signals(-code).name}" if code < 0 else f"with code {code}"
