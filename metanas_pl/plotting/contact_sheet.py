"""A contact sheet: every image of an episode, each class in a row of its own.

All sizes are whole pixels of the PNG file, so that an image of 28 x 28 is enlarged without a blur.
"""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from metanas_pl.plotting.figures import DARK, DPI, LABEL, canvas

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

LEAST_SIDE = 96  # an image is drawn with at least so many pixels
GAP, BLOCK_GAP, MARGIN = 8, 32, 24
HEADER, TITLE = 40, 56
LABEL_WIDTH, LABEL_LINES = 26, 3  # letters, lines
FONT_SIZE = 7.5
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
    """A row for each class: its name, its support images on blue, its query images.

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
    side = support[0].shape[-1] * -(-LEAST_SIDE // support[0].shape[-1])
    widths = [max(len(row) for row in block) for block in (support, query)]
    left = MARGIN + max(_text_width(line) for name, group in labels for line in (*name, group))
    layout = _Layout(side, left + 2 * GAP, widths[0], widths[1], len(names))
    width = max(layout.width, MARGIN + _text_width(title, 1.2) + MARGIN)
    figure, axes = canvas((0, width / DPI), (0, layout.height / DPI))
    figure.set_dpi(DPI)
    axes.invert_yaxis()  # pixels are counted from above
    extent = (0, layout.width / DPI, layout.height / DPI, 0)
    sheet = _paint(layout, support, query, ink_is_one)
    axes.set_autoscale_on(False)
    axes.imshow(sheet, extent=extent, interpolation="nearest", aspect="auto")
    _write(axes, MARGIN, MARGIN + 8, title, ha="left", fontsize=1.2 * FONT_SIZE)
    for name, column, n in (("support", 0, widths[0]), ("queries", widths[0], widths[1])):
        middle = (layout.x(column) + layout.x(column + n - 1) + side) / 2
        _write(axes, middle, layout.top - HEADER / 2, name, color=GREY)
    for k, (lines, group) in enumerate(labels):
        _write_label(axes, left, layout.y(k) + side / 2, lines, group)
    return figure


class _Layout(NamedTuple):
    """Where things are, in pixels from the upper left corner."""

    side: int
    left: int
    n_support: int
    n_query: int
    n_rows: int

    @property
    def top(self) -> int:
        return TITLE + HEADER

    @property
    def width(self) -> int:
        return self.x(self.n_support + self.n_query) - GAP + MARGIN

    @property
    def height(self) -> int:
        return self.y(self.n_rows) - GAP + MARGIN

    def x(self, column: int) -> int:
        """Left side of a column; the support columns come first."""
        gap = BLOCK_GAP if column >= self.n_support else 0
        return self.left + column * (self.side + GAP) + gap

    def y(self, row: int) -> int:
        """Upper side of a row."""
        return self.top + row * (self.side + GAP)


def _paint(layout: _Layout, support: ClassRow, query: ClassRow, ink_is_one: bool) -> np.ndarray:
    """All images on one sheet, ``(height, width, 3)`` uint8."""
    sheet = np.full((layout.height, layout.width, 3), PAPER, dtype=np.uint8)
    right = layout.x(layout.n_support - 1) + layout.side
    band = slice(layout.y(0) - GAP, layout.y(layout.n_rows)), slice(layout.left - GAP, right + GAP)
    sheet[band] = SUPPORT
    for first, block in ((0, support), (layout.n_support, query)):
        for row, images in enumerate(block):
            for k, image in enumerate(images):
                y, x = layout.y(row), layout.x(first + k)
                sheet[y - 1 : y + layout.side + 1, x - 1 : x + layout.side + 1] = EDGE
                picture = _enlarge(255 - image if ink_is_one else image, layout.side)
                sheet[y : y + layout.side, x : x + layout.side] = picture
    return sheet


def _enlarge(image: np.ndarray, side: int) -> np.ndarray:
    """``(C, H, W)`` to ``(side, side, 3)`` by repeating pixels."""
    factor = side // image.shape[-1]
    large = image.repeat(factor, axis=1).repeat(factor, axis=2)
    return np.broadcast_to(large, (3, side, side)).transpose(1, 2, 0)


def _label(name: str, group: str) -> tuple[list[str], str]:
    """Name and group in lines that are short enough."""
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
    """Pixels of a line of text, rounded up."""
    from matplotlib.font_manager import FontProperties
    from matplotlib.textpath import text_to_path

    font = FontProperties(size=scale * FONT_SIZE)
    width, _, _ = text_to_path.get_text_width_height_descent(text, font, ismath=False)
    return int(np.ceil(width * DPI / 72))


def _write(axes: Axes, x: float, y: float, text: str, **style: str | float) -> None:
    """Text at a pixel; names are no formulas."""
    look = {
        **LABEL,
        "fontsize": FONT_SIZE,
        "color": DARK,
        "parse_math": False,
        **style,
    }
    axes.text(x / DPI, y / DPI, text, **look)


def _write_label(axes: Axes, right: float, middle: float, lines: list[str], group: str) -> None:
    """The lines of a name and below them its group, as a block around ``middle``."""
    height = 1.25 * FONT_SIZE * DPI / 72
    rows = [(line, DARK) for line in lines] + [(group, GREY)] * bool(group)
    first = middle - height * (len(rows) - 1) / 2
    for k, (line, colour) in enumerate(rows):
        _write(axes, right, first + k * height, line, ha="right", color=colour)
