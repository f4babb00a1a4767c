"""Contact sheets: whole pixels, no overlap, every name readable."""

from __future__ import annotations

import warnings
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from PIL import Image

from metanas_pl.plotting import draw_contact_sheet, save_figure

NAMES = ["U+A756 LATIN CAPITAL LETTER Q WITH STROKE THROUGH DESCENDER", "Жук", "价格_$x$", "a" * 90]


def blocks(ways: int, shots: int, size: int, channels: int) -> list[np.ndarray]:
    rng = np.random.default_rng(ways)
    return [
        rng.integers(0, 256, (shots, channels, size, size), dtype=np.uint8) for _ in range(ways)
    ]


def read_png(figure: object, path: Path) -> np.ndarray:
    save_figure(figure, path)  # type: ignore[arg-type]
    return np.asarray(Image.open(path).convert("RGB"))


@pytest.mark.parametrize(("size", "channels"), [(28, 1), (32, 3), (84, 3), (105, 1)])
def test_images_are_in_the_file_pixel_by_pixel(size: int, channels: int, tmp_path: Path) -> None:
    support, query = blocks(3, 1, size, channels), blocks(3, 4, size, channels)
    sheet = read_png(
        draw_contact_sheet(support, query, ["a", "b", "c"], "title"), tmp_path / "s.png"
    )
    side = max(1, -(-96 // size)) * size
    found = 0
    for image in np.concatenate([*support, *query]):
        large = np.kron(image.transpose(1, 2, 0), np.ones((side // size, side // size, 1)))
        large = np.broadcast_to(large, (side, side, 3)).astype(np.uint8)
        rows, columns = np.nonzero((sheet == large[0, 0]).all(-1))
        found += any(
            np.array_equal(sheet[y : y + side, x : x + side], large)
            for y, x in zip(rows, columns, strict=True)
        )
    assert found == 15


def test_ink_is_black_on_white(tmp_path: Path) -> None:
    ink = np.zeros((1, 1, 2, 2), dtype=np.uint8)
    ink[..., 0, 0] = 255
    for ink_is_one, corner in ((True, 0), (False, 255)):
        figure = draw_contact_sheet([ink], [ink], ["a"], "t", ink_is_one=ink_is_one)
        sheet = read_png(figure, tmp_path / "s.png")
        x = int(figure.axes[0].texts[1].get_position()[0])  # the middle of "support"
        y = int(figure.axes[0].texts[3].get_position()[1])  # the middle of the row
        assert (sheet[y - 5, x - 5] == corner).all() and (sheet[y + 5, x + 5] == 255 - corner).all()


@pytest.mark.parametrize(("shots", "queries"), [(1, 1), (5, 15)])
def test_no_text_meets_another_or_an_image(shots: int, queries: int) -> None:
    support, query = blocks(4, shots, 28, 1), blocks(4, queries, 28, 1)
    figure = draw_contact_sheet(support, query, NAMES, "one line of title", ["group"] * 4)
    renderer = FigureCanvasAgg(figure).get_renderer()
    texts = figure.axes[0].texts
    boxes = [text.get_window_extent(renderer) for text in texts]
    inside = figure.bbox
    for box in boxes:
        assert inside.x0 <= box.x0 and box.x1 <= inside.x1
        assert inside.y0 <= box.y0 and box.y1 <= inside.y1
    assert not [(a, b) for a, b in combinations(boxes, 2) if a.overlaps(b)]
    first_image = boxes[1].x0 + boxes[1].width / 2 - figure.dpi * 28 * 4 / 200
    assert max(box.x1 for box in boxes[3:]) < first_image + figure.dpi * 28 * 2 / 200


def test_names_that_the_font_lacks_are_code_points() -> None:
    images = blocks(1, 1, 28, 1)
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # matplotlib would warn of a missing glyph
        figure = draw_contact_sheet(images, images, ["Ж 中"], "", ["国_語"])
    written = [text.get_text() for text in figure.axes[0].texts[3:]]
    assert written == ["Ж U+4E2D", "U+56FD _ U+8A9E"]


def test_classes_may_have_different_numbers_of_images() -> None:
    support, query = blocks(2, 2, 28, 1), blocks(2, 3, 28, 1)
    full = draw_contact_sheet(support, query, ["a", "b"], "t")
    fewer = draw_contact_sheet([support[0][:1], support[1]], query, ["a", "b"], "t")
    assert full.get_size_inches().tolist() == fewer.get_size_inches().tolist()
