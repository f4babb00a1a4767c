"""Schema of the data group."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from metanas_pl.config.validation import check, check_choice, check_numbers, check_ranges
from metanas_pl.utils.ranges import in_words


@dataclass
class AugmentConfig:
    """Augmentation of training images; 0 leaves a transform out.

    ``shift`` in pixels, ``rotation`` in degrees, ``scale`` as a fraction (0.1: by up to 10 %), each drawn
    between minus and plus its limit. ``crop`` cuts a piece of the image's size out of it and so many black
    pixels around. ``flip`` mirrors half of the images. ``brightness``, ``contrast`` and ``saturation`` are
    the largest changes of the factor 1. ``sets``: of which images. ``at_test``: in validation and test,
    too.
    """

    shift: float = 0.0
    rotation: float = 0.0
    scale: float = 0.0
    crop: int = 0
    flip: bool = False
    brightness: float = 0.0
    contrast: float = 0.0
    saturation: float = 0.0
    sets: str = "both"
    at_test: bool = False

    def __post_init__(self) -> None:
        check_numbers("data.augment", self, "shift rotation scale crop", 0)
        check(self.scale < 1, "data.augment.scale", self.scale, "must be below 1")
        for name in ("brightness", "contrast", "saturation"):
            value = getattr(self, name)
            check(0 <= value <= 1, f"data.augment.{name}", value, "must be in [0, 1]")
        check_choice("data.augment.sets", self.sets, ("both", "support", "query"))


@dataclass
class DataConfig:
    """Where episodes come from and how large they are (see ``EpisodeDataModule``).

    ``source`` is a name, or a list that is mixed by ``weights``; ``root`` then one path for all or a list.
    Ways and shots are numbers or ranges ``[least, largest]``. ``eval_seed`` alone decides which validation
    and test episodes there are, so that runs of several seeds are tested on the same ones.
    """

    source: Any = "glyphs"
    root: Any = None
    cache_dir: str | None = None
    n_ways: Any = 5
    n_shots: Any = 1
    n_queries: int = 15
    n_train_ways: Any = None
    n_train_shots: Any = None
    n_train_queries: int | None = None
    meta_batch_size: int = 10
    n_train_episodes: int = 1000
    n_val_episodes: int = 100
    n_test_episodes: int = 300
    eval_seed: int = 0
    eval_batch_size: int = 10
    num_workers: int = 0
    image_size: int = 28
    channels: int = 1
    rotations: bool = False
    weights: Any = None
    sampling: str = "uniform"
    shots_per: str = "episode"
    small_classes: str = "refuse"
    augment: AugmentConfig = field(default_factory=AugmentConfig)
    options: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        sources = self.source if isinstance(self.source, list) else [self.source]
        roots = self.root if isinstance(self.root, list) else [self.root]
        known = bool(sources) and all(isinstance(name, str) for name in sources)
        check(known, "data.source", self.source, "give a name, or a list of them")
        known = all(root is None or isinstance(root, str) for root in roots)
        check(known, "data.root", self.root, "give a path, or a list of them")
        check_ranges("data", self, "n_ways n_train_ways", 2)
        check_ranges("data", self, "n_shots n_train_shots", 1)
        check_numbers("data", self, "n_queries n_train_queries", 1)
        check_numbers("data", self, "meta_batch_size n_train_episodes eval_batch_size", 1)
        check_numbers("data", self, "n_val_episodes n_test_episodes image_size", 1)
        check_numbers("data", self, "num_workers eval_seed", 0)
        check(self.channels in (1, 3), "data.channels", self.channels, "must be 1 or 3")
        check_choice("data.sampling", self.sampling, ("uniform", "group"))
        check_choice("data.shots_per", self.shots_per, ("episode", "class"))
        check_choice("data.small_classes", self.small_classes, ("refuse", "shrink"))
        fits = self.n_train_episodes % self.meta_batch_size == 0
        allowed = f"must be a multiple of data.meta_batch_size={self.meta_batch_size}"
        check(fits, "data.n_train_episodes", self.n_train_episodes, allowed)
        fits = self.weights is None or _are_weights(self.weights, len(sources))
        allowed = f"give one of at least 0 for each of {len(sources)} in data.source"
        check(fits, "data.weights", self.weights, allowed)
        grey = self.augment.saturation and self.channels == 1
        allowed = "grey images have no colour, set data.channels=3"
        check(not grey, "data.augment.saturation", self.augment.saturation, allowed)

    def episodes_in_words(self) -> str:
        """Returns data and size of the tests.

        >>> DataConfig(source=["omniglot", "glyphs"], n_ways=[5, 20]).episodes_in_words()
        'omniglot + glyphs, 5-20-way 1-shot'
        """
        names = [self.source] if isinstance(self.source, str) else self.source
        return f"{' + '.join(names)}, {in_words(self.n_ways)}-way {in_words(self.n_shots)}-shot"


def _are_weights(values: object, n: int) -> bool:
    if not isinstance(values, list) or len(values) != n:
        return False
    return all(isinstance(x, int | float) and x >= 0 for x in values)
