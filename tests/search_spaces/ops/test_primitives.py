"""Primitives: shapes, torch's own layers as the reference, what ``none`` must not do."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from metanas_pl.search_spaces.ops.names import ALL_PRIMITIVES, PRIMITIVES
from metanas_pl.search_spaces.ops.primitives import (
    BUILDERS,
    BatchStatNorm,
    Pool,
    PoolNorm,
    Zero,
    make_primitive,
)


@pytest.mark.parametrize("name", BUILDERS)
@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("size", [4, 7])
def test_shapes(name: str, stride: int, size: int) -> None:
    x = torch.randn(2, 4, size, size)
    side = -(-size // stride)
    assert make_primitive(name, 4, stride, affine=True)(x).shape == (2, 4, side, side)


def test_the_paper_has_seven_and_every_name_is_built() -> None:
    assert tuple(BUILDERS) == ALL_PRIMITIVES
    assert PRIMITIVES == (
        "max_pool_3x3",
        "avg_pool_3x3",
        "skip_connect",
        "conv_1x5_5x1",
        "conv_3x3",
        "sep_conv_3x3",
        "dil_conv_3x3",
    )


def test_unknown_primitive() -> None:
    with pytest.raises(ValueError, match="'conv_9x9' is unknown: choose from max_pool_3x3, "):
        make_primitive("conv_9x9", 4, 1, affine=True)


@pytest.mark.parametrize(
    ("name", "n_weights"),
    [  # by hand: depthwise k*k*C, pointwise C*C, affine norm 2*C
        ("sep_conv_3x3", 2 * (9 * 6 + 36 + 12)),
        ("sep_conv_5x5", 2 * (25 * 6 + 36 + 12)),
        ("dil_conv_3x3", 9 * 6 + 36 + 12),
        ("dil_conv_5x5", 25 * 6 + 36 + 12),
        ("none", 0),
    ],
)
def test_sizes_of_darts(name: str, n_weights: int) -> None:
    assert sum(p.numel() for p in make_primitive(name, 6, 1, True).parameters()) == n_weights


@pytest.mark.parametrize("stride", [1, 2])
def test_pooling_equals_torch(stride: int) -> None:
    x = torch.randn(3, 4, 7, 7)
    layers = {
        "max": nn.MaxPool2d(3, stride, 1),
        "avg": nn.AvgPool2d(3, stride, 1, count_include_pad=False),
    }
    for kind, layer in layers.items():
        torch.testing.assert_close(Pool(kind, stride)(x), layer(x))
        expected = nn.BatchNorm2d(4)(layer(x))
        torch.testing.assert_close(PoolNorm(kind, 4, stride, True)(x), expected)


def test_none_gives_zeros_whatever_it_sees() -> None:
    x = torch.full((1, 1, 3, 3), torch.inf)
    assert (Zero(2)(x) == torch.zeros(1, 1, 2, 2)).all()
    assert (torch.func.vmap(Zero(1))(x.unsqueeze(0)) == 0).all()


@pytest.mark.parametrize("affine", [False, True])
def test_norm_by_weighted_rows_is_that_of_the_rows_alone(affine: bool) -> None:
    """One task, and two with channels side by side that count other rows."""
    norm = BatchStatNorm(3, affine=affine).double()
    x = torch.randn(6, 3, 4, 4, dtype=torch.float64)
    rows = torch.tensor([1.0, 0, 1, 1, 0, 0], dtype=torch.float64)
    known = x[rows > 0]
    torch.testing.assert_close(norm(x, rows)[rows > 0], norm(known))
    torch.testing.assert_close(norm(x, rows), norm(torch.cat([known, x]), 3)[3:])
    beside = BatchStatNorm(6, affine=False).double()
    both = beside(torch.cat([x, x.flip(0)], 1), torch.stack([rows, rows.flip(0)], 1))
    torch.testing.assert_close(both[:, :3], both[:, 3:].flip(0))
    plain = BatchStatNorm(3, affine=False).double()
    torch.testing.assert_close(both[:, :3], plain(x, rows))
