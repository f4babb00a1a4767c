"""What an episode is made of: how many classes, which ones, and how many images of each."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from metanas_pl.data.store.class_store import ClassInfo
from metanas_pl.errors import UserError
from metanas_pl.utils.ranges import Range, bounds

CHOICES = {
    "sampling": ("uniform", "group"),
    "shots_per": ("episode", "class"),
    "small_classes": ("refuse", "shrink"),
}


class Composition(NamedTuple):
    """Numbers of an episode; a range ``[least, largest]`` is drawn from uniformly, ends included.

    Attributes:
        n_ways: classes.
        n_shots: support images per class.
        n_queries: query images per class, none of which is in the support.
        sampling: ``uniform`` takes classes of the whole split, ``group`` those of one group (alphabet,
            superclass): first a group, each as likely, then its classes.
        shots_per: a range of shots is drawn once an ``episode``, or for each ``class`` (imbalance).
        small_classes: ``refuse`` classes with fewer images than shots and queries, or ``shrink`` the
            episode there: such a class gives its support first, but keeps an image for its query set.
    """

    n_ways: Range
    n_shots: Range
    n_queries: int
    sampling: str = "uniform"
    shots_per: str = "episode"
    small_classes: str = "refuse"


def pools_of(classes: Sequence[ClassInfo], turns: int, how: Composition) -> list[np.ndarray]:
    """Returns the classes that an episode may have together; turn t of class k is ``turns * k + t``.

    >>> classes = [ClassInfo(name, group, "train", 0, 1) for name, group in ("aX", "bY", "cX")]
    >>> pools_of(classes, 1, Composition(2, 1, 1, sampling="group"))
    [array([0, 2])]
    """
    numbers = np.arange(len(classes) * turns)
    if how.sampling == "uniform":
        return [numbers]
    groups = np.repeat([info.group for info in classes], turns)
    pools = [numbers[groups == group] for group in dict.fromkeys(groups)]
    return [pool for pool in pools if len(pool) >= bounds(how.n_ways)[0]]


def draw_classes(
    rng: np.random.Generator, pools: Sequence[np.ndarray], how: Composition
) -> np.ndarray:
    """Returns different class numbers ``(N,)`` of one pool, which may hold fewer than the largest N."""
    pool = pools[0] if len(pools) == 1 else pools[int(rng.integers(len(pools)))]
    least, largest = bounds(how.n_ways)
    return rng.choice(pool, int(_draw(rng, least, min(largest, len(pool)))), replace=False)


def draw_counts(
    rng: np.random.Generator, available: np.ndarray, how: Composition
) -> tuple[np.ndarray, np.ndarray]:
    """Returns support and query images of each class, ``(N,), (N,)``, of the images ``available (N,)``.

    >>> rng, how = np.random.default_rng(0), Composition(2, 5, 3, small_classes="shrink")
    >>> draw_counts(rng, np.array([20, 4]), how)
    (array([5, 3]), array([3, 1]))
    """
    one_each = how.shots_per == "class"
    shots = _draw(rng, *bounds(how.n_shots), len(available) if one_each else None)
    shots = np.minimum(shots, available - 1)
    return shots, np.minimum(how.n_queries, available - shots)


def check_composition(
    classes: Sequence[ClassInfo], turns: int, how: Composition, where: str
) -> None:
    """Refuses a composition that the classes cannot give.

    Raises:
        UserError: too few classes, too few images in one, or an unknown choice.
    """
    for name, choices in CHOICES.items():
        if (value := getattr(how, name)) not in choices:
            raise UserError(f"data.{name}={value!r} is unknown: choose one of {', '.join(choices)}")
    least, largest = bounds(how.n_ways)
    if how.sampling == "group":
        sizes = {info.group: 0 for info in classes}
        for info in classes:
            sizes[info.group] += turns
        if len(sizes) < 2 and "" in sizes:
            raise UserError(f"data.sampling=group: the classes of {where} have no groups")
        if least > max(sizes.values()):
            raise UserError(
                f"data.n_ways={how.n_ways} with data.sampling=group: the largest group of {where} "
                f"has {max(sizes.values())} classes"
            )
    elif not 0 < largest <= len(classes) * turns:
        raise UserError(
            f"data.n_ways={how.n_ways}, but {where} has {len(classes) * turns} classes: "
            f"choose 2..{len(classes) * turns}"
        )
    smallest, wanted = min(i.count for i in classes), bounds(how.n_shots)[1] + how.n_queries
    if how.small_classes == "refuse" and wanted > smallest:
        raise UserError(
            f"data.n_shots={how.n_shots} and data.n_queries={how.n_queries} (data.n_train_* "
            f"in training) need {wanted} images per class, but the smallest class of {where} has "
            f"{smallest}: their sum must be at most {smallest}, or data.small_classes=shrink"
        )
    if smallest < 2:
        alone = next(info.name for info in classes if info.count < 2)
        raise UserError(
            f"class {alone} of {where} has one image: none would be left for its query set"
        )


def _draw(rng: np.random.Generator, least: int, largest: int, n: int | None = None) -> np.ndarray:
    """Returns a number, or ``n`` of them; nothing is drawn where there is no choice."""
    if least == largest:
        return np.asarray(least)
    return np.asarray(rng.integers(least, largest, n, endpoint=True))
