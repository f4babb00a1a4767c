"""Attributes: independent, readable from the pixels, and split so that no test value is trained on."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from metanas_pl.data.datasets import DataRequest, attributes, prepare_source
from metanas_pl.data.datasets.attribute_pictures import Painter, rgb
from metanas_pl.data.datasets.attributes import ATTRIBUTES, draw_values, scene_of
from metanas_pl.data.episodes.dataset import EpisodeDataset
from metanas_pl.data.store.class_store import SPLITS, ClassStore
from metanas_pl.data.store.verification import verify_store

CHECKSUM = "098d71bd16f351b073bd26357db92d250ef9fadfcb011f11e3fff222d6fc45c7"
NAMES = [attribute.name for attribute in ATTRIBUTES]


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> ClassStore:
    cache = tmp_path_factory.mktemp("attributes")
    return prepare_source("attributes", DataRequest(cache, image_size=32, channels=3))


def draws(column: int, value: int, split: str, n: int) -> np.ndarray:
    return draw_values(np.random.default_rng([column, value]), column, value, split, n)


def test_the_store(store: ClassStore) -> None:
    assert [store.n_classes(split) for split in SPLITS] == [97, 59, 59]
    assert store.image_shape == (3, 32, 32) and store.images.nbytes < 30e6
    assert {info.count for split in SPLITS for info in store.classes(split)} == {40}
    assert {check.verdict for check in verify_store(store, attributes.INFO)} == {"passed"}


def test_the_bytes_never_change(store: ClassStore) -> None:
    """Others measure on these pictures: a change of theirs must raise ``RECIPE``."""
    assert attributes.RECIPE == 1 and store.checksum == CHECKSUM


def test_grey_pictures_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"set data\.channels=3"):
        prepare_source("attributes", DataRequest(tmp_path, image_size=32))


def test_groups_tell_what_training_has_seen(store: ClassStore) -> None:
    groups = {split: {info.group for info in store.classes(split)} for split in SPLITS}
    seen = {f"seen: {name}" for name in NAMES[:8]}
    assert groups["train"] == seen
    assert groups["val"] == seen | {"unseen: line hue", "unseen: stripe contrast"}
    assert groups["test"] == seen | {"unseen: number of dots", "unseen: figure size"}


def test_every_group_has_five_classes_or_more(store: ClassStore) -> None:
    for split in SPLITS:
        of_group = [info.group for info in store.classes(split)]
        assert min(of_group.count(group) for group in of_group) >= 5
        EpisodeDataset(store, split, 5, 5, 15, 1, seed=0, sampling="group")


def test_values_of_a_split_occur_in_no_other_split() -> None:
    """Also where they are not asked about; and test values lie between training values."""
    drawn = {split: draws(0, ATTRIBUTES[0].values(split)[0], split, 2000) for split in SPLITS}
    for column, attribute in enumerate(ATTRIBUTES):
        found = [set(drawn[split][:, column].tolist()) for split in SPLITS]
        assert not (found[0] & found[1] or found[0] & found[2] or found[1] & found[2])
        train, test = attribute.values("train"), attribute.values("test")
        inner = test[test < attribute.n_values - 1]
        assert set(inner - 1) <= set(train) and set(inner + 1) <= set(train)


def test_jitter_never_makes_a_value_another(store: ClassStore) -> None:
    """Neighbouring values, painted 200 times each: the numbers of the scene stay apart."""
    fields = {
        1: lambda scene: scene.figure_hue,
        2: lambda scene: scene.background_hue,
        3: lambda scene: scene.direction,
        4: lambda scene: scene.period,
        6: lambda scene: scene.marker,
        7: lambda scene: scene.line_angle,
        8: lambda scene: scene.line_hue,
        9: lambda scene: scene.contrast,
        10: lambda scene: scene.dots.sum(axis=1),
        11: lambda scene: scene.radius,
    }
    rng = np.random.default_rng(0)
    for column, field in fields.items():
        ends = []
        for value in range(ATTRIBUTES[column].n_values):
            found = field(scene_of(draws(column, value, "train", 200), rng))
            ends += [found.min(), found.max()]
        assert (np.diff(ends)[1::2] > 0).all(), NAMES[column]


def test_attributes_are_independent() -> None:
    """Pearson's chi-square of every pair, in units of its standard deviation under independence."""
    values = draws(0, 0, "train", 20_000)
    values[:, 0] = np.random.default_rng(0).choice(ATTRIBUTES[0].values("train"), len(values))
    for a in range(len(ATTRIBUTES)):
        for b in range(a):
            table = np.zeros((25, 25))
            np.add.at(table, (values[:, a], values[:, b]), 1)
            table = table[table.any(axis=1)][:, table.any(axis=0)]
            expected = table.sum(1, keepdims=True) * table.sum(0) / table.sum()
            freedom = (table.shape[0] - 1) * (table.shape[1] - 1)
            statistic = ((table - expected) ** 2 / expected).sum()
            assert abs(statistic - freedom) < 4.5 * np.sqrt(2 * freedom), (NAMES[a], NAMES[b])


def test_a_class_fixes_its_own_attribute_alone() -> None:
    """What is not asked about is drawn alike in every group, so only the labels tell the question."""
    for column, attribute in enumerate(ATTRIBUTES):
        for split in attribute.asked:
            value = attribute.values(split)[0]
            drawn = draws(column, value, split, 4000)
            assert set(drawn[:, column]) == {value}
            for other in set(range(len(ATTRIBUTES))) - {column}:
                allowed = ATTRIBUTES[other].values(split)
                counts = np.array([(drawn[:, other] == k).sum() for k in allowed])
                expected = len(drawn) / len(allowed)
                assert abs(counts - expected).max() < 5 * np.sqrt(expected), (column, other)


def test_an_episode_needs_the_right_attribute() -> None:
    """5-way 3-shot with all values known: class means of all attributes alike, and of one alone."""
    rng = np.random.default_rng(0)
    codes = np.eye(25)
    alike, chosen = [], []
    for _ in range(300):
        column = int(rng.integers(len(ATTRIBUTES)))
        split = ATTRIBUTES[column].asked[-1]
        asked = rng.choice(ATTRIBUTES[column].values(split), 5, replace=False)
        values = np.stack([draw_values(rng, column, int(v), split, 18) for v in asked])
        support, query = values[:, :3], values[:, 3:]
        distances = ((codes[query][:, :, None] - codes[support].mean(axis=1)) ** 2).sum(axis=-1)
        # The support set tells the question: only this attribute is one value in each class.
        constant = (support == support[:, :1]).all(axis=(0, 1))
        distinct = [len(set(support[:, 0, k])) == 5 for k in range(len(ATTRIBUTES))]
        (found,) = np.flatnonzero(constant & distinct)
        assert found == column
        truth = np.arange(5)[:, None]
        alike.append((distances.sum(axis=-1).argmin(axis=-1) == truth).mean())
        chosen.append((distances[..., found].argmin(axis=-1) == truth).mean())
    assert 0.5 < np.mean(alike) < 0.65 and np.mean(chosen) == 1


# ---- each value can be read from the pixels


def pixels(images: np.ndarray) -> np.ndarray:
    """Returns the pixels in [0, 1]."""
    return images.reshape(len(images), -1) / 255


def hues(images: np.ndarray, strong: bool) -> np.ndarray:
    """Returns how often each of 24 hues occurs, in full colours or in the weaker ones of the stripes."""
    x = np.moveaxis(images, 1, -1).reshape(len(images), -1, 3) / 255
    palette = rgb(np.arange(24) / 24, 1.0) / 255
    nearest = (
        (x - x.mean(-1, keepdims=True)) @ (palette - palette.mean(1, keepdims=True)).T
    ).argmax(-1)
    full = (x.max(-1) > 0.9) & (x.min(-1) < 0.1)
    weak = (x.max(-1) - x.min(-1) > 0.1) & (x.min(-1) > 0.1)
    chosen = full if strong else weak
    return np.stack([np.bincount(h[c], minlength=24) for h, c in zip(nearest, chosen, strict=True)])


def waves(images: np.ndarray) -> np.ndarray:
    """Returns how strong the test split's stripes are in each picture ``(n, directions, periods)``."""
    axis = np.arange(32) - 15.5
    angle = 2 * np.pi * ATTRIBUTES[3].values("test") / 48
    period = 3 * 5 ** (ATTRIBUTES[4].values("test") / 23)
    across = axis * np.sin(angle)[:, None, None] + axis[:, None] * np.cos(angle)[:, None, None]
    waves = np.exp(2j * np.pi * across[:, None] / period[:, None, None])
    grey = images.mean(axis=1)
    window = np.outer(np.hanning(32), np.hanning(32))
    grey = (grey - grey.mean(axis=(1, 2), keepdims=True)) * window
    return np.abs(np.einsum("dpyx,nyx->ndp", waves, grey)) / period


def full(images: np.ndarray) -> np.ndarray:
    """Returns which pixels have a full colour ``(n, 32, 32)``, as lines and figures have."""
    return (images.max(axis=1) > 235) & (images.min(axis=1) < 20)


def solid(images: np.ndarray) -> np.ndarray:
    """Returns which pixels and their eight neighbours have a full colour: figures without lines."""
    colour = full(images)
    block = [np.roll(colour, (i, j), (1, 2)) for i in (-1, 0, 1) for j in (-1, 0, 1)]
    return np.stack(block).all(axis=0)


def area(images: np.ndarray) -> np.ndarray:
    """Returns the root of the number of solid pixels ``(n, 1)``, white dots among them."""
    dotted = np.where(images.min(axis=1, keepdims=True) > 150, [[[[255]], [[0]], [[0]]]], images)
    return np.sqrt(solid(dotted).sum(axis=(1, 2)))[:, None]


READERS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "shape": pixels,
    "figure hue": lambda images: hues(images, strong=True),
    "background hue": lambda images: hues(images, strong=False),
    "stripe direction": lambda images: waves(images).max(axis=2),
    "stripe period": lambda images: waves(images).max(axis=1),
    "place": lambda images: solid(images).reshape(len(images), -1),
    "marker": pixels,
    "line angle": lambda images: full(images).reshape(len(images), -1),
    "line hue": lambda images: hues(images, strong=True),
    "stripe contrast": lambda images: np.quantile(images.max(axis=1), (0.3, 0.7), axis=(1, 2)).T,
    "number of dots": lambda images: (images.min(axis=1) > 150).mean(axis=(1, 2))[:, None],
    "figure size": area,
}
HELD = {"shape": {5: 11, 11: 19}, "figure size": {0: 15}}
"""Other attributes that stand still where the reader is too simple for them: place and size, or shape."""


def nearest_mean(features: np.ndarray, labels: np.ndarray) -> float:
    """Returns how often the nearest class mean of half of the pictures is right on the other half."""
    x = (features - features.mean(axis=0)) / (features.std(axis=0) + 0.01)
    train = np.arange(len(x)) % 2 == 0
    means = np.stack([x[train & (labels == k)].mean(axis=0) for k in range(labels.max() + 1)])
    distances = ((x[~train, None] - means) ** 2).sum(axis=-1)
    return float((distances.argmin(axis=1) == labels[~train]).mean())


@pytest.mark.parametrize("column", range(len(ATTRIBUTES)), ids=NAMES)
def test_each_attribute_can_be_read_from_the_pixels(column: int) -> None:
    """Five values of a split, 20 % by chance."""
    attribute = ATTRIBUTES[column]
    split = attribute.asked[-1]
    rng = np.random.default_rng(column)
    chosen = attribute.values(split)[:5]
    values = np.concatenate([draw_values(rng, column, v, split, 120) for v in chosen])
    for other, value in HELD.get(attribute.name, {}).items():
        values[:, other] = value
    images = Painter(32).paint(scene_of(values, rng), rng)
    labels = np.repeat(np.arange(5), 120)
    found = nearest_mean(READERS[attribute.name](images), labels)
    assert found > 0.45
