"""Charts show the numbers that they were given."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from matplotlib.text import Text

from metanas_pl.plotting import draw_history, draw_mixing

PRIMITIVES = ["max_pool_3x3", "skip_connect", "conv_3x3"]


def random_mixing(n_nodes: int, pairs: bool) -> dict[str, torch.Tensor]:
    mixing = {}
    for i in range(n_nodes):
        mixing[f"normal_{i}"] = torch.rand(i + 2, len(PRIMITIVES)).softmax(-1)
        if pairs:
            mixing[f"normal_pair_{i}"] = torch.rand((i + 2) * (i + 1) // 2).softmax(-1)
    return mixing


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
