"""D: episodes out of the store, against decoding an image file for every sample."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from benchmarks.timing import compare
from metanas_pl.data.episodes.dataset import EpisodeDataset
from metanas_pl.data.store.class_store import ClassImages, StoreMeta, build_store

META = StoreMeta(name="noise", source="made up", licence="none", ink_is_one=True)


class Work(NamedTuple):
    """Classes of the data set, images of each, ways, shots, queries, episodes of a round.

    Files have ``file_side`` pixels a side, as those of Omniglot; episodes ``side``.
    """

    n_classes: int = 100
    n_images: int = 20
    n_ways: int = 20
    n_shots: int = 5
    n_queries: int = 5
    episodes: int = 10
    file_side: int = 105
    side: int = 28


class Sides:
    """The same noise as PNG files and as a store, both in ``folder``."""

    def __init__(self, work: Work, folder: Path) -> None:
        self.work, self.folder = work, folder
        self.rng = np.random.default_rng(0)
        store = build_store(folder / "store", self._classes(), META)
        sizes = work.n_ways, work.n_shots, work.n_queries
        self.dataset = EpisodeDataset(store, "train", *sizes, work.episodes, seed=0, rotations=True)

    def _classes(self) -> Iterator[ClassImages]:
        """Write the files of each class; its images in the store are the decoded files."""
        work = self.work
        for split in ("train", "val", "test"):
            for k in range(work.n_classes if split == "train" else work.n_ways):
                images = []
                for j in range(work.n_images):
                    ink = self.rng.random((work.file_side, work.file_side)) < 0.1
                    path = self.folder / f"{split}_{k}_{j}.png"
                    Image.fromarray(ink).save(path)
                    images.append(decoded(path, 0, work.side))
                yield ClassImages(f"{split}{k}", "noise", split, np.stack(images)[:, None])

    def ours(self) -> list[Any]:
        """Episodes of the framework."""
        return [self.dataset[i] for i in range(self.work.episodes)]

    def decoding(self) -> list[Tensor]:
        """Images of as many episodes, in the way of torchmeta and learn2learn: a file a sample."""
        work, episodes = self.work, []
        for _ in range(work.episodes):
            numbers = self.rng.choice(4 * work.n_classes, work.n_ways, replace=False)
            images = []
            for k, turn in (divmod(int(number), 4) for number in numbers):
                rows = self.rng.choice(work.n_images, work.n_shots + work.n_queries, replace=False)
                for j in rows:
                    pixels = decoded(self.folder / f"train_{k}_{j}.png", turn, work.side)
                    images.append(torch.from_numpy(pixels).float().div(255)[None])
            episodes.append(torch.stack(images))
        return episodes


def decoded(path: Path, turn: int, side: int) -> np.ndarray:
    """A file as grey image, scaled and turned by quarter turns."""
    image = Image.open(path).convert("L").resize((side, side))
    return np.array(image.rotate(90 * turn))


def run(rounds: int) -> dict[str, Any]:
    """The benchmark case."""
    with tempfile.TemporaryDirectory() as folder:
        sides = Sides(Work(), Path(folder))
        found = compare(sides.ours, sides.decoding, rounds).figures()
    return found | {"episodes_a_second": Work().episodes / found["ours_s"]["median"]}
