"""Batch normalisation whose second derivative is cheap: five sums and two linear combinations.

PyTorch derives the second derivative of batch norm from some twenty operations on whole feature maps; in
MAML they take a quarter of the time. (Its third derivative is wrong: the statistics pass as constants.)
Here, for one channel with N values, mean m and r = 1 / sqrt(variance + eps),

    h = (x - m) r,   y = w h + b,   dx = w r (g - mean(g) - h mean(g h)),   dw = sum(g h),   db = sum(g),

and the gradients of dx, dw and db need nothing but sums of g, g h, u, u h and u g, where u comes in for dx.
"""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor

from metanas_pl.types import AutogradContext

Sums = tuple[Tensor, Tensor, Tensor]
"""``dx (B, C, H, W), dw (C,), db (C,)``."""


class _Context(AutogradContext, Protocol):
    """It also keeps the numbers that are no tensors."""

    eps: float
    rows: int

    def set_materialize_grads(self, value: bool) -> None: ...


def batch_norm(x: Tensor, weight: Tensor | None, bias: Tensor | None, eps: float) -> Tensor:
    """``x (B, C, H, W)`` normalised by the mean and the variance of each channel.

    The same as ``F.batch_norm(x, None, None, weight, bias, training=True, eps=eps)``, to any order of
    derivative, for plain tensors outside of ``torch.func``.

    >>> batch_norm(torch.tensor([1.0, 3.0]).view(2, 1, 1, 1), None, None, 0.0).flatten()
    tensor([-1.,  1.])
    """
    y: Tensor = _Norm.apply(x, weight, bias, eps)
    return y


def statistics(x: Tensor, eps: float) -> tuple[Tensor, Tensor]:
    """Computes mean and ``1 / sqrt(variance + eps)`` per channel, ``(C,)``; faster than ``var_mean``."""
    mean = x.mean((0, 2, 3))
    variance = (x - _wide(mean)).square().mean((0, 2, 3))
    return mean, torch.rsqrt(variance + eps)


def _wide(channel: Tensor) -> Tensor:
    return channel[:, None, None]


def _pull_back(g: Tensor, x: Tensor, weight: Tensor | None, mean: Tensor, r: Tensor) -> Sums:
    """``dx, dw, db`` for the gradient ``g`` of the output."""
    if not torch.is_grad_enabled():
        known = (weight, None, None, mean, r, True, 0.0, [True, True, True])
        return torch.ops.aten.native_batch_norm_backward(g, x, *known)
    h, n = (x - _wide(mean)) * _wide(r), x.numel() // x.shape[1]
    sum_g, sum_gh = g.sum((0, 2, 3)), (g * h).sum((0, 2, 3))
    slope = r if weight is None else r * weight
    return _wide(slope) * (g - _wide(sum_g / n) - h * _wide(sum_gh / n)), sum_gh, sum_g


class _Norm(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: _Context, x: Tensor, weight: Tensor | None, bias: Tensor | None, eps: float
    ) -> Tensor:
        if x.is_contiguous():  # torch's statistics are slow in this layout
            mean, r = statistics(x, eps)
            y, *_ = torch.native_batch_norm(x, weight, bias, mean, r.pow(-2), False, 0.0, 0.0)
        else:
            y, mean, r = torch.native_batch_norm(x, weight, bias, None, None, True, 0.0, eps)
        ctx.save_for_backward(x, weight, mean, r)
        ctx.eps = eps
        return y

    @staticmethod
    def backward(ctx: _Context, g: Tensor) -> tuple[Tensor | None, ...]:  # type: ignore[override]
        dx, dw, db = _NormBackward.apply(g, *ctx.saved_tensors, ctx.eps)
        needs = ctx.needs_input_grad
        return dx, dw if needs[1] else None, db if needs[2] else None, None


class _NormBackward(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: _Context,
        g: Tensor,
        x: Tensor,
        weight: Tensor | None,
        mean: Tensor,
        r: Tensor,
        eps: float,
    ) -> Sums:
        dx, dw, db = _pull_back(g, x, weight, mean, r)
        ctx.save_for_backward(g, x, weight, mean, r, dw, db)
        ctx.set_materialize_grads(False)
        ctx.eps = eps
        return dx, dw, db

    @staticmethod
    def backward(
        ctx: _Context, u: Tensor | None, v: Tensor | None, c: Tensor | None
    ) -> tuple[Tensor | None, ...]:  # type: ignore[override]
        """From the gradients u, v, c of dx, dw, db those of g, x and the weight."""
        g, x, weight, mean, r, sum_gh, sum_g = ctx.saved_tensors
        of_sums = v is not None or c is not None
        u = torch.zeros_like(g) if u is None else u
        v, c = (torch.zeros_like(r) if t is None else t for t in (v, c))
        if torch.is_grad_enabled():  # a third derivative: the statistics depend on x
            mean, r = statistics(x, ctx.eps)
        n, w = x.numel() // x.shape[1], 1.0 if weight is None else weight
        to_g, sum_uh, sum_u = _pull_back(u, x, weight, mean, r)
        curvature = (u * g).sum((0, 2, 3)) - (sum_u * sum_g + sum_uh * sum_gh) / n
        # The gradient of h is  p u + q g;  that of x follows as in the first derivative.
        p, q = -w * r * sum_gh / n, v - w * r * sum_uh / n
        mean_h = (p * sum_u + q * sum_g) / n
        along_h = r * (p * sum_uh + q * sum_gh + w * r * curvature) / n
        to_x = torch.addcmul(_wide(along_h * r * mean - r * mean_h), x, _wide(-along_h * r))
        to_x = to_x.addcmul_(u, _wide(r * p)).addcmul_(g, _wide(r * q))
        if of_sums:
            to_g = torch.addcmul(to_g, x, _wide(v * r)).add_(_wide(c - v * r * mean))
        return to_g, to_x, None if weight is None else r * curvature, None, None, None


def reference_norm(
    x: Tensor, weight: Tensor | None, bias: Tensor | None, eps: float, rows: int
) -> Tensor:
    """``x (B, C, H, W)`` normalised by the mean and the variance of its first ``rows`` rows.

    For plain tensors outside of ``torch.func``, to any order of derivative; the first is the fast one.

    >>> reference_norm(torch.tensor([1.0, 3.0, 4.0]).view(3, 1, 1, 1), None, None, 0.0, 2).flatten()
    tensor([-1.,  1.,  2.])
    """
    y: Tensor = _ReferenceNorm.apply(x, weight, bias, eps, rows)
    return y


def by_statistics(
    x: Tensor, weight: Tensor | None, bias: Tensor | None, mean: Tensor, r: Tensor
) -> Tensor:
    """``(x - mean) r weight + bias``, where None are 1 and 0.

    Not ``F.batch_norm``: that has no derivative with respect to the statistics it is given.
    """
    scale = r if weight is None else r * weight
    shift = -mean * scale if bias is None else bias - mean * scale
    return x * _wide(scale) + _wide(shift)


class _ReferenceNorm(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: _Context, x: Tensor, weight: Tensor | None, bias: Tensor | None, eps: float, rows: int
    ) -> Tensor:
        mean, r = statistics(x[:rows], eps)
        ctx.save_for_backward(x, weight, bias, mean, r)
        ctx.eps, ctx.rows = eps, rows
        y, *_ = torch.native_batch_norm(x, weight, bias, mean, r.pow(-2), False, 0.0, 0.0)
        return y

    @staticmethod
    def backward(ctx: _Context, g: Tensor) -> tuple[Tensor | None, ...]:  # type: ignore[override]
        x, weight, bias, mean, r = ctx.saved_tensors
        needs = ctx.needs_input_grad[:3]
        if torch.is_grad_enabled():  # a second derivative: of plain operations
            y = by_statistics(x, weight, bias, *statistics(x[: ctx.rows], ctx.eps))
            wanted = [t for t, need in zip((x, weight, bias), needs, strict=True) if need]
            found = iter(torch.autograd.grad(y, wanted, g, create_graph=True))
            return *(next(found) if need else None for need in needs), None, None
        known = (weight, mean, r.pow(-2), None, None, False, 0.0, [True, True, True])
        dx, dw, db = torch.ops.aten.native_batch_norm_backward(g, x, *known)
        # The statistics depend on the first rows, as in the ordinary batch norm.
        first = x[: ctx.rows]
        share = (r if weight is None else r * weight) * x.shape[1] / first.numel()
        along_x = share * r * dw
        dx[: ctx.rows] -= torch.addcmul(_wide(share * db - along_x * mean), first, _wide(along_x))
        return dx, dw if needs[1] else None, db if needs[2] else None, None, None
