"""Derived networks against the published sizes."""

from __future__ import annotations

import pytest
import torch

from metanas_pl.search_spaces import Context, DerivedNetwork, Genotype
from metanas_pl.search_spaces.genotypes.genotype import PUBLISHED


@pytest.mark.parametrize(
    ("name", "channels", "in_channels", "n_ways", "size"),
    [
        ("metanas_in_v2", 28, 3, 5, 108_169),
        ("metanas_in_v2", 96, 3, 5, 1_160_741),
        ("metanas_og_v2", 28, 1, 20, 98_608),
    ],
)
def test_published_sizes(
    name: str, channels: int, in_channels: int, n_ways: int, size: int
) -> None:
    net = DerivedNetwork(
        Genotype.load(name),
        in_channels=in_channels,
        n_ways=n_ways,
        channels=channels,
        n_cells=5,
        reductions=(1, 3),
    )
    assert sum(p.numel() for p in net.parameters()) == size


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_genotypes_run(name: str) -> None:
    net = DerivedNetwork(
        Genotype.load(name), in_channels=1, n_ways=2, channels=4, n_cells=3, reductions=(1,)
    )
    x = torch.randn(3, 1, 11, 11)
    assert net(x, {}).shape == (3, 2)
    assert net.alphas() == {}
    noise = torch.ones(*net.drop_path_shape(), 3)
    torch.testing.assert_close(net(x, {}, Context(drop_path=noise)), net(x, {}))
