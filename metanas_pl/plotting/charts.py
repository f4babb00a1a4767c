"""Numbers as charts: mixing weights as heat-maps, logged values as lines over time."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np
from torch import Tensor

from metanas_pl.errors import UserError
from metanas_pl.plotting.figures import DARK, LABEL, LIGHT

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Array = Tensor | np.ndarray


def draw_mixing(mixing: Mapping[str, Array], primitives: Sequence[str], cell: str) -> Figure:
    """Returns heat-map of the mixing weights of a relaxed cell, and of its input pairs where it has them.

    Args:
        mixing: ``f"{cell}_{i}"`` of shape ``(i + 2, O)`` for each node i, and for each or none
            ``f"{cell}_pair_{i}"``, ``(C(i + 2, 2),)``: pairs k < l in lexicographic order.
        primitives: the O names.
        cell: ``normal`` or ``reduce``.

    Raises:
        UserError: there are no weights of that cell, or a shape does not fit.

    >>> figure = draw_mixing({"normal_0": np.eye(2)}, ["conv_3x3", "skip_connect"], "normal")
    >>> [label.get_text() for label in figure.axes[0].get_yticklabels()]
    ['2 ← 0', '2 ← 1']
    """
    from matplotlib.figure import Figure

    edges, rows, breaks = _edge_table(mixing, primitives, cell)
    pairs, pair_rows, columns = _pair_table(mixing, cell, len(breaks))
    heights = [len(rows)] + [len(pair_rows)] * (len(pairs) > 0)
    width = 1.2 + max(0.68 * len(primitives), 0.48 * len(columns))
    figure = Figure(figsize=(width, 1.3 * len(heights) + 0.33 * sum(heights)), layout="constrained")
    panels = figure.subplots(len(heights), 1, squeeze=False, height_ratios=heights)[:, 0]
    _heat_map(panels[0], edges, rows, primitives, f"{cell} cell: edges (node ← input)")
    for row in breaks[1:]:
        panels[0].axhline(row - 0.5, color=LIGHT, lw=1)
    if len(pairs):
        _heat_map(panels[1], pairs, pair_rows, columns, f"{cell} cell: input pairs of the nodes")
    return figure


def _edge_table(
    mixing: Mapping[str, Array], primitives: Sequence[str], cell: str
) -> tuple[np.ndarray, list[str], list[int]]:
    """Returns all edges ``(E, O)``, their names, and the first row of each node."""
    parts: list[np.ndarray] = []
    rows: list[str] = []
    breaks: list[int] = []
    while f"{cell}_{len(parts)}" in mixing:
        i = len(parts)
        parts.append(_checked(mixing, f"{cell}_{i}", (i + 2, len(primitives))))
        breaks.append(len(rows))
        rows += [f"{i + 2} ← {j}" for j in range(i + 2)]
    if not parts:
        raise UserError(f"mixing has no {cell}_0, only {sorted(mixing)}: name a cell it holds")
    return np.concatenate(parts), rows, breaks


def _pair_table(
    mixing: Mapping[str, Array], cell: str, n_nodes: int
) -> tuple[np.ndarray, list[str], list[str]]:
    """Returns pair weights ``(nodes, pairs)``, NaN where a node lacks a pair; names of rows and columns."""
    names = list(combinations(range(n_nodes + 1), 2))
    table = np.full((n_nodes, len(names)), np.nan)
    if f"{cell}_pair_0" not in mixing:
        return table[:0], [], []
    for i in range(n_nodes):
        own = list(combinations(range(i + 2), 2))
        weights = _checked(mixing, f"{cell}_pair_{i}", (len(own),))
        table[i, [names.index(pair) for pair in own]] = weights
    return table, [f"{i + 2}" for i in range(n_nodes)], [f"{k}, {m}" for k, m in names]


def _checked(mixing: Mapping[str, Array], key: str, shape: tuple[int, ...]) -> np.ndarray:
    if key not in mixing:
        raise UserError(f"mixing lacks {key}: give it for every node or for none")
    value = mixing[key]
    array = value.detach().cpu().float().numpy() if isinstance(value, Tensor) else np.asarray(value)
    if array.shape != shape:
        raise UserError(f"mixing[{key!r}] has shape {array.shape}: it must be {shape}")
    return array


def _heat_map(
    axes: Axes, table: np.ndarray, rows: Sequence[str], columns: Sequence[str], title: str
) -> None:
    """Values from 0 to 1 as colours and as numbers; NaN stays blank."""
    axes.imshow(table, cmap="Blues", vmin=0, vmax=1, aspect="auto")
    axes.set_title(title, loc="left", fontsize=10, color=DARK)
    axes.set_xticks(range(len(columns)), columns, fontsize=8.5)
    if any(len(name) > 6 for name in columns):
        for label in axes.get_xticklabels():
            label.set(rotation=30, ha="right", rotation_mode="anchor")
    axes.set_yticks(range(len(rows)), rows, fontsize=8.5)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    for (row, column), value in np.ndenumerate(table):
        if not np.isnan(value):
            colour = "white" if value > 0.55 else DARK
            axes.text(column, row, f"{value:.2f}", color=colour, **LABEL)


def draw_history(
    rows: Sequence[Mapping[str, float]], keys: Sequence[str], x: str = "step"
) -> Figure:
    """Draws logged values as lines, one axis per key.

    Args:
        rows: one mapping per logging time; a row may lack keys.
        keys: what to plot.
        x: the key on the horizontal axis.

    Raises:
        UserError: there are no keys, or no row holds both ``x`` and one of them.

    >>> figure = draw_history([{"step": 0, "loss": 2.0}, {"step": 1, "loss": 1.5}], ["loss"])
    >>> figure.axes[0].get_title(loc="left")
    'loss'
    """
    from matplotlib.figure import Figure

    known = sorted({name for row in rows for name in row})
    if not keys:
        raise UserError(f"keys is empty: choose from {known}")
    n_columns = min(3, len(keys))
    n_rows = math.ceil(len(keys) / n_columns)
    figure = Figure(figsize=(3.6 * n_columns, 2.5 * n_rows), layout="constrained")
    panels = list(figure.subplots(n_rows, n_columns, squeeze=False).flat)
    for axes, key in zip(panels, keys, strict=False):
        points = [(row[x], row[key]) for row in rows if x in row and key in row]
        if not points:
            raise UserError(f"no row holds {x!r} and {key!r}: choose from {known}")
        axes.plot(*zip(*points, strict=True), color="#1d4ed8", lw=1.6, marker="o", ms=3)
        axes.set_title(key, loc="left", fontsize=10, color=DARK)
        axes.set_xlabel(x, fontsize=8.5)
        axes.tick_params(labelsize=8.5)
        axes.grid(color="#e2e8f0")
        axes.spines[["top", "right"]].set_visible(False)
    for axes in panels[len(keys) :]:
        axes.set_axis_off()
    return figure
