"""Layers that read the number of tasks off their input, each by the fastest of equal routes.

The channels of T tasks may lie side by side: ``x (B, T*C, H, W)`` with weights ``(T*C_out, C, k, k)``. A
convolution is then grouped by task, and batch norm needs no change. One task is the ordinary case T = 1.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from metanas_pl.search_spaces.ops.batch_norm import (
    batch_norm,
    by_statistics,
    reference_norm,
    statistics,
)

Reference = int | Tensor | None
"""Rows whose statistics count in a batch norm: None is all of them, a number so many at the beginning, a
tensor the weight of each row, ``(B,)``, or of each row and task, ``(B, T)``."""


def has_routes(x: Tensor) -> bool:
    """Returns whether ``x`` has faster routes: on the CPU, as a plain tensor, outside ``torch.func``."""
    return x.device.type == "cpu" and torch.func.debug_unwrap(x) is x


class Conv(nn.Conv2d):
    """A convolution without bias, padded so that stride 1 keeps the size (odd kernels)."""

    def __init__(
        self,
        c_in: int,
        c_out: int,
        kernel: int | tuple[int, int],
        stride: int = 1,
        dilation: int = 1,
        groups: int = 1,
    ) -> None:
        sides = (kernel, kernel) if isinstance(kernel, int) else kernel
        padding = tuple(dilation * (side - 1) // 2 for side in sides)
        super().__init__(
            c_in,
            c_out,
            sides,
            stride,
            padding,  # type: ignore[arg-type]
            dilation=dilation,
            groups=groups,
            bias=False,
        )

    def forward(self, x: Tensor) -> Tensor:
        """``(B, T*C, H, W) -> (B, T*C_out, H', W')``."""
        groups = self.groups * (x.shape[1] // self.in_channels)
        stride, dilation = self.stride[0], self.dilation[0]
        if has_routes(x):
            if self.kernel_size == (1, 1):
                return pointwise(x[:, :, ::stride, ::stride], self.weight, groups)
            if self.in_channels == 1 < groups and stride == dilation == 1:
                return of_one_channel(x, self.weight, groups)
            if dilation > 1 and groups == x.shape[1]:
                if stride == dilation:
                    x, stride, dilation = x[:, :, ::stride, ::stride], 1, 1
                elif stride == 1 and x.shape[2] % dilation == 0 == x.shape[3] % dilation:
                    return dilated_depthwise(x, self.weight, dilation)
        padding = [dilation * (side - 1) // 2 for side in self.kernel_size]
        return F.conv2d(x, self.weight, None, stride, padding, dilation, groups)


def pointwise(x: Tensor, weight: Tensor, groups: int) -> Tensor:
    """Returns a 1x1 convolution as matrix products.

    With channels last, the convolution of torch 2.13 for less than 8 channels writes beyond its memory.
    """
    if groups == 1 and not x.is_contiguous():
        return F.linear(x.permute(0, 2, 3, 1), weight.flatten(1)).permute(0, 3, 1, 2)
    images, channels, height, width = x.shape
    pixels = x.reshape(images, groups, channels // groups, height * width)
    kernel = weight.reshape(groups, -1, channels // groups)
    return (kernel @ pixels).reshape(images, -1, height, width)


def of_one_channel(x: Tensor, weight: Tensor, tasks: int) -> Tensor:
    """Returns a convolution of one channel a task as matrix products over the pixels around each pixel."""
    images, _, height, width = x.shape
    rows, columns = weight.shape[2:]
    patches = F.unfold(x, (rows, columns), padding=(rows // 2, columns // 2))
    patches = patches.view(images, tasks, rows * columns, -1)
    kernel = weight.view(tasks, -1, rows * columns)
    return (kernel @ patches).view(images, -1, height, width)


def dilated_depthwise(x: Tensor, weight: Tensor, dilation: int) -> Tensor:
    """Returns a depthwise convolution at stride 1 as a plain one on the ``dilation^2`` grids of every map.

    Oddly, CPU kernels of dilated convolutions are many times slower than those of plain ones.
    """
    padding = [side // 2 for side in weight.shape[2:]]
    y = F.conv2d(_grids(x, dilation), weight, padding=padding, groups=x.shape[1])
    return _from_grids(y, dilation)


def _grids(x: Tensor, d: int) -> Tensor:
    """Returns each d-th row and column of maps, ``(d*d*B, C, H/d, W/d)``; ``pixel_unshuffle`` is slow."""
    split = x.unflatten(3, (-1, d)).unflatten(2, (-1, d)).permute(3, 5, 0, 1, 2, 4)
    if x.is_contiguous():
        return split.flatten(0, 2)
    return split.movedim(3, 5).flatten(0, 2).movedim(3, 1)


def _from_grids(grids: Tensor, d: int) -> Tensor:
    """Returns the maps that :func:`_grids` took apart."""
    split = grids.unflatten(0, (d, d, -1)).permute(2, 3, 4, 0, 5, 1)
    if grids.is_contiguous():
        return split.flatten(4, 5).flatten(2, 3)
    return split.movedim(1, 5).flatten(3, 4).flatten(1, 2).movedim(3, 1)


def normalised(
    x: Tensor, weight: Tensor | None, bias: Tensor | None, eps: float, reference: Reference = None
) -> Tensor:
    """Returns the batch norm ``(B, C, H, W)`` by the statistics of the rows of ``reference``."""
    if isinstance(reference, Tensor):
        return by_statistics(x, weight, bias, *weighted_statistics(x, reference, eps))
    if reference is None:
        if has_routes(x):
            return batch_norm(x, weight, bias, eps)
        return F.batch_norm(x, None, None, weight, bias, training=True, eps=eps)
    if has_routes(x):
        return reference_norm(x, weight, bias, eps, reference)
    return by_statistics(x, weight, bias, *statistics(x[:reference], eps))


def weighted_statistics(x: Tensor, rows: Tensor, eps: float) -> tuple[Tensor, Tensor]:
    """Computes mean and ``1 / sqrt(variance + eps)`` per channel, ``(C,)``, by the rows' weights."""
    share = by_row(rows / rows.sum(0), x.shape[1]).to(x.dtype)
    mean = (x.mean((2, 3)) * share).sum(0)
    variance = ((x - mean[:, None, None]).square().mean((2, 3)) * share).sum(0)
    return mean, torch.rsqrt(variance + eps)


def pool(x: Tensor, kind: str, stride: int, kernel: int = 3) -> Tensor:
    """Pooling, ``max`` or ``avg``, padded if the kernel is odd; the padding takes no part in an average.

    CPU kernels are ten times as fast when channels are last in memory, but averages pass their gradient
    back slowly in any layout; a convolution with ones does not.
    """
    padding = (kernel - 1) // 2
    ordered = x.is_contiguous()
    if has_routes(x) and kind == "max" and ordered:
        with torch.no_grad():
            _, where = F.max_pool2d(_channels_last(x), kernel, stride, padding, return_indices=True)
            where = where.contiguous()  # read once in every derivative
        return x.flatten(2).gather(2, where.flatten(2)).view(where.shape)
    if has_routes(x) and kind == "avg" and ordered and x.requires_grad:
        ones = x.new_ones(x.shape[1], 1, kernel, kernel)
        covered = F.conv2d(x.new_ones(1, 1, *x.shape[2:]), ones[:1], None, stride, padding)
        return F.conv2d(x, ones, None, stride, padding, groups=x.shape[1]) / covered
    if has_routes(x):
        x = _channels_last(x)
    if kind == "max":
        y = F.max_pool2d(x, kernel, stride, padding)
    else:
        y = F.avg_pool2d(x, kernel, stride, padding, count_include_pad=False)
    return y.contiguous() if ordered else y


def total(terms: Sequence[Tensor]) -> Tensor:
    """Returns the sum of tensors of one shape, added up in place where that is allowed.

    >>> total([torch.ones(2), torch.ones(2), torch.ones(2)])
    tensor([3., 3.])
    """
    if len(terms) < 3 or not has_routes(terms[0]):
        return sum(terms[1:], terms[0])
    y = terms[0] + terms[1]
    for term in terms[2:]:
        y += term
    return y


def _channels_last(x: Tensor) -> Tensor:
    return x.permute(0, 2, 3, 1).contiguous().permute(0, 3, 1, 2)


class Head(nn.Linear):
    """A linear layer for features ``(B, T*F)`` with weights ``(T*N, F)``: logits ``(B, T*N)``."""

    def forward(self, x: Tensor) -> Tensor:
        """``(B, T*F) -> (B, T*N)``."""
        tasks = x.shape[1] // self.in_features
        if tasks == 1:
            return F.linear(x, self.weight, self.bias)
        features, weight = x.unflatten(1, (tasks, -1)), self.weight.unflatten(0, (tasks, -1))
        return torch.einsum("btf,tnf->btn", features, weight).flatten(1) + self.bias


def join(parts: Sequence[Tensor], tasks: int = 1) -> Tensor:
    """Concatenates the channels of each task, ``(B, T*C_i, H, W) -> (B, T * sum C_i, H, W)``.

    >>> a, b = torch.zeros(1, 2, 1, 1), torch.ones(1, 2, 1, 1)
    >>> join([a, b], tasks=2).flatten().tolist()
    [0.0, 1.0, 0.0, 1.0]
    """
    if tasks == 1:
        return torch.cat(list(parts), dim=1)
    return torch.cat([part.unflatten(1, (tasks, -1)) for part in parts], dim=2).flatten(1, 2)


def take(x: Tensor, part: slice, tasks: int = 1) -> Tensor:
    """Returns a part of the channels of each task."""
    if tasks == 1:
        return x[:, part]
    return x.unflatten(1, (tasks, -1))[:, :, part].flatten(1, 2)


def scaled(x: Tensor, factor: Tensor | None) -> Tensor:
    """``x (B, T*C, H, W)`` times a factor, ``()`` or one for each task ``(T,)``; None is 1."""
    if factor is None:
        return x
    return x * (factor if factor.dim() == 0 else by_channel(factor, x.shape[1])[:, None, None])


def dropped(x: Tensor, noise: Tensor) -> Tensor:
    """``x (B, T*C, H, W)`` times a factor for each image, ``(B,)``, or image and task, ``(B, T)``."""
    return x * by_row(noise, x.shape[1])[:, :, None, None]


def by_row(factor: Tensor, channels: int) -> Tensor:
    """Returns factors of images, ``(B,)``, or images and tasks, ``(B, T)``, by channel: ``(B, C)``.

    >>> by_row(torch.tensor([[1.0, 2.0]]), 4)
    tensor([[1., 1., 2., 2.]])
    """
    factor = factor.reshape(factor.shape[0], -1, 1)
    return factor.expand(-1, -1, channels // factor.shape[1]).flatten(1)


def by_channel(factor: Tensor, channels: int) -> Tensor:
    """Returns a factor, ``()`` or one for each task ``(T,)``, as one for each of ``channels``.

    >>> by_channel(torch.tensor([1.0, 2.0]), 4)
    tensor([1., 1., 2., 2.])
    """
    factor = factor.reshape(-1, 1)
    repeated = factor.expand(-1, channels // factor.shape[0]).reshape(-1)
    return repeated.contiguous()  # the backward pass of batch norm reads its weight without strides
