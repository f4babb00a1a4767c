"""Episodes out of a store of several gigabytes: how many a second, and what memory, by processes.

    python -m benchmarks.large_store [--classes 2000] [--side 84]

Processes map the same file, so its pages are in memory once: the proportional set size (PSS), which counts
a page that two processes share half in each, tells. Linux alone reports it.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from metanas_pl.data.episodes.dataset import EpisodeDataset
from metanas_pl.data.store.class_store import ClassImages, ClassStore, StoreMeta, build_store

META = StoreMeta(name="noise", source="made up", licence="none")
PROCESSES = (1, 2)


class Work(NamedTuple):
    """Classes, images of each (RGB, ``side`` pixels square), and episodes: 5-way 5-shot, 15 queries."""

    n_classes: int = 2000
    n_images: int = 100
    side: int = 84
    episodes: int = 2000


def classes(work: Work) -> Iterator[ClassImages]:
    """Noise; a class in a hundred each for validation and test."""
    rng = np.random.default_rng(0)
    for k in range(work.n_classes):
        split = {0: "val", 1: "test"}.get(k % 100, "train")
        images = rng.bytes(work.n_images * 3 * work.side**2)
        shape = (work.n_images, 3, work.side, work.side)
        yield ClassImages(f"{k}", "noise", split, np.frombuffer(images, np.uint8).reshape(shape))


def memory_mb() -> dict[str, float]:
    """Resident and proportional set size of this process, and the part of the latter that is files."""
    rows = (line.split() for line in Path("/proc/self/smaps_rollup").read_text().splitlines()[1:])
    kilobytes = {row[0].rstrip(":"): int(row[1]) for row in rows}
    return {name: kilobytes[name] / 1024 for name in ("Rss", "Pss", "Pss_File")}


def draw(path: Path, work: Work, rank: int, world_size: int, barrier: Any, answers: Any) -> None:
    """A process: draw the episodes of its rank; look at the memory while all are there."""
    dataset = EpisodeDataset(ClassStore.open(path), "train", 5, 5, 15, work.episodes, seed=0)
    before = memory_mb()
    barrier.wait()
    begin = time.perf_counter()
    for i in range(rank, work.episodes, world_size):
        dataset[i]
    seconds = time.perf_counter() - begin
    barrier.wait()
    after = memory_mb()
    barrier.wait()
    answers.put({"seconds": seconds, "before_mb": before, "after_mb": after})


def measure(path: Path, work: Work, world_size: int) -> dict[str, Any]:
    """Episodes a second of all processes together, and the memory of each."""
    context = multiprocessing.get_context("spawn")
    barrier, answers = context.Barrier(world_size), context.Queue()
    processes = [
        context.Process(target=draw, args=(path, work, rank, world_size, barrier, answers))
        for rank in range(world_size)
    ]
    for process in processes:
        process.start()
    found = [answers.get() for _ in processes]
    for process in processes:
        process.join()
    slowest = max(each["seconds"] for each in found)
    return {"processes": world_size, "episodes_a_second": work.episodes / slowest, "each": found}


def run(work: Work) -> dict[str, Any]:
    """Build the store in a temporary folder, and measure with one process and with two."""
    with tempfile.TemporaryDirectory() as folder:
        path, begin = Path(folder) / "store", time.perf_counter()
        store = build_store(path, classes(work), META)
        figures = {"gigabytes": store.images.nbytes / 1e9, "build_s": time.perf_counter() - begin}
        return figures | {"runs": [measure(path, work, n) for n in PROCESSES]}


def main() -> None:
    """Print the figures as JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])  # type: ignore[union-attr]
    parser.add_argument("--classes", type=int, default=Work().n_classes)
    parser.add_argument("--side", type=int, default=Work().side)
    args = parser.parse_args()
    print(json.dumps(run(Work(n_classes=args.classes, side=args.side)), indent=1))


if __name__ == "__main__":
    main()
