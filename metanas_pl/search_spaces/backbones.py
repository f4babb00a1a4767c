"""Fixed backbones of few-shot learning behind the door of a search space."""

from __future__ import annotations

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor, nn

from metanas_pl.errors import UserError
from metanas_pl.search_spaces.base import Context, SearchSpace
from metanas_pl.search_spaces.ops.layers import Conv, Head, Reference, pool
from metanas_pl.search_spaces.ops.primitives import ConvNorm
from metanas_pl.types import Mixing


class Conv4(SearchSpace):
    """Four blocks of 3x3 convolution, batch norm, ReLU, 2x2 max pooling (Vinyals et al. 2016).

    ``strided`` is the form for Omniglot of Finn et al. 2017: convolutions of stride 2 instead of the
    pooling, and the mean of the last feature map; a quarter of the FLOPs at 28x28 pixels.

    >>> sum(p.numel() for p in Conv4(in_channels=3, n_ways=5, channels=32, image_size=84).parameters())
    32773
    """

    supports_grouped = True

    def __init__(
        self,
        *,
        in_channels: int,
        n_ways: int,
        channels: int,
        image_size: int,
        strided: bool = False,
    ) -> None:
        super().__init__()
        if image_size < 16:
            raise UserError(f"space=conv4 halves images 4 times: {image_size} pixels is below 16")
        self.strided = strided
        widths = (in_channels, channels, channels, channels)
        self.blocks = nn.ModuleList(
            ConvNorm(Conv(width, channels, 3, 1 + strided), affine=True, relu=False)
            for width in widths
        )
        positions = 1 if strided else (image_size // 16) ** 2
        self.head = Head(channels * positions, n_ways)

    def features(self, x: Tensor, mixing: Mixing, context: Context) -> Tensor:
        """Returns flattened feature map, ``(B, channels * (size // 16)^2)``; strided, ``(B, channels)``."""
        for block in self.blocks:
            x = block(x, context.reference)
            x = F.relu(x if self.strided else pool(x, "max", 2, kernel=2))  # the order is all one
        return x.mean((2, 3)) if self.strided else x.flatten(1)


class ResidualBlock(nn.Module):
    """Three 3x3 convolutions with batch norm beside a 1x1 one, LeakyReLU, 2x2 max pooling."""

    def __init__(self, c_in: int, c_out: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(
            ConvNorm(Conv(c, c_out, 3), affine=True, relu=False) for c in (c_in, c_out, c_out)
        )
        self.shortcut = ConvNorm(Conv(c_in, c_out, 1), affine=True, relu=False)

    def forward(self, x: Tensor, reference: Reference = None) -> Tensor:
        """``(B, C, H, W) -> (B, C_out, H // 2, W // 2)``."""
        first, second, third = self.layers.children()
        y = F.leaky_relu(first(x, reference), 0.1)
        y = F.leaky_relu(second(y, reference), 0.1)
        y = third(y, reference) + self.shortcut(x, reference)
        return F.leaky_relu(pool(y, "max", 2, kernel=2), 0.1)


class ResNet12(SearchSpace):
    """Four residual blocks and global average pooling (Oreshkin et al. 2018, TADAM).

    Channels are 64-128-256-512 there, and 64-160-320-640 in MetaOptNet (Lee et al. 2019), without its
    DropBlock: dropout has no place in an inner loop of a few steps.

    >>> net = ResNet12(in_channels=3, n_ways=5, channels=(64, 160, 320, 640), image_size=84)
    >>> sum(p.numel() for p in net.blocks.parameters())
    12424320
    """

    supports_grouped = True

    def __init__(
        self, *, in_channels: int, n_ways: int, channels: Sequence[int], image_size: int
    ) -> None:
        super().__init__()
        if image_size < 2 ** len(channels):
            raise UserError(
                f"space=resnet12 halves images {len(channels)} times: {image_size} pixels is below "
                f"{2 ** len(channels)}"
            )
        widths = zip((in_channels, *channels[:-1]), channels, strict=True)
        self.blocks = nn.ModuleList(ResidualBlock(c_in, c_out) for c_in, c_out in widths)
        self.head = Head(channels[-1], n_ways)

    def features(self, x: Tensor, mixing: Mixing, context: Context) -> Tensor:
        """Returns the pooled feature map, ``(B, channels[-1])``."""
        for block in self.blocks:
            x = block(x, context.reference)
        return x.mean((2, 3))
