"""The 24 figures of the attributes data set: polygons with whole-number corners."""

from __future__ import annotations

import numpy as np

CANVAS = 96
RADIUS = 36
"""Half the side of a figure on its canvas, in cells."""

EDGE = 6
"""Width of the black line around a figure, in cells."""

OUTSIDE, BLACK, INSIDE = 0, 1, 2

SHAPES = {
    "triangle": "0,-8 8,8 -8,8",
    "disc": "8,-3 8,3 3,8 -3,8 -8,3 -8,-3 -3,-8 3,-8",
    "plus": "-3,-8 3,-8 3,-3 8,-3 8,3 3,3 3,8 -3,8 -3,3 -8,3 -8,-3 -3,-3",
    "heart": "0,8 -8,-1 -8,-5 -5,-8 -2,-8 0,-4 2,-8 5,-8 8,-5 8,-1",
    "square": "-8,-8 8,-8 8,8 -8,8",
    "hourglass": "-8,-8 8,-8 2,0 8,8 -8,8 -2,0",
    "ring": "8,-3 8,3 3,8 -3,8 -8,3 -8,-3 -3,-8 3,-8 / 4,-2 4,2 2,4 -2,4 -4,2 -4,-2 -2,-4 2,-4",
    "star": "0,-8 2,-3 8,-2 3,2 5,8 0,5 -5,8 -3,2 -8,-2 -2,-3",
    "arrow": "0,-8 8,1 3,1 3,8 -3,8 -3,1 -8,1",
    "L": "-8,-8 -2,-8 -2,3 8,3 8,8 -8,8",
    "U": "-8,-8 -3,-8 -3,3 3,3 3,-8 8,-8 8,8 -8,8",
    "T": "-8,-8 8,-8 8,-3 3,-3 3,8 -3,8 -3,-3 -8,-3",
    "diamond": "0,-8 6,0 0,8 -6,0",
    "frame": "-8,-8 8,-8 8,8 -8,8 / -4,-4 4,-4 4,4 -4,4",
    "H": "-8,-8 -3,-8 -3,-2 3,-2 3,-8 8,-8 8,8 3,8 3,2 -3,2 -3,8 -8,8",
    "house": "-1,-8 1,-8 8,-1 5,-1 5,8 -5,8 -5,-1 -8,-1",
    "cross": "-4,-8 0,-4 4,-8 8,-4 4,0 8,4 4,8 0,4 -4,8 -8,4 -4,0 -8,-4",
    "chevron": "-8,-8 -2,-8 8,0 -2,8 -8,8 1,0",
    "Z": "-8,-8 8,-8 8,-4 -1,4 8,4 8,8 -8,8 -8,4 1,-4 -8,-4",
    "half disc": "-8,4 -8,0 -6,-3 -3,-5 3,-5 6,-3 8,0 8,4",
    "bow tie": "-8,-8 0,-2 8,-8 8,8 0,2 -8,8",
    "stairs": "-8,-8 -3,-8 -3,-3 3,-3 3,3 8,3 8,8 3,8 -8,8",
    "bolt": "-1,-8 7,-8 2,-2 7,-2 -5,8 -2,1 -7,1",
    "wedge": "8,-8 8,8 -8,8",
}
"""Corners ``x,y`` from -8 to 8, y downwards; a second outline after a slash is a hole."""


def all_masks() -> np.ndarray:
    """Returns every figure ``(24, CANVAS, CANVAS)`` uint8: outside, black line or inside."""
    return np.stack([mask(outlines) for outlines in SHAPES.values()])


def mask(outlines: str) -> np.ndarray:
    """Returns one figure ``(CANVAS, CANVAS)`` uint8, drawn with whole numbers alone."""
    inside = np.zeros((CANVAS, CANVAS), dtype=bool)
    for outline in outlines.split("/"):
        corners = [tuple(map(int, corner.split(","))) for corner in outline.split()]
        inside ^= _polygon(np.array(corners))
    return np.where(inside, INSIDE, np.where(_widened(inside), BLACK, OUTSIDE)).astype(np.uint8)


def _polygon(corners: np.ndarray) -> np.ndarray:
    """Returns the cells whose centres lie in a polygon: to their right is an odd number of sides.

    Twice the distances from the middle are compared, so that centres of cells are whole numbers.
    """
    axis = 2 * np.arange(CANVAS) + 1 - CANVAS
    x, y = axis[None, :], axis[:, None]
    inside = np.zeros((CANVAS, CANVAS), dtype=bool)
    scaled = corners * 2 * RADIUS // 8
    for (x0, y0), (x1, y1) in zip(scaled, np.roll(scaled, 1, axis=0), strict=True):
        left = (x - x0) * (y1 - y0) < (x1 - x0) * (y - y0)
        inside ^= ((y0 > y) != (y1 > y)) & (left if y1 > y0 else ~left)
    return inside


def _widened(inside: np.ndarray) -> np.ndarray:
    """Returns the cells that are at most ``EDGE`` cells from the figure."""
    wide = inside.copy()
    for dy in range(-EDGE, EDGE + 1):
        for dx in range(-EDGE, EDGE + 1):
            if dx * dx + dy * dy <= EDGE * EDGE:
                wide |= np.roll(inside, (dy, dx), axis=(0, 1))
    return wide
