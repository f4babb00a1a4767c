"""A contact sheet: every image of an episode, each class in a row of its own.

All sizes are whole pixels of the PNG file, so that an image of 28 x 28 is enlarged without a blur.
"""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from metanas_pl.plotting.figures import DARK, DPI, LABEL, canvas

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

LEAST_SIDE = 96  # an image is drawn with at least so many pixels
GAP, BLOCK_GAP, MARGIN, TOP = 8, 24, 24, 92
LABEL_WIDTH, LABEL_LINES = 26, 3  # letters, lines
FONT_SIZE = 7.5
LINE = 1.25 * FONT_SIZE * DPI / 72
EDGE, SUPPORT, PAPER = (203, 213, 225), (219, 234, 254), (255, 255, 255)
GREY = "#475569"

ClassRow = Sequence[np.ndarray]


def draw_contact_sheet(
    support: ClassRow,
    query: ClassRow,
    names: Sequence[str],
    title: str,
    groups: Sequence[str] | None = None,
    ink_is_one: bool = False,
) -> Figure:
    """Draws a row for each class: its name, its support images on blue, its query images.

    Args:
        support: images ``(S, C, H, W)`` uint8 of each class; C is 1 or 3.
        query: images ``(Q, C, H, W)`` uint8 of each class.
        names: name of each class; a character that the font lacks is written as ``U+4E2D``.
        title: one line above.
        groups: what each class belongs to (alphabet, …), written below its name.
        ink_is_one: 255 is ink, drawn black on white.

    >>> images = [np.zeros((1, 1, 28, 28), np.uint8)] * 2
    >>> figure = draw_contact_sheet(images, images, ["cat", "dog"], "pets")
    >>> [text.get_text() for text in figure.axes[0].texts]
    ['pets', 'support', 'queries', 'cat', 'dog']
    """
    labels = [_label(*pair) for pair in zip(names, groups or [""] * len(names), strict=True)]
    blocks = {
        "support": _paint(support, SUPPORT, ink_is_one),
        "queries": _paint(query, PAPER, ink_is_one),
    }
    rows = blocks["support"].shape[0]
    left = MARGIN + max(_text_width(line) for lines, group in labels for line in (*lines, group))
    x = left + GAP
    right = x + sum(block.shape[1] + BLOCK_GAP for block in blocks.values())
    width, height = max(right, 2 * MARGIN + _text_width(title, 1.2)), TOP + rows + MARGIN
    figure, axes = canvas((0, width / DPI), (0, height / DPI))
    figure.set_dpi(DPI)
    axes.set(xlim=(0, width), ylim=(height, 0), autoscale_on=False)  # pixels, counted from above
    _write(axes, MARGIN, MARGIN + GAP, title, ha="left", fontsize=1.2 * FONT_SIZE)
    for name, block in blocks.items():
        end = x + block.shape[1]
        axes.imshow(block, extent=(x, end, TOP + rows, TOP), interpolation="nearest", aspect="auto")
        _write(axes, (x + end) / 2, TOP - 0.8 * LINE, name, color=GREY)
        x = end + BLOCK_GAP
    for k, (lines, group) in enumerate(labels):
        middle = TOP + (k + 0.5) * rows / len(labels)
        _write(axes, left, middle - LINE / 2 * bool(group), "\n".join(lines), ha="right")
        if group:
            _write(axes, left, middle + LINE / 2 * len(lines), group, ha="right", color=GREY)
    return figure


def _paint(rows: ClassRow, paper: tuple[int, int, int], ink_is_one: bool) -> np.ndarray:
    """Returns images on paper, a class a row, each with a thin edge: ``(height, width, 3)`` uint8."""
    factor = -(-LEAST_SIDE // rows[0].shape[-1])
    pitch, columns = factor * rows[0].shape[-1] + GAP, max(map(len, rows))
    tiles = np.full((len(rows), columns, pitch, pitch, 3), paper, dtype=np.uint8)
    inside = slice(GAP // 2, -GAP // 2)
    around = slice(GAP // 2 - 1, 1 - GAP // 2)
    for k, images in enumerate(rows):
        large = images.repeat(factor, axis=2).repeat(factor, axis=3).transpose(0, 2, 3, 1)
        tiles[k, : len(images), around, around] = EDGE
        tiles[k, : len(images), inside, inside] = 255 - large if ink_is_one else large
    return tiles.swapaxes(1, 2).reshape(len(rows) * pitch, columns * pitch, 3)


def _label(name: str, group: str) -> tuple[list[str], str]:
    """Returns the name and group in lines that are short enough."""
    wrap = textwrap.TextWrapper(LABEL_WIDTH, max_lines=LABEL_LINES, placeholder=" …")
    group = printable(group)
    if len(group) > LABEL_WIDTH:
        group = f"{group[: LABEL_WIDTH - 1]}…"
    return wrap.wrap(printable(name)), group


def printable(text: str) -> str:
    """``text`` with every character that the font lacks as its code point.

    >>> printable("Ж and 中国")
    'Ж and U+4E2D U+56FD'
    """
    from matplotlib.font_manager import FontProperties, findfont, get_font

    font = get_font(findfont(FontProperties()))
    known = (c if font.get_char_index(ord(c)) else f" U+{ord(c):04X} " for c in text)
    return " ".join("".join(known).split())


def _text_width(text: str, scale: float = 1.0) -> int:
    """Returns pixels of a line of text, rounded up."""
    from matplotlib.font_manager import FontProperties
    from matplotlib.textpath import text_to_path

    font = FontProperties(size=scale * FONT_SIZE)
    width, _, _ = text_to_path.get_text_width_height_descent(text, font, ismath=False)
    return int(np.ceil(width * DPI / 72))


def _write(axes: Axes, x: float, y: float, text: str, **style: str | float) -> None:
    """Text at a pixel; names are no formulas."""
    look = {**LABEL, "fontsize": FONT_SIZE, "color": DARK, "parse_math": False, **style}
    axes.text(x, y, text, **look)
