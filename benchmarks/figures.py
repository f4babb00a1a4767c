"""The two figures of the benchmarks: ratios as bars, and what a search step costs as its sizes grow."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.figure import Figure

OURS, REFERENCE, GOAL = "#1b6ca8", "#9aa5b1", "#c0392b"
AXIS_NAMES = {"tasks": "tasks", "n_ways": "ways", "channels": "channels"}


def ratios(results: Sequence[Mapping[str, Any]]) -> Figure:
    """How many times faster than its reference each case is, quartiles as whiskers, goals as marks."""
    figure = Figure(figsize=(8, 0.6 + 0.5 * len(results)), layout="constrained")
    axes = figure.subplots()
    for row, result in enumerate(results):
        ratio = result["ratio"]
        whiskers = [[ratio["median"] - ratio["low"]], [ratio["high"] - ratio["median"]]]
        axes.barh(row, ratio["median"], xerr=whiskers, color=OURS, height=0.6)
        axes.plot([result["goal"]] * 2, [row - 0.4, row + 0.4], color=GOAL)
    axes.axvline(1, color="black", linewidth=0.8)
    axes.set_xscale("log")
    ticks = [t for t in (0.5, 1, 2, 4, 8, 16, 32, 64, 128) if t <= 2 * axes.get_xlim()[1]]
    axes.set_xticks(ticks, [f"{t:g}" for t in ticks])
    axes.minorticks_off()
    names = [f"{r['letter']}  {r['name'].replace('_', ' ')}" for r in results]
    axes.set_yticks(range(len(names)), names)
    axes.invert_yaxis()
    axes.set_xlabel("times faster than the reference (red: goal)")
    return figure


def scaling(result: Mapping[str, Any]) -> Figure:
    """Seconds of a search step of both sides against tasks, ways and channels."""
    panels = result["axes"]
    figure = Figure(figsize=(3.2 * len(panels), 3), layout="constrained")
    for axes, (name, points) in zip(figure.subplots(1, len(panels)), panels.items(), strict=True):
        sizes = [int(size) for size in points]
        for side, colour, label in (
            ("reference_s", REFERENCE, "module loop"),
            ("ours_s", OURS, "metanas_pl"),
        ):
            seconds = [point[side]["median"] for point in points.values()]
            axes.plot(sizes, seconds, "o-", color=colour, label=label)
        axes.set_xlabel(AXIS_NAMES[name])
        axes.set_ylim(bottom=0)
        axes.set_xticks(sizes)
    figure.axes[0].set_ylabel("seconds a step")
    figure.axes[0].legend(frameon=False)
    return figure
