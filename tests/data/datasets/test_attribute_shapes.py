"""The figures: an independent test of points, and no two that look the same."""

from __future__ import annotations

from itertools import combinations

import numpy as np
from matplotlib.path import Path as Outline

from metanas_pl.data.datasets import attribute_shapes as shapes


def test_a_figure_holds_the_points_that_matplotlib_finds_inside() -> None:
    axis = (np.arange(shapes.CANVAS) + 0.5 - shapes.CANVAS / 2) * 8 / shapes.RADIUS
    points = np.stack(np.meshgrid(axis, axis), axis=-1).reshape(-1, 2)
    for name, outlines in shapes.SHAPES.items():
        expected, on_a_side = np.zeros((2, len(points)), dtype=bool)
        for text in outlines.split("/"):
            corners = np.array([list(map(int, corner.split(","))) for corner in text.split()])
            narrow, wide = (
                Outline(corners).contains_points(points, radius=r) for r in (-0.02, 0.02)
            )
            on_a_side |= narrow != wide
            expected ^= wide
        inside = shapes.mask(outlines).ravel() == shapes.INSIDE
        assert ((inside == expected) | on_a_side).all() and on_a_side.mean() < 0.03, name


def test_a_figure_has_a_black_line_and_fits_its_canvas() -> None:
    masks = shapes.all_masks()
    assert masks.shape == (24, shapes.CANVAS, shapes.CANVAS)
    for name, mask in zip(shapes.SHAPES, masks, strict=True):
        rows, columns = np.nonzero(mask)
        border = shapes.CANVAS - 1 - np.array([rows.max(), columns.max()])
        assert min(rows.min(), columns.min(), *border) >= 5, name
        inside = mask == shapes.INSIDE
        for axis in (0, 1):
            assert not (inside & (np.roll(mask, 1, axis) == shapes.OUTSIDE)).any(), name


def test_no_two_figures_are_alike() -> None:
    inside = shapes.all_masks() == shapes.INSIDE
    for (i, a), (j, b) in combinations(enumerate(inside), 2):
        common = (a & b).sum() / (a | b).sum()
        assert common < 0.85, (list(shapes.SHAPES)[i], list(shapes.SHAPES)[j])
