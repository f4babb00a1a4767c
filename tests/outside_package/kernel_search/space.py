"""A search space of another package: blocks that each choose the size of a convolution's kernel."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch.nn.functional as F
from torch import Tensor, nn

from metanas_pl.algorithms.nas.relaxations import one_hot
from metanas_pl.search_spaces.base import Context, SearchSpace
from metanas_pl.search_spaces.ops.layers import Conv
from metanas_pl.search_spaces.ops.primitives import ConvNorm
from metanas_pl.types import ArchitectureParameter, Mixing


class KernelSpace(SearchSpace):
    """Blocks of one convolution, batch norm and ReLU, each halving the image.

    >>> KernelSpace(1, n_ways=5, channels=4, n_blocks=2, kernels=[1, 3]).alphas()["kernel"].shape
    torch.Size([2, 2])
    """

    def __init__(
        self, in_channels: int, *, n_ways: int, channels: int, n_blocks: int, kernels: Sequence[int]
    ) -> None:
        super().__init__()
        widths = [in_channels] + [channels] * (n_blocks - 1)
        self.blocks = nn.ModuleList(
            nn.ModuleList(
                ConvNorm(Conv(width, channels, kernel, stride=2), affine=True, relu=False)
                for kernel in kernels
            )
            for width in widths
        )
        self.head = nn.Linear(channels, n_ways)

    def features(self, x: Tensor, mixing: Mixing, context: Context) -> Tensor:
        """Pooled feature map, ``(B, channels)``."""
        for weight_O, block in zip(mixing["kernel"], self.blocks, strict=True):
            options = [option(x, context.reference) for option in block]
            x = F.relu(sum(w * y for w, y in zip(weight_O, options, strict=True)))
        return x.mean((2, 3))

    def architecture_parameters(self) -> list[ArchitectureParameter]:
        """Declares one choice of a kernel for each block."""
        return [ArchitectureParameter("kernel", (len(self.blocks), len(self.blocks[0])))]

    def prune(self, mixing: Mixing) -> Mixing:
        """One kernel a block."""
        return {"kernel": one_hot(mixing["kernel"])}

    def usage(self, mixing: Mixing) -> Mixing:
        """The mixing weights."""
        return mixing

    def choices(self) -> dict[str, list[list[list[nn.Module]]]]:
        """The convolutions of each block."""
        return {"kernel": [[[option] for option in block] for block in self.blocks]}


def build(
    config: Mapping[str, Any], *, in_channels: int, image_size: int, n_ways: int, search: bool
) -> KernelSpace:
    """The space of ``configs/space/kernels.yaml``."""
    sizes = {key: config[key] for key in ("channels", "n_blocks", "kernels")}
    return KernelSpace(in_channels, n_ways=n_ways, **sizes)
