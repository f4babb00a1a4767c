"""The search space of T-NAS and Auto-MAML: the cells of DARTS behind a stem that quarters the image.

Lian et al. 2020, "Towards Fast Adaptation of Neural Architectures with Meta Learning" (ICLR), as in their
repository github.com/dongzelian/T-NAS (``learner.py``, ``model.py``, ``train_tnas.sh``): the eight
primitives of DARTS, four nodes, a normal and then a reduction cell of 16 and 32 channels, no batch norm
after pooling in derived networks.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch.nn.functional as F
from torch import Tensor, nn

from metanas_pl.errors import UserError
from metanas_pl.search_spaces.base import CellNetwork
from metanas_pl.search_spaces.builders import cells
from metanas_pl.search_spaces.ops.layers import Conv
from metanas_pl.search_spaces.ops.primitives import ConvNorm

if TYPE_CHECKING:
    from metanas_pl.types import Settings


class PooledStem(nn.Module):
    """Two 3x3 convolutions, each with batch norm and 2x2 max pooling; ReLU between them.

    >>> import torch
    >>> PooledStem(3, 48)(torch.zeros(2, 3, 84, 84)).shape
    torch.Size([2, 48, 21, 21])
    """

    def __init__(self, in_channels: int, channels: int) -> None:
        super().__init__()
        self.first = ConvNorm(Conv(in_channels, channels // 2, 3), affine=True, relu=False)
        self.second = ConvNorm(Conv(channels // 2, channels, 3), affine=True)

    def forward(self, x: Tensor, reference: int | None = None) -> Tensor:
        """``(B, C, H, W) -> (B, C_out, H // 4, W // 4)``."""
        x = F.max_pool2d(self.first(x, reference), 2)
        return F.max_pool2d(self.second(x, reference), 2)


def build(
    config: Settings,
    *,
    in_channels: int,
    image_size: int,
    n_ways: int,
    search: bool,
    partial_channels: int = 1,
    auxiliary_skip: bool = False,
) -> CellNetwork:
    """Returns the network of :func:`~metanas_pl.search_spaces.builders.cells` behind a :class:`PooledStem`.

    Raises:
        UserError: the images are too small, or there is no such genotype.
    """
    if image_size < 4:
        raise UserError(f"space=tnas quarters images: {image_size} pixels is below 4")
    space = cells(
        config,
        in_channels=in_channels,
        image_size=image_size,
        partial_channels=partial_channels,
        auxiliary_skip=auxiliary_skip,
        n_ways=n_ways,
        search=search,
    )
    space.stem = PooledStem(in_channels, 3 * config["channels"])
    return space
