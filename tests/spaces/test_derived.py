"""Derived networks against the published sizes."""

from __future__ import annotations

import pytest
import torch

from metanas_pl.spaces import Conv4, DerivedNetwork, Genotype
from metanas_pl.spaces.base import Context


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


@pytest.mark.parametrize("name", ["metanas_v1", "metanas_in_v2", "metanas_og_v2", "auto_meta"])
def test_published_genotypes_run(name: str) -> None:
    net = DerivedNetwork(
        Genotype.load(name), in_channels=1, n_ways=2, channels=4, n_cells=3, reductions=(1,)
    )
    x = torch.randn(3, 1, 11, 11)
    assert net(x, {}).shape == (3, 2)
    assert net.alphas() == {}
    noise = torch.ones(*net.drop_path_shape(), 3)
    torch.testing.assert_close(net(x, {}, Context(drop_path=noise)), net(x, {}))


def test_conv4_equals_torch_layers_and_names_a_small_image() -> None:
    net = Conv4(in_channels=1, n_ways=3, channels=8, image_size=28)
    x = torch.randn(4, 1, 28, 28)
    expected = x
    for block in net.blocks:
        norm = torch.nn.BatchNorm2d(8)
        expected = torch.nn.functional.max_pool2d(norm(block.convs[0](expected)).relu(), 2)
    expected = net.head(expected.flatten(1))
    torch.testing.assert_close(net(x, {}), expected)
    with pytest.raises(ValueError, match="15 pixels is below 16"):
        Conv4(in_channels=1, n_ways=3, channels=8, image_size=15)
