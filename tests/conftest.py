"""Shared pieces of the tests: a tiny network, random episodes, a folder of images, a finished run."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import hypothesis
import pytest
import torch
from torch import Tensor
from torch.utils.data import DataLoader

from tests import shapes

if TYPE_CHECKING:
    from metanas_pl import EpisodeDataModule

# Networks this small gain nothing from more threads, which on busy cores wait for each other.
torch.set_num_threads(1)

shapes.install()

# The same few examples in every run, at any pace; ``--hypothesis-profile=nightly`` looks for others.
ANY_PACE = hypothesis.settings(
    deadline=None,
    suppress_health_check=[
        hypothesis.HealthCheck.too_slow,
        hypothesis.HealthCheck.function_scoped_fixture,
    ],
)
hypothesis.settings.register_profile("few", ANY_PACE, max_examples=20, derandomize=True)
hypothesis.settings.register_profile("nightly", ANY_PACE, max_examples=300)
hypothesis.settings.load_profile("few")

TINY_SPACE = {
    **{"channels": 4, "n_cells": 2, "n_nodes": 2, "reductions": [0], "stem_stride": 2},
    "primitives": ["max_pool_3x3", "skip_connect", "conv_3x3"],
}


LOOPS: dict[str, dict[str, Any]] = {
    "inner": {
        **{"optimizer": "adam", "weight_lr": 1e-3, "head_lr": None, "alpha_lr": 1e-3},
        **{"steps": 2, "test_steps": 3, "test_arch_steps": 2},
    },
    "outer": {"optimizer": "sgd", "weight_lr": 1.0, "alpha_lr": 0.6},
}
"""The paper's optimizers, for few steps."""


def pytest_configure(config: pytest.Config) -> None:
    """With ``--dist loadfile`` files are handed out in the order of their collection."""
    config.option.loadscopereorder = False


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files with slow tests come first: the process that is done first takes from the many short ones."""
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: item.path not in slow)


class RandomEpisode(NamedTuple):
    support_x: Tensor
    support_y: Tensor
    query_x: Tensor
    query_y: Tensor
    index: Tensor


def random_episode(
    tasks: int = 3, ways: int = 3, shots: int = 2, queries: int = 2, size: int = 12, seed: int = 0
) -> RandomEpisode:
    """Episodes of class-dependent noise: class k is a fixed pattern, differently noisy."""
    generator = torch.Generator().manual_seed(seed)
    patterns = torch.randn(tasks, ways, 1, size, size, generator=generator)

    def draw(per_class: int) -> tuple[Tensor, Tensor]:
        labels = torch.arange(ways).repeat(per_class).expand(tasks, -1)
        images = patterns[:, labels[0]]
        return images + 0.3 * torch.randn(images.shape, generator=generator), labels.contiguous()

    return RandomEpisode(*draw(shots), *draw(queries), torch.arange(tasks))


@pytest.fixture
def episode() -> RandomEpisode:
    return random_episode()


@pytest.fixture(scope="session")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of the images of tiny runs, which share one store beside it. To be read only."""
    from tests import runs

    return runs.make_images(tmp_path_factory.mktemp("images") / "root")


@pytest.fixture(scope="session")
def finished(images: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a finished tiny run with its drawings. To be read only."""
    from metanas_pl.cli import train
    from tests import runs

    run_dir = tmp_path_factory.mktemp("finished")
    train.run(runs.compose(runs.tiny(images, run_dir, draws=True)))
    return run_dir


@pytest.fixture(autouse=True)
def _one_core(monkeypatch: pytest.MonkeyPatch) -> None:
    """A training in a test takes one process unless the test asks for more."""
    from metanas_pl.cli import devices

    monkeypatch.setattr(devices, "n_cores", lambda: 1)


@pytest.fixture(autouse=True)
def _alike() -> Iterator[None]:
    """Every test begins with the same seed and leaves the settings of the process as they were.

    Lightning writes ports and seeds into the environment, where the processes of a later test find them.
    """
    torch.manual_seed(0)
    environment, threads = dict(os.environ), torch.get_num_threads()
    yield
    os.environ.clear()
    os.environ.update(environment)
    torch.set_num_threads(threads)
    torch.use_deterministic_algorithms(False)


class Episodes(torch.utils.data.Dataset[RandomEpisode]):
    """Meta-batches of random episodes."""

    def __len__(self) -> int:
        return 4

    def __getitem__(self, index: int) -> RandomEpisode:
        return random_episode(seed=index)


def loader() -> DataLoader[RandomEpisode]:
    """Four meta-batches."""
    return DataLoader(Episodes(), batch_size=None)


def make_module(rule: str = "reptile", /, **changes: Any) -> Any:
    """A tiny MetaNASModule; ``changes`` are ``group={key: value}``."""
    from metanas_pl import MetaNASModule

    home = "implicit" if rule == "imaml" else "meta_gradients"
    settings: dict[str, Any] = {
        "space": dict(TINY_SPACE),
        "nas": {},
        "meta": {
            "meta_gradient": f"metanas_pl.algorithms.meta.{home}.{rule}",
            "gradient_order": "displacement" if rule == "reptile" else "first_order",
            "head": "zero",
        },
        "evaluation": {"arms": []},
    }
    for group, values in changes.items():
        if isinstance(values, dict) and "builder" not in values:  # another space has other keys
            settings[group] = {**settings.get(group, {}), **values}
        else:
            settings[group] = values
    for part, values in LOOPS.items():
        settings["meta"][part] = {**values, **settings["meta"].get(part, {})}
    settings.setdefault("n_ways", 3)
    settings.setdefault("image_shape", (1, 12, 12))
    return MetaNASModule(**settings)


def trainer(**options: Any) -> Any:
    """Lightning's Trainer on one CPU process, without files and bars; one epoch unless told otherwise."""
    import pytorch_lightning as pl

    return pl.Trainer(
        **{
            "accelerator": "cpu",
            "devices": 1,
            "logger": False,
            "enable_checkpointing": False,
            "enable_progress_bar": False,
            "enable_model_summary": False,
            "max_epochs": 1,
            "num_sanity_val_steps": 0,
            **options,
        }
    )


@pytest.fixture
def data(images: Path) -> EpisodeDataModule:
    """3-way episodes of 12x12 pixels: 4 outer steps an epoch, 2 batches of validation and of test."""
    from metanas_pl import EpisodeDataModule

    return EpisodeDataModule(
        source="folder",
        root=str(images),
        cache_dir=str(images.parent / "cache"),
        n_ways=3,
        n_queries=2,
        meta_batch_size=2,
        n_train_episodes=8,
        n_val_episodes=4,
        n_test_episodes=4,
        eval_batch_size=2,
        image_size=12,
    )
