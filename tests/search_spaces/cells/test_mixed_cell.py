"""Partial channels and auxiliary skips against plain formulas."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from metanas_pl.search_spaces.base import Context
from metanas_pl.search_spaces.cells.mixed_cell import MixedCell

WIDTH, PARTS = 8, 4


def mixing(n_primitives: int, pairs: bool = False) -> dict[str, torch.Tensor]:
    tables = {f"normal_{i}": torch.rand(i + 2, n_primitives) for i in range(2)}
    tables |= {f"reduce_{i}": torch.rand(i + 2, n_primitives) for i in range(2)}
    if pairs:
        tables |= {
            f"{c}_pair_{i}": torch.rand(n)
            for c in ("normal", "reduce")
            for i, n in enumerate((1, 3))
        }
    return tables


def test_partial_channels_mix_one_part_and_pass_the_rest() -> None:
    """PC-DARTS: a K-th of the channels is mixed, the rest goes by, and channels take turns after it."""
    cell = MixedCell(["skip_connect"], 1, WIDTH, False, partial_channels=PARTS)
    weights = {"normal_0": torch.tensor([[0.5], [0.25]]), "normal_edge_0": torch.tensor([0.7, 0.3])}
    s0, s1 = torch.randn(2, 3, WIDTH, 6, 6)
    out = cell(s0, s1, weights, Context())
    expected = torch.zeros_like(out)
    for x, of_edge, weight in ((s0, 0.7, 0.5), (s1, 0.3, 0.25)):
        edge = of_edge * torch.cat([weight * x[:, :2], x[:, 2:]], dim=1)
        for channel in range(WIDTH):  # group g, place i -> i * K + g
            group, place = divmod(channel, WIDTH // PARTS)
            expected[:, place * PARTS + group] += edge[:, channel]
    torch.testing.assert_close(out, expected)


@pytest.mark.parametrize("size", [5, 6, 7])
@pytest.mark.parametrize("pairs", [True, False])
def test_partial_channels_at_stride_two_and_odd_sizes(size: int, pairs: bool) -> None:
    cell = MixedCell(["conv_3x3", "max_pool_3x3"], 2, WIDTH, True, partial_channels=PARTS)
    s0, s1 = torch.randn(2, 3, WIDTH, size, size)
    half = -(-size // 2)
    assert cell(s0, s1, mixing(2, pairs), Context()).shape == (3, 2 * WIDTH, half, half)


def test_bypassing_channels_are_pooled_at_stride_two() -> None:
    cell = MixedCell(["max_pool_3x3"], 1, WIDTH, True, partial_channels=2)
    nothing = {"reduce_0": torch.zeros(2, 1)}
    s0, s1 = torch.randn(2, 3, WIDTH, 6, 6)
    out = cell(s0, s1, nothing, Context())
    rest = F.max_pool2d(s0[:, 4:], 2) + F.max_pool2d(s1[:, 4:], 2)
    torch.testing.assert_close(out[:, 1::2], rest)
    assert not out[:, 0::2].any()


def test_an_auxiliary_skip_adds_its_share_of_every_edge() -> None:
    """DARTS-: the edge is its mixture plus beta times the identity; at beta 0 it is DARTS."""
    cell = MixedCell(["conv_3x3"], 1, WIDTH, False, auxiliary_skip=True)
    weights = mixing(1)
    s0, s1 = torch.randn(2, 3, WIDTH, 6, 6)
    without = cell(s0, s1, weights, Context())
    helped = cell(s0, s1, weights, Context(auxiliary_skip=0.3))
    torch.testing.assert_close(helped, without + 0.3 * (s0 + s1))


def test_an_auxiliary_skip_of_a_reduction_halves_the_resolution() -> None:
    cell = MixedCell(["conv_3x3"], 2, WIDTH, True, auxiliary_skip=True)
    s0, s1 = torch.randn(2, 3, WIDTH, 7, 7)
    assert cell(s0, s1, mixing(1), Context(auxiliary_skip=1.0)).shape == (3, 2 * WIDTH, 4, 4)
