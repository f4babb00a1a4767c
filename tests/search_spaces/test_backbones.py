"""Fixed backbones against torch's own layers and published sizes."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from metanas_pl.search_spaces import Context, Conv4
from metanas_pl.search_spaces.backbones import ResidualBlock, ResNet12
from tests.search_spaces.helpers import assert_vmap_equals_loop, n_parameters


def small_resnet(image_size: int = 17) -> ResNet12:
    return ResNet12(in_channels=1, n_ways=3, channels=(2, 3, 2, 4), image_size=image_size)


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


@pytest.mark.parametrize("size", [17, 28])
def test_strided_conv4_equals_torch_layers(size: int) -> None:
    net = Conv4(in_channels=1, n_ways=3, channels=8, image_size=size, strided=True)
    x = torch.randn(4, 1, size, size)
    expected = x
    for block in net.blocks:
        weight = block.convs[0].weight
        halved = nn.functional.conv2d(expected, weight, stride=2, padding=1)
        expected = nn.BatchNorm2d(8)(halved).relu()
    torch.testing.assert_close(net(x, {}), net.head(nn.AdaptiveAvgPool2d(1)(expected).flatten(1)))


@pytest.mark.parametrize(("channels", "size"), [(32, 32_773), (64, 121_093 - 256)])
def test_conv4_sizes(channels: int, size: int) -> None:
    """For 5-way miniImageNet by our own count: 32,901 and 121,093, with biases before batch norm."""
    net = Conv4(in_channels=3, n_ways=5, channels=channels, image_size=84)
    assert n_parameters(net) == size


@pytest.mark.parametrize(
    ("channels", "size"),
    [
        ((64, 160, 320, 640), 12_424_320),  # ResNet-12 of MetaOptNet without a classifier
        ((64, 128, 256, 512), 7_996_800),  # by the formula below
    ],
)
def test_resnet12_sizes(channels: tuple[int, ...], size: int) -> None:
    net = ResNet12(in_channels=3, n_ways=5, channels=channels, image_size=84)
    inputs = (3, *channels[:-1])
    by_hand = sum(
        9 * (a * c + 2 * c * c) + a * c + 4 * 2 * c for a, c in zip(inputs, channels, strict=True)
    )
    assert n_parameters(net) - n_parameters(net.head) == size == by_hand  # type: ignore[arg-type]


def test_a_residual_block_equals_torch_layers() -> None:
    block = ResidualBlock(2, 3)
    x = torch.randn(4, 2, 7, 7)

    def conv_norm(y: Tensor, weight: Tensor, padding: int) -> Tensor:
        return nn.BatchNorm2d(3)(nn.functional.conv2d(y, weight, padding=padding))

    act, y = nn.LeakyReLU(0.1), x
    for index, layer in enumerate(block.layers):
        y = conv_norm(y, layer.convs[0].weight, 1)
        y = act(y) if index < 2 else y
    y = y + conv_norm(x, block.shortcut.convs[0].weight, 0)
    torch.testing.assert_close(block(x), nn.MaxPool2d(2)(act(y)))


@pytest.mark.parametrize("size", [16, 17, 28])
def test_resnet12_runs_on_odd_sizes_without_alphas(size: int) -> None:
    net = small_resnet(size)
    x = torch.randn(6, 1, size, size)
    assert net(x, {}).shape == (6, 3)
    assert net(x, {}, Context(reference=4)).isfinite().all()
    assert net.alphas() == {} and net.genotype({}) is None
    with pytest.raises(ValueError, match="space=resnet12 halves images 4 times: 15 pixels"):
        small_resnet(15)


def test_vmap_equals_a_loop() -> None:
    assert_vmap_equals_loop(small_resnet(), size=17)
