"""Figures: nothing overlaps, what is shown is the data, and files are reproducible."""

from __future__ import annotations

import subprocess
import sys
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
import torch
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch
from matplotlib.text import Text
from matplotlib.transforms import Bbox

from metanas_pl.plotting import draw_cell, draw_history, draw_mixing, save_figure
from metanas_pl.spaces.genotype import PUBLISHED, Genotype

PRIMITIVES = ["max_pool_3x3", "skip_connect", "conv_3x3"]


def random_genotype(seed: int, n_nodes: int = 5) -> Genotype:
    rng = np.random.default_rng(seed)
    cell = tuple(
        tuple((str(rng.choice(PRIMITIVES)), int(rng.integers(i + 2))) for _ in range(2))
        for i in range(n_nodes)
    )
    return Genotype(normal=cell, reduce=cell)


def random_mixing(n_nodes: int, pairs: bool) -> dict[str, torch.Tensor]:
    mixing = {}
    for i in range(n_nodes):
        mixing[f"normal_{i}"] = torch.rand(i + 2, len(PRIMITIVES)).softmax(-1)
        if pairs:
            mixing[f"normal_pair_{i}"] = torch.rand((i + 2) * (i + 1) // 2).softmax(-1)
    return mixing


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


@pytest.mark.parametrize("pairs", [True, False])
def test_mixing_panels_hold_the_weights(pairs: bool) -> None:
    mixing = random_mixing(3, pairs)
    figure = draw_mixing(mixing, PRIMITIVES, "normal")
    shown = figure.axes[0].images[0].get_array()
    np.testing.assert_allclose(shown, torch.cat([mixing[f"normal_{i}"] for i in range(3)]))
    names = [label.get_text() for label in figure.axes[0].get_yticklabels()]
    assert names[4] == "3 ← 2"
    assert len(figure.axes) == 1 + pairs
    if pairs:
        table = figure.axes[1].images[0].get_array()
        np.testing.assert_allclose(table[1].compressed(), mixing["normal_pair_1"])
        columns = [label.get_text() for label in figure.axes[1].get_xticklabels()]
        assert columns == ["0, 1", "0, 2", "0, 3", "1, 2", "1, 3", "2, 3"]
        assert np.flatnonzero(~np.ma.getmaskarray(table[1])).tolist() == [0, 1, 3]


def test_mixing_takes_arrays_and_tensors_with_gradient() -> None:
    weights = torch.full((2, 3), 1 / 3, dtype=torch.bfloat16, requires_grad=True)
    for value in (weights, np.full((2, 3), 1 / 3)):
        figure = draw_mixing({"reduce_0": value}, PRIMITIVES, "reduce")
        assert {t.get_text() for t in figure.axes[0].findobj(Text)} >= {"0.33"}


def test_mixing_that_does_not_fit_is_refused() -> None:
    mixing = random_mixing(2, pairs=True)
    with pytest.raises(ValueError, match="no reduce_0"):
        draw_mixing(mixing, PRIMITIVES, "reduce")
    with pytest.raises(ValueError, match=r"'normal_0'.*\(2, 3\).*\(2, 2\)"):
        draw_mixing(mixing, PRIMITIVES[:2], "normal")
    with pytest.raises(ValueError, match="lacks normal_pair_1"):
        draw_mixing({k: v for k, v in mixing.items() if k != "normal_pair_1"}, PRIMITIVES, "normal")


def test_history_plots_each_key_where_it_was_logged() -> None:
    rows = [{"step": 0, "loss": 2.0}, {"step": 5, "loss": 1.0, "accuracy": 0.5}, {"epoch": 1}]
    figure = draw_history(rows, ["loss", "accuracy"])
    loss, accuracy = (axes.lines[0].get_xydata().tolist() for axes in figure.axes)
    assert loss == [[0, 2], [5, 1]]
    assert accuracy == [[5, 0.5]]


def test_history_hides_panels_without_a_key() -> None:
    figure = draw_history([{"step": 0, **dict.fromkeys("abcd", 1.0)}], "abcd")
    assert [axes.axison for axes in figure.axes] == [True] * 4 + [False] * 2


@pytest.mark.parametrize("keys", [["lss"], []])
def test_history_names_the_known_keys(keys: list[str]) -> None:
    with pytest.raises(ValueError, match="loss"):
        draw_history([{"step": 0, "loss": 2.0}], keys)


@pytest.mark.parametrize("suffix", [".svg", ".png"])
def test_files_are_reproducible(suffix: str, tmp_path: Path) -> None:
    paths = [tmp_path / "new" / f"{i}{suffix}" for i in range(2)]
    for path in paths:
        save_figure(draw_cell(PUBLISHED["metanas_v1"]), path)
    first, second = (path.read_bytes() for path in paths)
    assert first == second
    assert (b"<svg" in first) == (suffix == ".svg")


def test_another_suffix_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=".svg or .png"):
        save_figure(draw_cell(PUBLISHED["metanas_v1"]), tmp_path / "cell.bmp")


def test_matplotlib_is_imported_on_first_use_and_pyplot_never() -> None:
    code = (
        "import sys, metanas_pl.plotting as p; from metanas_pl.spaces.genotype import PUBLISHED;"
        "assert 'matplotlib.figure' not in sys.modules; p.draw_cell(PUBLISHED['auto_meta']);"
        "assert 'matplotlib.pyplot' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
