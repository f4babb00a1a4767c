"""Attributes: pictures whose properties vary independently, and episodes that ask about one of them.

A picture has stripes, a line across it, a figure, dots and a marker at its edge, which have twelve
attributes. A class is one value of one attribute ("stripe direction 30 degrees"), its group is the
attribute: all its pictures have that value, and each has random values of the other attributes. With
``data.sampling=group`` an episode's classes are values of one attribute, and nothing but the labels
of the support set tells which. So a network that adapts to the task has an advantage that is known:
the other eleven attributes disturb one that weighs all alike.

Values are split, interleaved: of four that follow one another, the first and third are for training,
the second for validation and the fourth for test. Groups are named after what training sees:

* ``seen: …``: eight attributes that episodes of every split ask about. The test asks about values that
  lie between those of the training.
* ``unseen: …``: attributes that training never asks about, two only in validation and two only in test.

A picture takes the values of all its attributes from its own split. So no value of a test class occurs
in training, not even as an attribute that is not asked about. The unseen attributes vary in training as
well, with values of the training split. If they stood still there, every picture of the test would look
strange, and results on seen attributes would depend on that. As it is, pictures of the splits differ
in nothing but the values, and the splits of unseen attributes also in the question. Training
then has cause to become blind to what it is never asked about, which makes those tests the hardest.

The random numbers are exact and the drawing is done in whole numbers, so the bytes depend only on
:data:`RECIPE` and the size of the images.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from metanas_pl.data.datasets import DataRequest, SourceInfo
from metanas_pl.data.datasets.attribute_pictures import CELLS, UNIT, Painter, Scene
from metanas_pl.data.datasets.attribute_shapes import SHAPES
from metanas_pl.data.store.class_store import (
    SPLITS,
    ClassImages,
    ClassStore,
    StoreMeta,
    build_store,
)
from metanas_pl.errors import UserError
from metanas_pl.utils.progress import track

RECIPE = 1
"""Version of everything that decides the bytes; raise it with any change here or to the drawing."""

N_SAMPLES = 40


class Attribute(NamedTuple):
    """Something that can be asked about a picture.

    Attributes:
        name: in plain words.
        n_values: how many values it has in all splits together.
        first: what value 0 is, for the names of classes.
        last: what the last value is.
        unit: of these.
        asked: the splits with episodes about it.
    """

    name: str
    n_values: int
    first: float = 0
    last: float = 345
    unit: str = "degrees"
    asked: tuple[str, ...] = SPLITS

    @property
    def group(self) -> str:
        """The name of the classes' group, which says whether training asks about the attribute."""
        return f"{'seen' if 'train' in self.asked else 'unseen'}: {self.name}"

    def values(self, split: str) -> np.ndarray:
        """Returns the numbers of the values that pictures of a split have.

        >>> Attribute("size", 8).values("train"), Attribute("size", 8).values("test")
        (array([0, 2, 4, 6]), array([3, 7]))
        """
        numbers = np.arange(self.n_values)
        return numbers[np.isin(numbers % 4, PLACES[split])]

    def class_name(self, value: int) -> str:
        """Returns the name of a value, such as ``figure hue 30 degrees``."""
        if self.name == "shape":
            return list(SHAPES)[value]
        amount = self.first + (self.last - self.first) * value / (self.n_values - 1)
        return f"{self.name} {amount:g} {self.unit}".strip()


PLACES = {"train": (0, 2), "val": (1,), "test": (3,)}

ATTRIBUTES = (
    Attribute("shape", len(SHAPES)),
    Attribute("figure hue", 24),
    Attribute("background hue", 24),
    Attribute("stripe direction", 24, last=172.5),
    Attribute("stripe period", 24, 1, 24, ""),
    Attribute("place", 25, 1, 25, ""),
    Attribute("marker", 24, 1, 24, ""),
    Attribute("line angle", 24, last=172.5),
    Attribute("line hue", 24, asked=("val",)),
    Attribute("stripe contrast", 20, 1, 20, "", ("val",)),
    Attribute("number of dots", 24, 1, 24, "", ("test",)),
    Attribute("figure size", 20, 1, 20, "", ("test",)),
)
"""Columns of an array of values."""

INFO = SourceInfo(
    summary="pictures with twelve independent attributes; an episode asks about one of them",
    licence="generated, MIT as this package",
    n_classes={
        split: sum(len(a.values(split)) for a in ATTRIBUTES if split in a.asked) for split in SPLITS
    },
    images_a_class=N_SAMPLES,
)


def prepare(request: DataRequest) -> ClassStore:
    """Draws the pictures into a store below ``request.cache_dir``, or opens the one that is there.

    Raises:
        UserError: grey pictures are asked for.
    """
    if request.channels != 3:
        raise UserError(
            "data.channels=1: hues are attributes of data=attributes, set data.channels=3"
        )
    size = request.image_size
    meta = StoreMeta("attributes", "generated", INFO.licence, notes={"recipe": RECIPE})
    folder = request.cache_dir / f"attributes-v{RECIPE}-{size}x{size}x3"
    return build_store(folder, _classes(Painter(size)), meta)


def _classes(painter: Painter) -> Iterator[ClassImages]:
    classes = [
        (column, value, split)
        for split in SPLITS
        for column, attribute in enumerate(ATTRIBUTES)
        if split in attribute.asked
        for value in attribute.values(split)
    ]
    for column, value, split in track(classes, "Drawing attributes (once)"):
        attribute = ATTRIBUTES[column]
        rng = np.random.Generator(np.random.Philox([RECIPE, column, value]))
        images = painter.paint(scene_of(draw_values(rng, column, value, split), rng), rng)
        yield ClassImages(attribute.class_name(value), attribute.group, split, images)


def draw_values(
    rng: np.random.Generator, column: int, value: int, split: str, n: int = N_SAMPLES
) -> np.ndarray:
    """Returns the attributes of a class's pictures ``(n, attributes)``, of which one is the same in all."""
    drawn = np.stack([rng.choice(a.values(split), n) for a in ATTRIBUTES], axis=1)
    drawn[:, column] = value
    return drawn


def scene_of(values: np.ndarray, rng: np.random.Generator) -> Scene:
    """Returns what to paint for ``values (n, attributes)``.

    Every number is moved by less than half the step to the next value, so that values never meet.
    """
    n = len(values)
    (shape, hue, background, direction, period, place, marker, angle) = values.T[:8]
    line_hue, contrast, dots, size = values.T[8:]
    shake = rng.uniform(-1, 1, (12, n))
    order = rng.permuted(np.tile(np.arange(CELLS**2), (n, 1)), axis=1)
    corner = np.stack([place % 5, place // 5], axis=1) - 2
    return Scene(
        shape=shape,
        figure_hue=(hue + 0.15 * shake[0]) / 24,
        background_hue=(background + 0.15 * shake[1]) / 24,
        direction=(direction + 0.2 * shake[2]) / 48,
        period=3 * UNIT * 5 ** ((period + 0.2 * shake[3]) / 23),
        phase=shake[4],
        contrast=5 ** ((contrast - 19 + 0.2 * (shake[5] - 1)) / 19),
        centre=4 * UNIT * (corner + 0.15 * shake[6:8].T),
        radius=3.5 * UNIT * 2.5 ** ((size + 0.2 * shake[8]) / 19),
        marker=(marker + 0.15 * shake[9]) / 24,
        line_angle=(angle + 0.2 * shake[10]) / 48,
        line_offset=0.8 * UNIT * shake[11],
        line_hue=(line_hue + 0.15 * rng.uniform(-1, 1, n)) / 24,
        dots=order <= dots[:, None],
        dot_shift=rng.uniform(-1, 1, (n, CELLS**2, 2)),
    )
