"""A cell as a graph: nodes in a row, edges on lanes above and below them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from metanas_pl.plotting.figures import DARK, LABEL, LIGHT, canvas, colour_of
from metanas_pl.search_spaces.genotypes.genotype import Architecture, Cell

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from metanas_pl.types import Settings

_SIDES = (1, -1)  # of two inputs, input 0 is above the nodes, input 1 below
_RADIUS, _LANE, _X_INPUT = 0.26, 0.5, -0.38  # inches


class _Route(NamedTuple):
    """An edge of the drawing: from column to column at a signed height in lanes.

    ``side`` is 1 or -1 where it leaves the box of an input above or below the nodes, else 0.
    """

    primitive: str
    start: int
    target: int
    side: int
    lane: int


def draw_cell(genotype: Architecture, cell: str = "normal") -> Figure:
    """Draws one cell as a graph from left to right.

    Circles are nodes under their state number, edges carry their primitive, and the dashed line
    below collects the states that form the output. Edges run on separate lanes above and below the
    nodes, so neither their labels nor two edges between the same states cover each other. Two inputs
    are boxes above and below the row of nodes; a single one is the first circle of the row.

    Raises:
        ValueError: there is no such cell.

    >>> from metanas_pl.search_spaces import Genotype
    >>> figure = draw_cell(Genotype.load("metanas_in_v2"), "reduce")
    >>> [text.get_text() for text in figure.axes[0].texts][:4]
    ['reduce cell', 'cell k−2', 'cell k−1', '2']
    """
    nodes, outputs = genotype.cell(cell)
    n_inputs = len(genotype.INPUTS)
    routes = _routes(nodes, n_inputs)
    longest = max(len(route.primitive) for route in routes)
    gap = max(1.75, 0.085 * longest + 0.75)
    top = max(1, *(route.lane for route in routes))
    bottom = min(-1, *(route.lane for route in routes)) - 1
    x_end = gap * len(nodes) + 1.1
    figure, axes = canvas((-0.85, x_end + 0.5), (bottom * _LANE - 0.2, top * _LANE + 0.6))
    axes.text(-0.7, top * _LANE + 0.35, f"{cell} cell", color=DARK, weight="bold")
    if n_inputs == 2:
        for side, label in zip(_SIDES, genotype.INPUTS, strict=True):
            _box(axes, _X_INPUT, side * _LANE, label.replace("-", "−"))
    for column in range(n_inputs == 2, len(nodes) + 1):
        _node(axes, gap * column, str(column + n_inputs - 1))
    _box(axes, x_end, 0.0, "output")
    for route in routes:
        _edge(axes, route, gap)
    _collect(axes, [gap * (s - n_inputs + 1) for s in outputs], x_end, bottom * _LANE)
    return figure


def _routes(nodes: Cell, n_inputs: int) -> list[_Route]:
    """Gives each edge the free lane closest to the nodes, short edges first.

    Lane 0 joins neighbouring nodes; edges of the input above run above (> 0), those of the input below
    run below (< 0), and the others where there is room.
    """
    edges = [
        (max(source - n_inputs + 1, 0), target, source, name)
        for target, node in enumerate(nodes, start=1)
        for name, source in node
    ]
    taken: dict[int, list[tuple[int, int]]] = {}
    routes = []
    for start, target, source, name in sorted(edges, key=lambda edge: edge[1] - edge[0]):
        side = _SIDES[source] if source < n_inputs == 2 else 0
        lane = next(
            lane
            for lane in _lanes(side, target - start)
            if all(target <= a or start >= b for a, b in taken.get(lane, []))
        )
        taken.setdefault(lane, []).append((start, target))
        routes.append(_Route(name, start, target, side, lane))
    return routes


def _lanes(side: int, span: int) -> list[int]:
    """Returns lanes that an edge may take, best first."""
    distances = range(1, 100)
    if side:
        return [side * d for d in distances]
    both = [side * d for d in distances for side in _SIDES]
    return [0, *both] if span == 1 else both


def _box(axes: Axes, x: float, y: float, label: str) -> None:
    style = {"boxstyle": "round,pad=0.45", "facecolor": "#e2e8f0", "edgecolor": DARK}
    axes.text(x, y, label, color=DARK, bbox=style, zorder=4, **LABEL)


def _node(axes: Axes, x: float, label: str) -> None:
    from matplotlib.patches import Circle

    axes.add_patch(Circle((x, 0), _RADIUS, facecolor="white", edgecolor=DARK, lw=1.3, zorder=4))
    axes.text(x, 0, label, color=DARK, zorder=5, **LABEL | {"fontsize": 11})


def _edge(axes: Axes, route: _Route, gap: float) -> None:
    """Draws one edge along its lane, with its label in the gap before the target."""
    from matplotlib.patches import FancyArrowPatch
    from matplotlib.path import Path as Curve

    y, x_target = route.lane * _LANE, gap * route.target
    x0, y0, x_lane = _departure(route, gap)
    x1, y1 = _rim(x_target, y, -1)
    x_down, steep = x_target - 0.45, y0 + (y - y0) * 0.75
    points = [(x0, y0), ((2 * x0 + x_lane) / 3, steep), (x_lane - 0.15, y), (x_lane, y)]
    points += [(x_down, y), (x_down + 0.2, y), (x1 - 0.1, y1 + (y - y1) * 0.5), (x1, y1)]
    codes = [Curve.MOVETO, *[Curve.CURVE4] * 3, Curve.LINETO, *[Curve.CURVE4] * 3]
    colour = colour_of(route.primitive)
    axes.add_patch(
        FancyArrowPatch(
            path=Curve(points, codes), arrowstyle="-|>", mutation_scale=11, color=colour, lw=1.6
        )
    )
    style = {"boxstyle": "round,pad=0.3", "facecolor": colour, "edgecolor": "white"}
    axes.text(x_target - gap / 2, y, route.primitive, color="white", bbox=style, zorder=6, **LABEL)


def _departure(route: _Route, gap: float) -> tuple[float, float, float]:
    """Returns where an edge begins ``(x, y)``, and the x at which it has reached its lane."""
    if not route.side:
        x = gap * route.start
        return *_rim(x, route.lane * _LANE, 1), x + 0.45
    if abs(route.lane) == 1:  # straight out of the box
        return _X_INPUT + 0.35, route.lane * _LANE, 0.1
    x = _X_INPUT + max(0.4 - 0.1 * abs(route.lane), -0.25)  # nested, the outermost leftmost
    return x, route.side * (_LANE + 0.15), x + 0.3


def _rim(x: float, lane_y: float, side: int) -> tuple[float, float]:
    """Returns where an edge at height ``lane_y`` meets a node: steeper, the higher its lane."""
    angle = math.atan2(lane_y, 0.55)
    return x + side * _RADIUS * math.cos(angle), _RADIUS * math.sin(angle)


def _collect(axes: Axes, xs: Sequence[float], x_end: float, y: float) -> None:
    """The dashed line from the concatenated nodes to the output."""
    style: Settings = {"color": LIGHT, "lw": 1.4, "ls": (0, (4, 2)), "zorder": 1}
    for x in xs:
        axes.plot([x, x], [0, y], **style)
    axes.plot([min(xs), x_end, x_end], [y, y, -0.45], **style)
    arrow = {"arrowstyle": "-|>", "color": LIGHT}
    axes.annotate("", (x_end, -0.15), (x_end, -0.5), arrowprops=arrow)
