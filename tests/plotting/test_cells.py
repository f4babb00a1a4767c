"""Drawn cells: nothing overlaps, and every gene is shown."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch
from matplotlib.transforms import Bbox

from metanas_pl.plotting import draw_cell
from metanas_pl.search_spaces.genotypes.genotype import PUBLISHED, Genotype
from metanas_pl.search_spaces.nasbench201.genotype import EXAMPLE, Nasbench201Genotype

PRIMITIVES = ["max_pool_3x3", "skip_connect", "conv_3x3"]


def random_genotype(seed: int, n_nodes: int = 5) -> Genotype:
    rng = np.random.default_rng(seed)
    cell = tuple(
        tuple((str(rng.choice(PRIMITIVES)), int(rng.integers(i + 2))) for _ in range(2))
        for i in range(n_nodes)
    )
    return Genotype(normal=cell, reduce=cell)


def boxes(figure: Figure) -> list[Bbox]:
    """Extents of the labels with their frames, in pixels."""
    FigureCanvasAgg(figure).draw()
    texts = [text for text in figure.axes[0].texts if text.get_text()]
    frames = [text.get_bbox_patch() or text for text in texts]
    return [frame.get_window_extent() for frame in frames]


def curves(figure: Figure) -> list[FancyArrowPatch]:
    return [p for p in figure.axes[0].patches if isinstance(p, FancyArrowPatch)]


CELLS = [
    *[(genotype, cell) for genotype in PUBLISHED.values() for cell in ("normal", "reduce")],
    *[(random_genotype(seed), "normal") for seed in range(6)],
    (Nasbench201Genotype.from_text(EXAMPLE), "cell"),
    (Genotype([[("a_rather_long_primitive_name", 0)]] * 2, [[("none", 1)]]), "normal"),
]


@pytest.mark.parametrize(("genotype", "cell"), CELLS, ids=range(len(CELLS)))
def test_labels_do_not_overlap_and_stay_inside(genotype: Genotype, cell: str) -> None:
    figure = draw_cell(genotype, cell)
    extents = boxes(figure)
    assert not any(a.overlaps(b) for a, b in combinations(extents, 2))
    page = figure.bbox
    assert all(page.x0 <= e.x0 and e.x1 <= page.x1 for e in extents)
    assert all(page.y0 <= e.y0 and e.y1 <= page.y1 for e in extents)


@pytest.mark.parametrize(("genotype", "cell"), CELLS, ids=range(len(CELLS)))
def test_no_edge_runs_behind_the_label_of_another(genotype: Genotype, cell: str) -> None:
    figure = draw_cell(genotype, cell)
    boxes(figure)
    axes = figure.axes[0]
    names = {name for node in genotype.cell(cell)[0] for name, _ in node}
    labels = [text for text in axes.texts if text.get_text() in names]
    lines = [axes.transData.transform_path(p._path_original) for p in curves(figure)]
    touched = [
        sum(
            line.intersects_bbox(label.get_bbox_patch().get_window_extent(), filled=False)
            for line in lines
        )
        for label in labels
    ]
    assert touched == [1] * len(lines)


def test_a_cell_shows_every_gene_and_the_chosen_outputs() -> None:
    base = PUBLISHED["auto_meta"]
    figure = draw_cell(Genotype(base.normal, base.reduce, normal_concat=(4, 6)))
    shown = sorted(text.get_text() for text in figure.axes[0].texts)
    for name in ("conv_3x3", "conv_1x5_5x1", "max_pool_3x3"):
        assert shown.count(name) == str(base).splitlines()[0].count(f"({name},")
    assert len(figure.axes[0].lines) == 2 + 1


def test_two_edges_between_the_same_states_have_two_curves() -> None:
    cell = [[("conv_3x3", 1), ("conv_3x3", 1)]]
    first, second = curves(draw_cell(Genotype(cell, cell)))
    heights = {p._path_original.vertices[3][1] for p in (first, second)}
    assert len(heights) == 2


def test_unknown_cell_is_refused() -> None:
    with pytest.raises(ValueError, match="normal, reduce"):
        draw_cell(PUBLISHED["metanas_v1"], "norml")
