"""S: what a search step costs as tasks, ways and channels grow."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from benchmarks.search_step import SearchStep, Size
from benchmarks.timing import compare

BASE = Size(channels=8, n_cells=2, n_ways=5, tasks=5, steps=1)
AXES: dict[str, tuple[int, ...]] = {
    "tasks": (1, 2, 5, 10, 20),
    "n_ways": (5, 10, 20),
    "channels": (4, 8, 16, 32),
}


def run(
    rounds: int, base: Size = BASE, axes: dict[str, Sequence[int]] | None = None
) -> dict[str, Any]:
    """Seconds of both sides along each axis, the other sizes those of ``base``."""
    found: dict[str, Any] = {}
    for axis, values in (axes or dict(AXES)).items():
        found[axis] = {}
        for value in values:
            step = SearchStep(base._replace(**{axis: value}))
            found[axis][value] = compare(step.ours, step.reference, rounds).figures()
    return {"base": base._asdict(), "axes": found}
