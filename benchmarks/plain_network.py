"""The reference network of the benchmarks: the one-shot network of MetaNAS in ordinary PyTorch modules.

Written from the description of the paper (Elsken et al. 2020), in the way of its authors' code: every
primitive of every edge is a chain of ``torch.nn`` layers, its output is multiplied by its mixing weight and
added up. Parameters have the names of
:class:`~metanas_pl.search_spaces.cells.supernet.Supernet`, so both take the same weights.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from metanas_pl.search_spaces.ops.names import PRIMITIVES


def norm(channels: int, affine: bool = False) -> nn.BatchNorm2d:
    """Batch norm on the statistics of the batch."""
    return nn.BatchNorm2d(channels, affine=affine, track_running_stats=False)


class ConvNorm(nn.Module):
    """ReLU (optional), convolutions, batch norm."""

    def __init__(self, *convs: nn.Conv2d, affine: bool = False, relu: bool = True) -> None:
        super().__init__()
        self.relu, self.convs = relu, nn.ModuleList(convs)
        self.norm = norm(convs[-1].out_channels, affine)

    def forward(self, x: Tensor) -> Tensor:
        """Apply them in turn."""
        x = torch.relu(x) if self.relu else x
        for conv in self.convs:
            x = conv(x)
        return self.norm(x)  # type: ignore[no-any-return]


class FactorizedReduce(nn.Module):
    """Two 1x1 convolutions of stride 2, the second one pixel further (DARTS)."""

    def __init__(self, c_in: int, c_out: int) -> None:
        super().__init__()
        widths = (c_out - c_out // 2, c_out // 2)
        self.convs = nn.ModuleList(nn.Conv2d(c_in, c, 1, 2, bias=False) for c in widths)
        self.norm = norm(c_out)

    def forward(self, x: Tensor) -> Tensor:
        """Half the resolution; sides are even."""
        x = torch.relu(x)
        halves = [self.convs[0](x), self.convs[1](x[:, :, 1:, 1:])]
        return self.norm(torch.cat(halves, 1))  # type: ignore[no-any-return]


def separable(channels: int, stride: int, dilation: int = 1) -> ConvNorm:
    """Depthwise 3x3 and pointwise convolution."""
    depthwise = nn.Conv2d(
        channels, channels, 3, stride, dilation, dilation, groups=channels, bias=False
    )
    return ConvNorm(depthwise, nn.Conv2d(channels, channels, 1, bias=False))


def primitive(name: str, c: int, stride: int) -> nn.Module:
    """One of the seven of the paper."""
    if name == "skip_connect":
        return nn.Identity() if stride == 1 else FactorizedReduce(c, c)
    if name == "conv_1x5_5x1":
        wide = nn.Conv2d(c, c, (1, 5), stride, (0, 2), bias=False)
        return ConvNorm(wide, nn.Conv2d(c, c, (5, 1), 1, (2, 0), bias=False))
    if name == "sep_conv_3x3":
        return nn.Sequential(separable(c, stride), separable(c, 1))
    if name in ("conv_3x3", "dil_conv_3x3"):
        return separable(c, stride, 2 if name == "dil_conv_3x3" else 1)
    if name == "max_pool_3x3":
        return nn.Sequential(nn.MaxPool2d(3, stride, 1), norm(c))
    return nn.Sequential(nn.AvgPool2d(3, stride, 1, count_include_pad=False), norm(c))


class Cell(nn.Module):
    """A cell with every primitive on every edge, nodes weighted by pairs of inputs."""

    def __init__(self, n_nodes: int, channels: int, reduction: bool) -> None:
        super().__init__()
        self.kind = "reduce" if reduction else "normal"
        self.nodes = nn.ModuleList(
            nn.ModuleList(
                nn.ModuleList(primitive(n, channels, 1 + (reduction and j < 2)) for n in PRIMITIVES)
                for j in range(i + 2)
            )
            for i in range(n_nodes)
        )

    def forward(self, s0: Tensor, s1: Tensor, mixing: Mapping[str, Tensor]) -> Tensor:
        """Concatenated nodes."""
        states = [s0, s1]
        for i, edges in enumerate(self.nodes):
            weight, pairs = mixing[f"{self.kind}_{i}"], mixing[f"{self.kind}_pair_{i}"]
            mixed = []
            for j, edge in enumerate(edges):  # type: ignore[arg-type]
                mixed.append(sum(w * op(states[j]) for w, op in zip(weight[j], edge, strict=True)))
            both = [(k, m) for k in range(len(mixed)) for m in range(k + 1, len(mixed))]
            states.append(
                sum(p * (mixed[k] + mixed[m]) for p, (k, m) in zip(pairs, both, strict=True))
            )
        return torch.cat(states[2:], 1)


class PlainSupernet(nn.Module):
    """Stem, cells, average pooling, linear head; images have sides that stay even."""

    def __init__(self, n_ways: int, channels: int, n_cells: int, n_nodes: int) -> None:
        super().__init__()
        before = last = 3 * channels
        stem = nn.Conv2d(1, last, 3, padding=1, bias=False)
        self.stem = ConvNorm(stem, affine=True, relu=False)
        self.preprocess, self.cells = nn.ModuleList(), nn.ModuleList()
        for index in range(n_cells):
            after_reduction = index > 0 and index % 2 == 0
            left = (
                FactorizedReduce(before, channels)
                if after_reduction
                else ConvNorm(nn.Conv2d(before, channels, 1, bias=False))
            )
            right = ConvNorm(nn.Conv2d(last, channels, 1, bias=False))
            self.preprocess.append(nn.ModuleList([left, right]))
            self.cells.append(Cell(n_nodes, channels, index % 2 == 1))
            before, last = last, n_nodes * channels
        self.head = nn.Linear(last, n_ways)

    def forward(self, x: Tensor, mixing: Mapping[str, Tensor]) -> Tensor:
        """Logits."""
        s0 = s1 = self.stem(x)
        for cell, pair in zip(self.cells, self.preprocess, strict=True):
            left, right = pair  # type: ignore[misc]
            s0, s1 = s1, cell(left(s0), right(s1), mixing)
        return self.head(s1.mean((2, 3)))  # type: ignore[no-any-return]
