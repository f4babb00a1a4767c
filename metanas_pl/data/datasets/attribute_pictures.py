"""Pictures of the attributes data set: stripes, a line, a figure, dots and a marker, from the back.

All positions and colours are rounded to whole numbers first, and the drawing is done in whole
numbers, so that a picture has the same bytes on every machine. n pictures are painted at a time.
Lengths are in :data:`UNIT`, of which a picture has 4096 in height and width.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from metanas_pl.data.datasets.attribute_shapes import BLACK, CANVAS, INSIDE, RADIUS, all_masks

UNIT = 128
"""A 32nd of the side of a picture: a pixel if it has 32."""

SIDE = 32 * UNIT
FINE = 2
"""A pixel is the mean of ``FINE`` x ``FINE`` points."""

CELLS = 6
CELL = 4 * UNIT
"""Dots lie in a grid of ``CELLS`` x ``CELLS`` cells of this side."""

DOT, DOT_JITTER = 1.15 * UNIT, 0.6 * UNIT
LINE, LINE_EDGE = 1.1 * UNIT, 1.8 * UNIT
MARKER, MARKER_EDGE = 1.5 * UNIT, 2.5 * UNIT
"""Radii, and the largest shift of a dot in its cell; of line and marker the inner and the outer one."""

MARKER_TRACK = 13.5 * UNIT
"""Half the side of the square that the marker goes round on: it leaves most of every dot free."""
PHASES = 256
MAX_NOISE = 6

BLACK_INK, LINE_INK, FIGURE_INK, WHITE_INK = range(PHASES, PHASES + 4)
"""Rows of a picture's palette; the first ones are the shades of its stripes."""


class Scene(NamedTuple):
    """What n pictures show, each field ``(n,)`` unless said otherwise.

    Attributes:
        shape: number of the figure.
        figure_hue: in turns, as are all hues and angles.
        background_hue: of the stripes.
        direction: of the stripes.
        period: of the stripes.
        phase: of the stripes, in turns.
        contrast: of the stripes, in (0, 1].
        centre: of the figure ``(n, 2)``, x and y from the middle of the picture.
        radius: half the side of the figure.
        marker: way along the edge of the picture, in turns.
        line_angle: of the line.
        line_offset: distance of the line from the middle.
        line_hue: of the line.
        dots: which cells have a dot ``(n, CELLS * CELLS)``, boolean.
        dot_shift: of a dot in its cell ``(n, CELLS * CELLS, 2)``, in [-1, 1].
    """

    shape: np.ndarray
    figure_hue: np.ndarray
    background_hue: np.ndarray
    direction: np.ndarray
    period: np.ndarray
    phase: np.ndarray
    contrast: np.ndarray
    centre: np.ndarray
    radius: np.ndarray
    marker: np.ndarray
    line_angle: np.ndarray
    line_offset: np.ndarray
    line_hue: np.ndarray
    dots: np.ndarray
    dot_shift: np.ndarray


class Painter:
    """Paints scenes at ``size`` x ``size`` pixels."""

    def __init__(self, size: int) -> None:
        self.size = size
        n_points = FINE * size
        self.axis = ((2 * np.arange(n_points) + 1) * SIDE // (2 * n_points) - SIDE // 2).astype(
            np.int32
        )
        self._masks = all_masks()
        cell = (self.axis + CELLS * CELL // 2) // CELL
        row, column = np.meshgrid(cell, cell, indexing="ij")
        on_grid = (np.minimum(row, column) >= 0) & (np.maximum(row, column) < CELLS)
        self._cell = np.where(on_grid, row * CELLS + column, CELLS * CELLS)  # the last has no dot

    def paint(self, scene: Scene, rng: np.random.Generator) -> np.ndarray:
        """Returns ``(n, 3, size, size)`` uint8; ``rng`` adds noise to every pixel."""
        ink = self._stripes(scene)
        self._add_line(ink, scene)
        self._add_figure(ink, scene)
        self._add_dots(ink, scene)
        self._add_marker(ink, scene)
        palette = _palette(scene)
        n, size = len(ink), self.size
        ink += (len(palette[0]) * np.arange(n, dtype=np.int32))[:, None, None]
        points = palette.reshape(-1, 3).take(ink, axis=0).reshape(n, size, FINE, size, FINE, 3)
        sums = np.zeros((n, size, size, 3), dtype=np.int16)
        for i, j in np.ndindex(FINE, FINE):
            sums += points[:, :, i, :, j]
        pixels = np.moveaxis((sums + FINE * FINE // 2) // (FINE * FINE), -1, 1)
        noise = rng.integers(-MAX_NOISE, MAX_NOISE, pixels.shape, dtype=np.int16, endpoint=True)
        return (pixels + noise).clip(0, 255).astype(np.uint8)

    def _across(self, angle: np.ndarray, scale: np.ndarray | float) -> np.ndarray:
        """Returns ``scale`` times the distance of each point from a line through the middle.

        In 1/4096: ``(n, points, points)`` int32.
        """
        x = whole(scale * SIDE * np.sin(2 * np.pi * angle))
        y = whole(scale * SIDE * np.cos(2 * np.pi * angle))
        return (self.axis * x[:, None])[:, None, :] + (self.axis * y[:, None])[:, :, None]

    def _stripes(self, scene: Scene) -> np.ndarray:
        """Returns the phase of the stripes, ``0 .. PHASES - 1``."""
        phase = self._across(scene.direction, PHASES / scene.period) >> 12
        phase += whole(PHASES * scene.phase)[:, None, None]
        return np.bitwise_and(phase, PHASES - 1)

    def _add_line(self, ink: np.ndarray, scene: Scene) -> None:
        distance = self._across(scene.line_angle, 1.0)
        distance -= whole(SIDE * scene.line_offset)[:, None, None]
        np.abs(distance, out=distance)
        ink[distance < LINE_EDGE * SIDE] = BLACK_INK
        ink[distance < LINE * SIDE] = LINE_INK

    def _add_figure(self, ink: np.ndarray, scene: Scene) -> None:
        scale = whole(SIDE * RADIUS / scene.radius)[:, None, None]
        away = self.axis - whole(scene.centre)[:, :, None]
        cell = ((away * scale >> 12) + CANVAS // 2).clip(0, CANVAS - 1)
        shape = scene.shape[:, None, None]
        layer = self._masks[shape, cell[:, 1, :, None], cell[:, 0, None, :]]
        ink[layer == BLACK] = BLACK_INK
        ink[layer == INSIDE] = FIGURE_INK

    def _add_dots(self, ink: np.ndarray, scene: Scene) -> None:
        n = len(ink)
        middle = CELL * (np.arange(CELLS) - (CELLS - 1) / 2)
        y, x = (part.ravel() for part in np.meshgrid(middle, middle, indexing="ij"))
        x = _with_last(whole(x + DOT_JITTER * scene.dot_shift[:, :, 0]), 0)
        y = _with_last(whole(y + DOT_JITTER * scene.dot_shift[:, :, 1]), 0)
        limit = _with_last(np.where(scene.dots, int(DOT * DOT), -1).astype(np.int32), -1)
        cell = self._cell.ravel()
        dx = self.axis - x.take(cell, 1).reshape(n, len(self.axis), -1)
        dy = self.axis[:, None] - y.take(cell, 1).reshape(n, len(self.axis), -1)
        ink[dx * dx + dy * dy <= limit.take(cell, 1).reshape(dx.shape)] = WHITE_INK

    def _add_marker(self, ink: np.ndarray, scene: Scene) -> None:
        way = 4 * (scene.marker % 1)
        x = whole(MARKER_TRACK * np.interp(way, range(5), (-1, 1, 1, -1, -1)))
        y = whole(MARKER_TRACK * np.interp(way, range(5), (-1, -1, 1, 1, -1)))
        dx, dy = self.axis - x[:, None], self.axis - y[:, None]
        square = (dx * dx)[:, None, :] + (dy * dy)[:, :, None]
        ink[square <= int(MARKER_EDGE**2)] = WHITE_INK
        ink[square <= int(MARKER**2)] = BLACK_INK


def whole(x: np.ndarray) -> np.ndarray:
    """Returns the nearest whole numbers as int32."""
    return np.rint(x).astype(np.int32)


def rgb(hue: np.ndarray, saturation: float) -> np.ndarray:
    """Returns colours of full brightness ``(n, 3)`` from 0 to 255, of hues in turns.

    >>> rgb(np.array([0, 1 / 3]), 1.0)
    array([[255,   0,   0],
           [  0, 255,   0]], dtype=int32)
    """
    distance = np.abs((6 * hue[:, None] - np.array([0, 2, 4]) + 3) % 6 - 3)  # from red, green, blue
    return whole(255 * (1 - saturation * (distance - 1).clip(0, 1)))


def _palette(scene: Scene) -> np.ndarray:
    """Returns the colours of each picture's inks, ``(n, inks, 3)`` uint8."""
    wave = whole(128 * np.sin(2 * np.pi * np.arange(PHASES) / PHASES))
    level = 128 + (whole(128 * scene.contrast)[:, None] * wave >> 7)
    stripes = rgb(scene.background_hue, 0.6)[:, None, :] * level[:, :, None] >> 8
    line, figure = (rgb(hue, 1.0)[:, None] for hue in (scene.line_hue, scene.figure_hue))
    black, white = np.zeros_like(line), np.full_like(line, 255)
    return np.concatenate([stripes, black, line, figure, white], axis=1).astype(np.uint8)


def _with_last(values: np.ndarray, last: int) -> np.ndarray:
    """Returns ``values (n, k)`` with a column more."""
    return np.pad(values, ((0, 0), (0, 1)), constant_values=last)
