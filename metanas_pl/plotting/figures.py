"""What all pictures share: colours, labels, an empty canvas, and reproducible files."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from metanas_pl.errors import UserError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# primitive name starts with -> colour of its family
_FAMILIES = {
    "sep_conv": "#15803d",
    "dil_conv": "#7e22ce",
    "conv": "#c2410c",
    "nor_conv": "#c2410c",
    "max_pool": "#1d4ed8",
    "avg_pool": "#0e7490",
    "skip": "#475569",
}
_OTHER = "#9d174d"
LIGHT, DARK = "#94a3b8", "#0f172a"
DPI = 200  # of PNG files
LABEL: dict[str, Any] = {"ha": "center", "va": "center", "fontsize": 8.5}


def colour_of(primitive: str) -> str:
    """Returns the colour of the family of a primitive."""
    return next((c for family, c in _FAMILIES.items() if primitive.startswith(family)), _OTHER)


def canvas(xlim: tuple[float, float], ylim: tuple[float, float]) -> tuple[Figure, Axes]:
    """Returns axes without frame on which one unit is one inch."""
    from matplotlib.figure import Figure

    width, height = xlim[1] - xlim[0], ylim[1] - ylim[0]
    figure = Figure(figsize=(width, height), facecolor="white")
    axes = figure.add_axes((0, 0, 1, 1), xlim=xlim, ylim=ylim)
    axes.set_axis_off()
    return figure, axes


def save_figure(figure: Figure, path: str | Path) -> None:
    """Writes a figure as ``.svg`` or ``.png``; the same figure gives the same bytes.

    Raises:
        UserError: another suffix.
    """
    import matplotlib

    path = Path(path)
    if path.suffix not in (".svg", ".png"):
        raise UserError(f"cannot write {path.name!r}: the suffix must be .svg or .png")
    path.parent.mkdir(parents=True, exist_ok=True)
    metadata = {"Date": None} if path.suffix == ".svg" else None
    with matplotlib.rc_context({"svg.hashsalt": "metanas"}):
        figure.savefig(path, dpi=DPI, metadata=metadata)
