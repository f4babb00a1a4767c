"""The drawing: each part of a picture against a formula of its own."""

from __future__ import annotations

import colorsys

import numpy as np
import pytest

from metanas_pl.data.datasets import attribute_pictures as pictures
from metanas_pl.data.datasets.attribute_pictures import UNIT, Painter, Scene, rgb


def plain(n: int = 1, size: int = 32, **parts: object) -> np.ndarray:
    """Paints n pictures with stripes of a contrast of next to nothing, and only the parts that are named.

    Returns ``(n, size, size, 3)``. What is not asked for is moved out of the picture.
    """
    away = 100.0 * UNIT
    zeros = np.zeros(n)
    scene = Scene(
        shape=np.zeros(n, dtype=int),
        figure_hue=zeros,
        background_hue=zeros,
        direction=zeros,
        period=np.full(n, 8.0 * UNIT),
        phase=zeros,
        contrast=np.full(n, 0.001),
        centre=np.full((n, 2), away),
        radius=np.full(n, 6.0 * UNIT),
        marker=zeros,
        line_angle=zeros,
        line_offset=np.full(n, away),
        line_hue=zeros,
        dots=np.zeros((n, pictures.CELLS**2), dtype=bool),
        dot_shift=np.zeros((n, pictures.CELLS**2, 2)),
    )._replace(**parts)
    return np.moveaxis(Painter(size).paint(scene, np.random.default_rng(0)), 1, -1).astype(int)


def test_colours_are_those_of_the_standard_library() -> None:
    hues = np.linspace(0, 1, 50, endpoint=False)
    for saturation in (0.6, 1.0):
        expected = [np.multiply(255, colorsys.hsv_to_rgb(hue, saturation, 1)) for hue in hues]
        np.testing.assert_allclose(rgb(hues, saturation), expected, atol=0.51)


def test_stripes_have_the_period_and_the_direction() -> None:
    turns = np.array([0.0, 0.125, 0.25])
    found = plain(3, direction=turns, contrast=np.full(3, 1.0))[:, 4:-4, 4:-4, 0].astype(float)
    spectrum = np.abs(np.fft.fft2(found - found.mean(axis=(1, 2), keepdims=True), s=(64, 64)))
    for n, turn in enumerate(turns):
        row, column = np.unravel_index(spectrum[n, :, :33].argmax(), (64, 33))
        row = row if row < 32 else row - 64
        assert np.hypot(row, column) == pytest.approx(64 / 8, abs=1.5)  # 8 pixels a period
        assert abs(np.arctan2(column, row) % np.pi - 2 * np.pi * turn) < 0.2


def test_a_figure_is_where_it_should_be() -> None:
    centre = np.array([[-6.0, 4.0]]) * UNIT
    square = np.array([4])
    (image,) = plain(shape=square, centre=centre, figure_hue=np.array([1 / 3]))
    rows, columns = np.nonzero((image[:, :, 1] > 240) & (image[:, :, 0] < 20))
    assert (columns.min(), columns.max()) == (4, 15)  # 12 pixels around 16 - 6
    assert (rows.min(), rows.max()) == (14, 25)


def test_a_line_goes_through_the_middle() -> None:
    (image,) = plain(line_offset=np.zeros(1), line_hue=np.array([2 / 3]))
    blue = (image[:, :, 2] > 240) & (image[:, :, 0] < 20)
    assert blue[15:17, 5:].all() and not blue[:15].any() and not blue[17:].any()


def test_dots_have_the_size_and_number_that_they_should_have() -> None:
    chosen = np.zeros((1, pictures.CELLS**2), dtype=bool)
    chosen[0, [7, 8, 13, 28, 35]] = True
    shift = np.random.default_rng(1).uniform(-1, 1, (1, chosen.size, 2))
    dotted, bare = plain(dots=chosen, dot_shift=shift), plain()
    light = (dotted - bare)[..., 1].sum() / (255 - 51)  # the stripes have (128, 51, 51)
    assert light == pytest.approx(5 * np.pi * 1.15**2, rel=0.15)  # a radius of 1.15 pixels


def test_the_marker_goes_round() -> None:
    for turn, (row, column) in {0: (2, 2), 0.125: (2, 15), 0.375: (15, 29), 0.75: (29, 2)}.items():
        (image,) = plain(marker=np.array([turn]))
        dark = image.max(axis=-1) < 30
        middle = [places.mean() for places in np.nonzero(dark)]
        assert np.abs(np.subtract(middle, (row, column))).max() < 1, turn


def test_a_larger_picture_shows_the_same() -> None:
    scene = {"centre": np.zeros((1, 2)), "dots": np.eye(1, pictures.CELLS**2, 9, dtype=bool)}
    small, large = plain(**scene), plain(size=64, **scene)
    halved = large.reshape(1, 32, 2, 32, 2, 3).mean(axis=(2, 4))
    assert np.abs(halved - small).mean() < 10
