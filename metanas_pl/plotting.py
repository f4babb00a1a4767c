"""Pictures of cells, mixing weights and training histories, as matplotlib figures.

Figures are made without pyplot: no global state, no display. Matplotlib is imported on first use.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from torch import Tensor

from metanas_pl.spaces.genotype import Cell, Genotype

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Array = Tensor | np.ndarray

# primitive name starts with -> colour of its family
_FAMILIES = {
    "sep_conv": "#15803d",
    "dil_conv": "#7e22ce",
    "conv": "#c2410c",
    "max_pool": "#1d4ed8",
    "avg_pool": "#0e7490",
    "skip": "#475569",
}
_OTHER, _LIGHT, _DARK = "#9d174d", "#94a3b8", "#0f172a"
_INPUTS, _SIDES = ("cell k−2", "cell k−1"), (1, -1)  # input 0 above the nodes, input 1 below
_LABEL: dict[str, Any] = {"ha": "center", "va": "center", "fontsize": 8.5}
_RADIUS, _LANE, _X_INPUT = 0.26, 0.5, -0.38  # inches


class _Route(NamedTuple):
    """An edge of the drawing: from column to column at a signed height in lanes."""

    primitive: str
    source: int
    target: int
    lane: int


def draw_cell(genotype: Genotype, cell: str = "normal") -> Figure:
    """The cell ``normal`` or ``reduce`` as a graph from left to right.

    Circles are nodes under their state number, edges carry their primitive, and the dashed line
    below collects the states that are concatenated. Edges run on separate lanes above and below the
    nodes, so neither their labels nor two edges between the same states cover each other.

    Raises:
        ValueError: there is no such cell.

    >>> figure = draw_cell(Genotype.load("metanas_in_v2"), "reduce")
    >>> [text.get_text() for text in figure.axes[0].texts][:4]
    ['reduce cell', 'cell k−2', 'cell k−1', '2']
    """
    nodes, outputs = genotype.cell(cell)
    routes = _routes(nodes)
    longest = max(len(route.primitive) for route in routes)
    gap = max(1.75, 0.085 * longest + 0.75)
    top = max(1, *(route.lane for route in routes))
    bottom = min(-1, *(route.lane for route in routes)) - 1
    x_end = gap * len(nodes) + 1.1
    figure, axes = _canvas((-0.85, x_end + 0.5), (bottom * _LANE - 0.2, top * _LANE + 0.6))
    axes.text(-0.7, top * _LANE + 0.35, f"{cell} cell", color=_DARK, weight="bold")
    for state, label in enumerate(_INPUTS):
        _box(axes, _X_INPUT, _SIDES[state] * _LANE, label)
    for column in range(1, len(nodes) + 1):
        _node(axes, gap * column, str(column + 1))
    _box(axes, x_end, 0.0, "output")
    for route in routes:
        _edge(axes, route, gap)
    _collect(axes, [gap * (state - 1) for state in outputs], x_end, bottom * _LANE)
    return figure


def _routes(nodes: Cell) -> list[_Route]:
    """Give each edge the free lane closest to the nodes, short edges first.

    Lane 0 joins neighbouring nodes; edges of input 0 run above (> 0), those of input 1 below (< 0),
    and the others where there is room.
    """
    edges = [
        (target - max(source - 1, 0), source, target, name)
        for target, node in enumerate(nodes, start=1)
        for name, source in node
    ]
    taken: dict[int, list[tuple[int, int]]] = {}
    routes = []
    for span, source, target, name in sorted(edges, key=lambda edge: edge[0]):
        start = target - span
        lane = next(
            lane
            for lane in _lanes(source, span)
            if all(target <= a or start >= b for a, b in taken.get(lane, []))
        )
        taken.setdefault(lane, []).append((start, target))
        routes.append(_Route(name, source, target, lane))
    return routes


def _lanes(source: int, span: int) -> list[int]:
    """Lanes that an edge may take, best first."""
    distances = range(1, 100)
    if source < 2:
        return [_SIDES[source] * d for d in distances]
    both = [side * d for d in distances for side in _SIDES]
    return [0, *both] if span == 1 else both


def _canvas(xlim: tuple[float, float], ylim: tuple[float, float]) -> tuple[Figure, Axes]:
    """Axes without frame on which one unit is one inch."""
    from matplotlib.figure import Figure

    width, height = xlim[1] - xlim[0], ylim[1] - ylim[0]
    figure = Figure(figsize=(width, height), facecolor="white")
    axes = figure.add_axes((0, 0, 1, 1), xlim=xlim, ylim=ylim)
    axes.set_axis_off()
    return figure, axes


def _box(axes: Axes, x: float, y: float, label: str) -> None:
    style = {"boxstyle": "round,pad=0.45", "facecolor": "#e2e8f0", "edgecolor": _DARK}
    axes.text(x, y, label, color=_DARK, bbox=style, zorder=4, **_LABEL)


def _node(axes: Axes, x: float, label: str) -> None:
    from matplotlib.patches import Circle

    axes.add_patch(Circle((x, 0), _RADIUS, facecolor="white", edgecolor=_DARK, lw=1.3, zorder=4))
    axes.text(x, 0, label, color=_DARK, zorder=5, **_LABEL | {"fontsize": 11})


def _edge(axes: Axes, route: _Route, gap: float) -> None:
    """Draw one edge along its lane, with its label in the gap before the target."""
    from matplotlib.patches import FancyArrowPatch
    from matplotlib.path import Path as Curve

    y, x_target = route.lane * _LANE, gap * route.target
    x0, y0, x_lane = _departure(route, gap)
    x1, y1 = _rim(x_target, y, -1)
    x_down, steep = x_target - 0.45, y0 + (y - y0) * 0.75
    points = [(x0, y0), ((2 * x0 + x_lane) / 3, steep), (x_lane - 0.15, y), (x_lane, y)]
    points += [(x_down, y), (x_down + 0.2, y), (x1 - 0.1, y1 + (y - y1) * 0.5), (x1, y1)]
    codes = [Curve.MOVETO, *[Curve.CURVE4] * 3, Curve.LINETO, *[Curve.CURVE4] * 3]
    colour = _colour(route.primitive)
    axes.add_patch(
        FancyArrowPatch(
            path=Curve(points, codes), arrowstyle="-|>", mutation_scale=11, color=colour, lw=1.6
        )
    )
    style = {"boxstyle": "round,pad=0.3", "facecolor": colour, "edgecolor": "white"}
    axes.text(x_target - gap / 2, y, route.primitive, color="white", bbox=style, zorder=6, **_LABEL)


def _departure(route: _Route, gap: float) -> tuple[float, float, float]:
    """Where an edge begins ``(x, y)``, and the x at which it has reached its lane."""
    if route.source >= 2:
        x = gap * (route.source - 1)
        return *_rim(x, route.lane * _LANE, 1), x + 0.45
    if abs(route.lane) == 1:  # straight out of the box
        return _X_INPUT + 0.35, route.lane * _LANE, 0.1
    x = _X_INPUT + max(0.4 - 0.1 * abs(route.lane), -0.25)  # nested, the outermost leftmost
    return x, _SIDES[route.source] * (_LANE + 0.15), x + 0.3


def _rim(x: float, lane_y: float, side: int) -> tuple[float, float]:
    """Where an edge at height ``lane_y`` meets a node: steeper, the higher its lane."""
    angle = math.atan2(lane_y, 0.55)
    return x + side * _RADIUS * math.cos(angle), _RADIUS * math.sin(angle)


def _collect(axes: Axes, xs: Sequence[float], x_end: float, y: float) -> None:
    """The dashed line from the concatenated nodes to the output."""
    style: dict[str, Any] = {"color": _LIGHT, "lw": 1.4, "ls": (0, (4, 2)), "zorder": 1}
    for x in xs:
        axes.plot([x, x], [0, y], **style)
    axes.plot([min(xs), x_end, x_end], [y, y, -0.45], **style)
    arrow = {"arrowstyle": "-|>", "color": _LIGHT}
    axes.annotate("", (x_end, -0.15), (x_end, -0.5), arrowprops=arrow)


def _colour(primitive: str) -> str:
    return next((c for family, c in _FAMILIES.items() if primitive.startswith(family)), _OTHER)


def draw_mixing(mixing: Mapping[str, Array], primitives: Sequence[str], cell: str) -> Figure:
    """Heat-map of the mixing weights of a relaxed cell, and of its input pairs where it has them.

    Args:
        mixing: ``f"{cell}_{i}"`` of shape ``(i + 2, O)`` for each node i, and for each or none
            ``f"{cell}_pair_{i}"``, ``(C(i + 2, 2),)``: pairs k < l in lexicographic order.
        primitives: the O names.
        cell: ``normal`` or ``reduce``.

    Raises:
        ValueError: there are no weights of that cell, or a shape does not fit.

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
        panels[0].axhline(row - 0.5, color=_LIGHT, lw=1)
    if len(pairs):
        _heat_map(panels[1], pairs, pair_rows, columns, f"{cell} cell: input pairs of the nodes")
    return figure


def _edge_table(
    mixing: Mapping[str, Array], primitives: Sequence[str], cell: str
) -> tuple[np.ndarray, list[str], list[int]]:
    """All edges ``(E, O)``, their names, and the first row of each node."""
    parts: list[np.ndarray] = []
    rows: list[str] = []
    breaks: list[int] = []
    while f"{cell}_{len(parts)}" in mixing:
        i = len(parts)
        parts.append(_checked(mixing, f"{cell}_{i}", (i + 2, len(primitives))))
        breaks.append(len(rows))
        rows += [f"{i + 2} ← {j}" for j in range(i + 2)]
    if not parts:
        raise ValueError(f"mixing has no {cell}_0, only {sorted(mixing)}: name a cell it holds")
    return np.concatenate(parts), rows, breaks


def _pair_table(
    mixing: Mapping[str, Array], cell: str, n_nodes: int
) -> tuple[np.ndarray, list[str], list[str]]:
    """Pair weights ``(nodes, pairs)``, NaN where a node lacks a pair; names of rows and columns."""
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
        raise ValueError(f"mixing lacks {key}: give it for every node or for none")
    value = mixing[key]
    array = value.detach().cpu().float().numpy() if isinstance(value, Tensor) else np.asarray(value)
    if array.shape != shape:
        raise ValueError(f"mixing[{key!r}] has shape {array.shape}: it must be {shape}")
    return array


def _heat_map(
    axes: Axes, table: np.ndarray, rows: Sequence[str], columns: Sequence[str], title: str
) -> None:
    """Values from 0 to 1 as colours and as numbers; NaN stays blank."""
    axes.imshow(table, cmap="Blues", vmin=0, vmax=1, aspect="auto")
    axes.set_title(title, loc="left", fontsize=10, color=_DARK)
    axes.set_xticks(range(len(columns)), columns, fontsize=8.5)
    if any(len(name) > 6 for name in columns):
        for label in axes.get_xticklabels():
            label.set(rotation=30, ha="right", rotation_mode="anchor")
    axes.set_yticks(range(len(rows)), rows, fontsize=8.5)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    for (row, column), value in np.ndenumerate(table):
        if not np.isnan(value):
            colour = "white" if value > 0.55 else _DARK
            axes.text(column, row, f"{value:.2f}", color=colour, **_LABEL)


def draw_history(
    rows: Sequence[Mapping[str, float]], keys: Sequence[str], x: str = "step"
) -> Figure:
    """Line plots of logged values, one axis a key.

    Args:
        rows: one mapping per logging time; a row may lack keys.
        keys: what to plot.
        x: the key on the horizontal axis.

    Raises:
        ValueError: there are no keys, or no row holds both ``x`` and one of them.

    >>> figure = draw_history([{"step": 0, "loss": 2.0}, {"step": 1, "loss": 1.5}], ["loss"])
    >>> figure.axes[0].get_title(loc="left")
    'loss'
    """
    from matplotlib.figure import Figure

    known = sorted({name for row in rows for name in row})
    if not keys:
        raise ValueError(f"keys is empty: choose from {known}")
    n_columns = min(3, len(keys))
    n_rows = math.ceil(len(keys) / n_columns)
    figure = Figure(figsize=(3.6 * n_columns, 2.5 * n_rows), layout="constrained")
    panels = list(figure.subplots(n_rows, n_columns, squeeze=False).flat)
    for axes, key in zip(panels, keys, strict=False):
        points = [(row[x], row[key]) for row in rows if x in row and key in row]
        if not points:
            raise ValueError(f"no row holds {x!r} and {key!r}: choose from {known}")
        axes.plot(*zip(*points, strict=True), color="#1d4ed8", lw=1.6, marker="o", ms=3)
        axes.set_title(key, loc="left", fontsize=10, color=_DARK)
        axes.set_xlabel(x, fontsize=8.5)
        axes.tick_params(labelsize=8.5)
        axes.grid(color="#e2e8f0")
        axes.spines[["top", "right"]].set_visible(False)
    for axes in panels[len(keys) :]:
        axes.set_axis_off()
    return figure


def save_figure(figure: Figure, path: str | Path) -> None:
    """Write a figure as ``.svg`` or ``.png``; the same figure gives the same bytes.

    Raises:
        ValueError: another suffix.
    """
    import matplotlib

    path = Path(path)
    if path.suffix not in (".svg", ".png"):
        raise ValueError(f"cannot write {path.name!r}: the suffix must be .svg or .png")
    path.parent.mkdir(parents=True, exist_ok=True)
    metadata = {"Date": None} if path.suffix == ".svg" else None
    with matplotlib.rc_context({"svg.hashsalt": "metanas"}):
        figure.savefig(path, dpi=200, metadata=metadata)
