"""Scaling: both sides at every size, and the figures of all results."""

import json

import pytest

from benchmarks import figures, scaling
from benchmarks.search_step import Size
from benchmarks.timing import Comparison

TINY = Size(channels=2, n_cells=2, n_ways=2, tasks=1, steps=1)


@pytest.mark.slow
def test_points_and_panels() -> None:
    result = scaling.run(1, TINY, {"tasks": (1, 2), "n_ways": (2,)})
    again = json.loads(json.dumps(result))
    assert {axis: list(points) for axis, points in again["axes"].items()} == {
        "tasks": ["1", "2"],
        "n_ways": ["2"],
    }
    panels = figures.scaling(again).axes
    assert [panel.get_xlabel() for panel in panels] == ["tasks", "ways"]
    times = [line.get_ydata() for line in panels[0].lines]
    assert all(len(seconds) == 2 and min(seconds) > 0 for seconds in times)


def test_bars_are_the_medians_and_goals_are_marked() -> None:
    ratio = Comparison((1.0, 1.0, 1.0), (4.0, 5.0, 6.0)).figures()
    result = {"letter": "A", "name": "some_step", "goal": 4.0, **ratio}
    (axes,) = figures.ratios([result, result]).axes
    assert [bar.get_width() for bar in axes.patches] == [5.0, 5.0]
    assert axes.lines[-2].get_xdata()[0] == 4.0
    assert [t.get_text() for t in axes.get_yticklabels()] == ["A  some step"] * 2
