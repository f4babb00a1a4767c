"""Draws docs/images/method.svg: the supernet, the inner loop and the outer loop of MetaNAS.

python docs/images/method.py [FILE]
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("svg")
import matplotlib.pyplot as plt  # noqa: E402
from matplotlib.patches import Circle, FancyArrowPatch, FancyBboxPatch  # noqa: E402

OPERATIONS = ("#4c72b0", "#dd8452", "#55a868")
GREY, INK = "#8c8c8c", "#222222"
Point = tuple[float, float]


def box(ax: Any, corner: Point, width: float, height: float, colour: str = "#f4f4f2") -> None:
    """Draws a rounded box."""
    shape = FancyBboxPatch(
        corner, width, height, boxstyle="round,pad=0,rounding_size=0.12", fc=colour, ec=GREY, lw=1
    )
    ax.add_patch(shape)


def text(ax: Any, at: Point, words: str, size: float = 9, **style: Any) -> None:
    """Writes ``words`` around the point ``at``."""
    ax.text(*at, words, fontsize=size, ha=style.pop("ha", "center"), va="center", **style)


def arrow(ax: Any, start: Point, end: Point, bend: float = 0, colour: str = INK) -> None:
    """Draws an arrow from ``start`` to ``end``."""
    shape = FancyArrowPatch(
        start,
        end,
        connectionstyle=f"arc3,rad={bend}",
        arrowstyle="-|>",
        mutation_scale=12,
        color=colour,
        lw=1.4,
        shrinkA=0,
        shrinkB=0,
    )
    ax.add_patch(shape)


def cell(ax: Any, corner: Point, scale: float, weights: list[tuple[float, ...]]) -> None:
    """Draws a cell of two inputs and two nodes; line widths are the mixing weights of its edges."""
    places = [(0.0, 1.0), (0.0, 0.0), (1.1, 0.5), (2.2, 0.5)]
    nodes = [(corner[0] + scale * x, corner[1] + scale * y) for x, y in places]
    edges = [(0, 2), (1, 2), (2, 3)]
    for (a, b), edge in zip(edges, weights, strict=True):
        for k, (weight, colour) in enumerate(zip(edge, OPERATIONS, strict=True)):
            if weight > 0:
                shape = FancyArrowPatch(
                    nodes[a],
                    nodes[b],
                    connectionstyle=f"arc3,rad={0.35 * (k - 1)}",
                    arrowstyle="-",
                    color=colour,
                    lw=4 * weight,
                    shrinkA=6,
                    shrinkB=6,
                )
                ax.add_patch(shape)
    for node in nodes:
        ax.add_patch(Circle(node, 0.1, fc="white", ec=INK, lw=1.2, zorder=3))


def draw(path: Path) -> None:
    """Draws the whole figure into the SVG file ``path``."""
    plt.rcParams.update({"svg.fonttype": "path", "font.family": "sans-serif", "svg.hashsalt": "m"})
    figure, ax = plt.subplots(figsize=(10, 4.3))
    ax.set(xlim=(0, 10), ylim=(0.1, 4.4), aspect="equal")
    ax.axis("off")

    box(ax, (0.1, 1.15), 2.6, 2.55)
    text(ax, (1.4, 3.45), "Supernet", 11, weight="bold")
    cell(ax, (0.55, 2.0), 0.78, [(0.45, 0.45, 0.45)] * 3)
    text(ax, (1.4, 1.65), r"meta-learned $\theta$:")
    text(ax, (1.4, 1.4), r"weights $w$ and alphas $\alpha$")

    box(ax, (3.35, 1.15), 3.3, 2.55)
    text(ax, (5.0, 3.45), "Inner loop, once per task", 11, weight="bold")
    text(ax, (5.0, 3.05), "k gradient steps on the support set")
    box(ax, (3.6, 2.3), 1.2, 0.45, "#ffffff")
    text(ax, (4.2, 2.525), r"step on $\alpha$")
    box(ax, (5.2, 2.3), 1.2, 0.45, "#ffffff")
    text(ax, (5.8, 2.525), r"step on $w$")
    arrow(ax, (4.8, 2.6), (5.2, 2.6), -0.3)
    arrow(ax, (5.2, 2.45), (4.8, 2.45), -0.3)
    text(ax, (5.0, 1.95), "the temperature falls: mixtures")
    text(ax, (5.0, 1.7), "come close to one operation")
    text(ax, (5.0, 1.4), r"result: $w^*$ and $\alpha^*$ of the task")

    box(ax, (7.3, 1.15), 2.6, 2.55)
    text(ax, (8.6, 3.45), "Network of the task", 11, weight="bold")
    cell(ax, (7.75, 2.0), 0.78, [(0, 0.9, 0), (0.9, 0, 0), (0, 0, 0.9)])
    text(ax, (8.6, 1.45), "tested on the query set")

    arrow(ax, (2.7, 2.5), (3.35, 2.5))
    arrow(ax, (6.65, 2.5), (7.3, 2.5))
    ax.plot([8.6, 8.6, 1.4], [1.15, 0.6, 0.6], color=INK, lw=1.4, solid_joinstyle="round")
    arrow(ax, (1.4, 0.6), (1.4, 1.15))
    text(ax, (5.0, 0.82), "Outer loop", 11, weight="bold")
    text(ax, (5.0, 0.36), r"the mean meta-gradient of a batch of tasks updates $\theta$")
    text(ax, (5.0, 4.15), "support images and labels of a new task", color=GREY)
    arrow(ax, (5.0, 4.0), (5.0, 3.72), colour=GREY)
    text(ax, (8.6, 4.15), "query images", color=GREY)
    arrow(ax, (8.6, 4.0), (8.6, 3.72), colour=GREY)

    figure.savefig(path, bbox_inches="tight", metadata={"Date": None})


if __name__ == "__main__":
    draw(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).with_suffix(".svg"))
