"""The known table: every network of the tied space, trained alike on few-shot tasks.

    python -m benchmarks.search train [--data glyphs] [--root FOLDER] [--seeds 0 1]

trains the 49 networks of ``space=metanas_tied`` and writes the accuracy of each on fixed validation and
test episodes to ``benchmarks/results/table_<data>.json``. What is there already is not trained again.
Images are the glyphs, or those of a folder of classes, in colour.
"""

from __future__ import annotations

import itertools
import json
import time
import warnings
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import pytorch_lightning as pl
import torch

from metanas_pl import EpisodeDataModule, MetaNASModule
from metanas_pl.config import EvaluationConfig
from metanas_pl.search_spaces.genotypes.genotype import Genotype
from metanas_pl.search_spaces.ops.names import PRIMITIVES

RESULTS = Path(__file__).parents[1] / "results"
SPACE = {"name": "metanas_tied", "channels": 16, "n_cells": 3, "n_nodes": 1, "reductions": [0, 1]}
SPACE |= {"stem_stride": 2, "pair_inputs": False, "tied": True}
EPISODES = {"n_ways": 5, "n_shots": 1, "n_train_queries": 5, "meta_batch_size": 6}
STEPS, TEST_EPISODES = 100, 200
OUTER = {"schedule": "cosine"}

Table = dict[str, Any]


class Images(NamedTuple):
    """A data set by the name that its files of results have.

    Attributes:
        name: of the data set; ``glyphs`` needs no folder.
        root: folder of its classes; None takes the glyphs.
    """

    name: str = "glyphs"
    root: str | None = None

    @property
    def shape(self) -> tuple[int, int, int]:
        """``(C, H, W)`` of an image."""
        return (1, 28, 28) if self.root is None else (3, 32, 32)

    @property
    def source(self) -> dict[str, Any]:
        """Where the images come from; a class of a folder may have no more than nine."""
        channels, size, _ = self.shape
        source = {"source": "glyphs" if self.root is None else "folder", "root": self.root}
        n_queries = {} if self.root is None else {"n_queries": 8}
        return {**source, **n_queries, "image_size": size, "channels": channels}


def episodes_of(images: Images, seed: int, n_val: int = TEST_EPISODES) -> EpisodeDataModule:
    """Returns training, validation and test episodes of a data set; only training depends on the seed."""
    counts = {"n_train_episodes": 6 * STEPS, "n_val_episodes": n_val}
    return EpisodeDataModule(
        **images.source, **EPISODES, **counts, n_test_episodes=TEST_EPISODES, seed=seed
    )


def trainer(steps: int, callbacks: Sequence[pl.Callback] = ()) -> pl.Trainer:
    """Returns a Trainer that does nothing but train, on one CPU core."""
    return pl.Trainer(
        max_steps=steps,
        callbacks=list(callbacks),
        accelerator="cpu",
        devices=1,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        limit_val_batches=0,
        use_distributed_sampler=False,
    )


def train(module: MetaNASModule, episodes: EpisodeDataModule, steps: int = STEPS) -> float:
    """Trains a module; returns the CPU seconds it took."""
    begin = time.process_time()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        trainer(steps).fit(module, episodes)
    return time.process_time() - begin


def accuracy(module: MetaNASModule, episodes: EpisodeDataModule, split: str) -> list[float]:
    """Returns the accuracy on each episode of ``split``."""
    loader = episodes.val_dataloader() if split == "val" else episodes.test_dataloader()
    found = [
        module.learner.outcome(
            module.theta(), batch, seed=0, mask=module.mask(), plan=EvaluationConfig()
        ).accuracy
        for batch in loader
    ]
    return [float(value) for value in torch.cat(found)]


def network(reduce: str, normal: str, images: Images, seed: int) -> MetaNASModule:
    """Returns the network with one primitive in the reduction cells and one in the normal cell."""
    cells = {name: (((op, 0), (op, 1)),) for name, op in (("normal", normal), ("reduce", reduce))}
    with TemporaryDirectory() as folder:
        path = Path(folder, "genotype.json")
        Genotype(**cells).save(path)
        pl.seed_everything(seed, verbose=False)
        space = {**SPACE, "genotype": str(path), "affine": False}
        fixed = {"name": "fixed", "search": False, "adapts_alphas": False}
        return MetaNASModule(
            space, fixed, {"outer": OUTER}, image_shape=images.shape, n_ways=5, seed=seed
        )


def file_of(data: str) -> Path:
    """Returns where the table of a data set is."""
    return RESULTS / f"table_{data}.json"


def read(data: str) -> Table:
    """Returns the table as far as it is there: ``networks[reduce/normal][seed] -> val, test``."""
    if file_of(data).exists():
        table: Table = json.loads(file_of(data).read_text(encoding="utf-8"))
        return table
    setting = {"space": SPACE, "episodes": EPISODES, "outer_steps": STEPS}
    return {"data": data, "setting": setting, "test_episodes": TEST_EPISODES, "networks": {}}


def make(images: Images, seeds: list[int]) -> None:
    """Trains what the table of a data set lacks, and writes it after every network."""
    torch.set_num_threads(1)
    table = read(images.name)
    for seed, reduce, normal in itertools.product(seeds, PRIMITIVES, PRIMITIVES):
        of_network = table["networks"].setdefault(f"{reduce}/{normal}", {})
        if str(seed) in of_network:
            continue
        module, episodes = network(reduce, normal, images, seed), episodes_of(images, seed)
        seconds = train(module, episodes)
        scores = {split: accuracy(module, episodes, split) for split in ("val", "test")}
        row = {split: round(sum(s) / len(s), 5) for split, s in scores.items()}
        of_network[str(seed)] = row | {"cpu_seconds": round(seconds, 1)}
        file_of(images.name).write_text(json.dumps(table, indent=1) + "\n", encoding="utf-8")
        print(f"seed {seed}  {reduce}/{normal}  {of_network[str(seed)]}", flush=True)
