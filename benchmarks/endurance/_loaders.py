"""Every loader of the project, each with files that it reads and a way to damage them.

A loader is ``prepare(folder) -> attempt``: files are made in ``folder`` once, and each
``attempt(rng)`` damages one of them and reads it as the project does.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from benchmarks.endurance import _checkpoint_loaders as checkpoints
from benchmarks.endurance import _data_loaders as data
from benchmarks.endurance import _run_loaders as of_runs
from benchmarks.endurance._checkpoint_loaders import Attempt

__all__ = ["LOADERS", "Attempt"]

LOADERS: dict[str, tuple[Callable[[Path], Attempt], int]] = {
    "checkpoint_bytes": (checkpoints.checkpoint_bytes, 1000),
    "checkpoint_pickle": (checkpoints.checkpoint_pickle, 1000),
    "checkpoint_values": (checkpoints.checkpoint_values, 300),
    "resumption": (checkpoints.resumption, 60),
    "official_checkpoints": (checkpoints.official_checkpoints, 1000),
    "genotypes": (data.genotypes, 2000),
    "stores": (data.stores, 1500),
    "sources": (data.sources, 240),
    "archives": (data.archives, 1000),
    "image_files": (data.image_files, 1000),
    "pickles": (data.pickles, 1000),
    "run_folders": (of_runs.run_folders, 700),
    "overrides": (of_runs.overrides, 200),
}
"""The loaders, and how many cases each gets: 11,000 in all."""
