"""Candidate operations (primitives) of cell-based search spaces, and batch norm on batch statistics.

Every module takes ``(x, reference, factor)``. ``x`` is ``(B, C, H, W)``, or ``(B, T*C, H, W)`` with the
channels of T tasks side by side. ``reference`` says whose statistics normalise the whole batch (see
:data:`~metanas_pl.search_spaces.ops.layers.Reference`): with those of the support set, a query's prediction
does not depend on the other queries, which is *inductive* evaluation. ``factor`` multiplies the output,
``()`` or ``(T,)``: the mixing weight, which costs nothing where a batch norm scales anyway.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from metanas_pl.errors import UserError
from metanas_pl.search_spaces.ops.layers import (
    Conv,
    Reference,
    by_channel,
    join,
    normalised,
    pool,
    scaled,
)
from metanas_pl.search_spaces.ops.names import NONE


class BatchStatNorm(nn.Module):
    """Batch normalisation by the statistics of the present batch; it keeps no running averages."""

    def __init__(self, channels: int, affine: bool = True, eps: float = 1e-5) -> None:
        super().__init__()
        self.eps = eps
        self.weight = nn.Parameter(torch.ones(channels)) if affine else None
        self.bias = nn.Parameter(torch.zeros(channels)) if affine else None

    def forward(
        self, x: Tensor, reference: Reference = None, factor: Tensor | None = None
    ) -> Tensor:
        """Normalises ``x (B, C, H, W)`` by the statistics of all rows, or those of ``reference``."""
        weight: Tensor | None = self.weight
        bias: Tensor | None = self.bias
        if factor is not None:
            factor = by_channel(factor, x.shape[1]).to(x.dtype)
            weight = factor if weight is None else weight * factor
            bias = None if bias is None else bias * factor
        return normalised(x, weight, bias, self.eps, reference)


class Rectifying(nn.Module, ABC):
    """A primitive that begins with ReLU, which all that read the same input may share.

    Attributes:
        relu: whether it does.
    """

    relu = True

    def forward(
        self,
        x: Tensor,
        reference: Reference = None,
        factor: Tensor | None = None,
        rectified: bool = False,
    ) -> Tensor:
        """``(B, C, H, W) -> (B, C_out, H', W')``; ``rectified`` says that ``x`` had its ReLU."""
        return self.after_relu(F.relu(x) if self.relu and not rectified else x, reference, factor)

    @abstractmethod
    def after_relu(self, x: Tensor, reference: Reference, factor: Tensor | None) -> Tensor:
        """Returns what follows the ReLU."""


class ConvNorm(Rectifying):
    """ReLU (optional), convolutions one after the other, batch norm."""

    def __init__(self, *convs: nn.Conv2d, affine: bool, relu: bool = True) -> None:
        super().__init__()
        self.relu = relu
        self.convs = nn.ModuleList(convs)
        self.norm = BatchStatNorm(convs[-1].out_channels, affine)

    def after_relu(self, x: Tensor, reference: Reference, factor: Tensor | None) -> Tensor:
        """``(B, C, H, W) -> (B, C_out, H', W')``."""
        for layer in self.convs:
            x = layer(x)
        return self.norm(x, reference, factor)


class FactorizedReduce(Rectifying):
    """ReLU; halve the resolution by two 1x1 convolutions on the even and the odd grid (DARTS)."""

    def __init__(self, c_in: int, c_out: int, affine: bool) -> None:
        super().__init__()
        self.c_in = c_in
        halves = (c_out - c_out // 2, c_out // 2)
        self.convs = nn.ModuleList(Conv(c_in, half, 1, stride=2) for half in halves)
        self.norm = BatchStatNorm(c_out, affine)

    def after_relu(self, x: Tensor, reference: Reference, factor: Tensor | None) -> Tensor:
        """``(B, C, H, W) -> (B, C_out, ceil(H/2), ceil(W/2))``; an odd side has no odd grid to add."""
        odd = x[:, :, 1 - x.shape[2] % 2 :, 1 - x.shape[3] % 2 :]
        tasks = x.shape[1] // self.c_in
        halves = join([self.convs[0](x), self.convs[1](odd)], tasks)
        return self.norm(halves, reference, factor)


class Pool(nn.Module):
    """3x3 pooling, ``max`` or ``avg``; the padding takes no part in an average."""

    def __init__(self, kind: str, stride: int) -> None:
        super().__init__()
        self.kind, self.stride = kind, stride

    def forward(
        self, x: Tensor, reference: Reference = None, factor: Tensor | None = None
    ) -> Tensor:
        """``(B, C, H, W) -> (B, C, ceil(H/stride), ceil(W/stride))``."""
        return scaled(pool(x, self.kind, self.stride), factor)


class PoolNorm(Pool):
    """3x3 pooling followed by batch norm."""

    def __init__(self, kind: str, channels: int, stride: int, affine: bool) -> None:
        super().__init__(kind, stride)
        self.norm = BatchStatNorm(channels, affine)

    def forward(
        self, x: Tensor, reference: Reference = None, factor: Tensor | None = None
    ) -> Tensor:
        """``(B, C, H, W) -> (B, C, ceil(H/stride), ceil(W/stride))``."""
        return self.norm(super().forward(x), reference, factor)


class Zero(nn.Module):
    """``none``: zeros of the shape that the other primitives give, whatever ``x`` holds."""

    def __init__(self, stride: int) -> None:
        super().__init__()
        self.stride = stride

    def forward(
        self, x: Tensor, reference: Reference = None, factor: Tensor | None = None
    ) -> Tensor:
        """``(B, C, H, W) -> (B, C, ceil(H/stride), ceil(W/stride))``."""
        return torch.zeros_like(x[:, :, :: self.stride, :: self.stride])


class Identity(nn.Module):
    """``skip_connect`` at stride 1. Drop path leaves it alone."""

    def forward(
        self, x: Tensor, reference: Reference = None, factor: Tensor | None = None
    ) -> Tensor:
        """Returns ``x``, times the factor."""
        return scaled(x, factor)


class Twice(Rectifying, nn.ModuleList):
    """Two primitives that begin with ReLU, one after the other."""

    def after_relu(self, x: Tensor, reference: Reference, factor: Tensor | None) -> Tensor:
        """Applies both; the factor is that of the second."""
        first, second = self
        return second(first(x, reference, rectified=True), reference, factor)


def separable(channels: int, kernel: int, stride: int, affine: bool, dilation: int = 1) -> ConvNorm:
    """ReLU, depthwise and pointwise convolution, batch norm."""
    return ConvNorm(
        Conv(channels, channels, kernel, stride, dilation, groups=channels),
        Conv(channels, channels, 1),
        affine=affine,
    )


def _skip(channels: int, stride: int, affine: bool) -> nn.Module:
    return Identity() if stride == 1 else FactorizedReduce(channels, channels, affine)


def _factorized_5(channels: int, stride: int, affine: bool) -> nn.Module:
    first = Conv(channels, channels, (1, 5), stride)
    return ConvNorm(first, Conv(channels, channels, (5, 1)), affine=affine)


def _sep(channels: int, kernel: int, stride: int, affine: bool) -> nn.Module:
    """Returns the separable convolution applied twice; only the first has the stride."""
    return Twice([separable(channels, kernel, s, affine) for s in (stride, 1)])


# name -> build(channels, stride, affine)
BUILDERS: dict[str, Callable[[int, int, bool], nn.Module]] = {
    "max_pool_3x3": lambda c, stride, affine: PoolNorm("max", c, stride, affine),
    "avg_pool_3x3": lambda c, stride, affine: PoolNorm("avg", c, stride, affine),
    "skip_connect": _skip,
    "conv_1x5_5x1": _factorized_5,
    "conv_3x3": lambda c, stride, affine: separable(c, 3, stride, affine),
    "sep_conv_3x3": lambda c, stride, affine: _sep(c, 3, stride, affine),
    "dil_conv_3x3": lambda c, stride, affine: separable(c, 3, stride, affine, dilation=2),
    "sep_conv_5x5": lambda c, stride, affine: _sep(c, 5, stride, affine),
    "dil_conv_5x5": lambda c, stride, affine: separable(c, 5, stride, affine, dilation=2),
    NONE: lambda c, stride, affine: Zero(stride),
}


def make_primitive(
    name: str, channels: int, stride: int, affine: bool, pool_norm: bool = True
) -> nn.Module:
    """Builds the primitive called ``name``; ``pool_norm`` puts batch norm after pooling.

    Raises:
        UserError: there is no such primitive.

    >>> make_primitive("max_pool_3x3", 4, 2, affine=False, pool_norm=False)
    Pool()
    """
    if name not in BUILDERS:
        raise UserError(f"primitive {name!r} is unknown: choose from {', '.join(BUILDERS)}")
    if not pool_norm and name in ("max_pool_3x3", "avg_pool_3x3"):
        return Pool(name[:3], stride)
    return BUILDERS[name](channels, stride, affine)
