"""Schema of the data group."""

from __future__ import annotations

from dataclasses import dataclass, field

from metanas_pl.conf.checks import check, check_numbers


@dataclass
class AugmentConfig:
    """Augmentation of training images, each drawn between minus and plus its limit.

    ``shift`` in pixels, ``rotation`` in degrees, ``scale`` as a fraction (0.1: by up to 10 %).
    """

    shift: float = 0.0
    rotation: float = 0.0
    scale: float = 0.0

    def __post_init__(self) -> None:
        check_numbers("data.augment", self, "shift rotation scale", 0)
        check(self.scale < 1, "data.augment.scale", self.scale, "must be below 1")


@dataclass
class DataConfig:
    """Where episodes come from and how large they are (see ``EpisodeDataModule``)."""

    source: str = "glyphs"
    root: str | None = None
    cache_dir: str | None = None
    n_ways: int = 5
    n_shots: int = 1
    n_queries: int = 15
    n_train_shots: int | None = None
    n_train_queries: int | None = None
    meta_batch_size: int = 10
    n_train_episodes: int = 1000
    n_val_episodes: int = 100
    n_test_episodes: int = 300
    eval_batch_size: int = 10
    num_workers: int = 0
    image_size: int = 28
    channels: int = 1
    rotations: bool = False
    augment: AugmentConfig = field(default_factory=AugmentConfig)
    options: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        check_numbers("data", self, "n_ways", 2)
        check_numbers("data", self, "n_shots n_queries n_train_shots n_train_queries", 1)
        check_numbers("data", self, "meta_batch_size n_train_episodes eval_batch_size", 1)
        check_numbers("data", self, "n_val_episodes n_test_episodes image_size", 1)
        check_numbers("data", self, "num_workers", 0)
        check(self.channels in (1, 3), "data.channels", self.channels, "must be 1 or 3")
        fits = self.n_train_episodes % self.meta_batch_size == 0
        allowed = f"must be a multiple of data.meta_batch_size={self.meta_batch_size}"
        check(fits, "data.n_train_episodes", self.n_train_episodes, allowed)
