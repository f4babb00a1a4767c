"""Fixed backbones of few-shot learning behind the door of a search space."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from metanas_pl.functional.relaxation import Mixing
from metanas_pl.spaces.base import Context, SearchSpace
from metanas_pl.spaces.primitives import ConvNorm, conv


class Conv4(SearchSpace):
    """Four blocks of 3x3 convolution, batch norm, ReLU, 2x2 max pooling (Vinyals et al. 2016).

    >>> sum(p.numel() for p in Conv4(in_channels=3, n_ways=5, channels=32, image_size=84).parameters())
    32773
    """

    def __init__(self, *, in_channels: int, n_ways: int, channels: int, image_size: int) -> None:
        super().__init__()
        if image_size < 16:
            raise ValueError(f"space=conv4 halves images 4 times: {image_size} pixels is below 16")
        widths = (in_channels, channels, channels, channels)
        self.blocks = nn.ModuleList(
            ConvNorm(conv(width, channels, 3), affine=True, relu=False) for width in widths
        )
        self.head = nn.Linear(channels * (image_size // 16) ** 2, n_ways)

    def features(self, x: Tensor, mixing: Mixing, context: Context) -> Tensor:
        """Flattened feature map, ``(B, channels * (size // 16)^2)``."""
        for block in self.blocks:
            x = F.max_pool2d(F.relu(block(x, context.reference)), 2)
        return x.flatten(1)
