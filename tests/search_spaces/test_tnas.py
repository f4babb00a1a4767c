"""The space of T-NAS: sizes of the networks that Auto-MAML found, and its stem in torch's layers."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from metanas_pl.config import CellSpaceConfig, plain
from metanas_pl.search_spaces.base import CellNetwork
from metanas_pl.search_spaces.tnas import PooledStem, build
from tests.search_spaces.helpers import DARTS_PRIMITIVES, assert_vmap_equals_loop, n_parameters


def make(channels: int = 16, size: int = 84, in_channels: int = 3, **changes: Any) -> CellNetwork:
    config = CellSpaceConfig(
        channels=channels,
        n_cells=2,
        reductions=[1],
        channel_factor=2,
        pair_inputs=False,
        primitives=list(DARTS_PRIMITIVES),
        pool_norm=False,
        **{"n_nodes": 4, **changes},
    )
    search = config.genotype is None
    values = plain(config)
    return build(values, in_channels=in_channels, image_size=size, n_ways=5, search=search)


@pytest.mark.parametrize(
    ("genotype", "size"), [("auto_maml_1shot", 23_213), ("auto_maml_5shot", 26_061)]
)
def test_sizes_of_auto_maml(genotype: str, size: int) -> None:
    """Sizes by our own count, 5-way miniImageNet; a guard against change, not a published figure."""
    assert n_parameters(make(genotype=genotype)) == size


def test_the_stem_equals_torch_layers() -> None:
    stem, x = PooledStem(3, 8), torch.randn(2, 3, 13, 13)
    first, second = stem.first.convs[0], stem.second.convs[0]
    layers = nn.Sequential(first, nn.BatchNorm2d(4), nn.MaxPool2d(2), nn.ReLU())
    layers.extend([second, nn.BatchNorm2d(8), nn.MaxPool2d(2)])
    torch.testing.assert_close(stem(x), layers(x))


def test_small_images_are_refused() -> None:
    with pytest.raises(ValueError, match="space=tnas quarters images: 3 pixels is below 4"):
        make(size=3)


def test_vmap_equals_a_loop() -> None:
    assert_vmap_equals_loop(make(channels=4, size=13, in_channels=1, n_nodes=1), size=13)
