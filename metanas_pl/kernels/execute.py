"""Runs a compiled program as one differentiable operation.

Shapes: T tasks, B images, F features, G gates.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor

from metanas_pl.kernels.library import library
from metanas_pl.kernels.program import ProgramFields
from metanas_pl.types import AutogradContext

DTYPES = {torch.float32: "float32", torch.float64: "float64"}


class CallFields(ctypes.Structure):
    """``Call`` in ``src/network.hpp``."""

    _fields_ = [  # noqa: RUF012
        *(
            (name, ctypes.c_int64)
            for name in "tasks images reference threads skip_zeros keep".split()
        ),
        ("x", ctypes.c_void_p),
        ("strides", ctypes.c_int64 * 5),
        ("weights", ctypes.POINTER(ctypes.c_void_p)),
        *((name, ctypes.c_void_p) for name in "factors work statistics out of_out".split()),
        ("of_weights", ctypes.POINTER(ctypes.c_void_p)),
        *((name, ctypes.c_void_p) for name in "of_factors gradients".split()),
    ]


class Run(NamedTuple):
    """One run of a program.

    Attributes:
        fields: the program.
        n_features: F.
        tasks: T.
        reference: images whose statistics count.
        skip_zeros: what a gate of zero multiplies is not computed.
        python: the same in Python, of the same tensors, for derivatives of higher order.
    """

    fields: ProgramFields
    n_features: int
    tasks: int
    reference: int
    skip_zeros: bool
    python: Callable[..., Tensor]


def execute(run: Run, x: Tensor, factors: Tensor, weights: Sequence[Tensor]) -> Tensor:
    """Returns features ``(B, T*F)`` of images ``(B, T*C, H, W)``.

    Args:
        run: what to compute.
        x: images.
        factors: of the gates, ``(T, G)``.
        weights: of the program, in its order, of T tasks one after the other.
    """
    tracked = torch.is_grad_enabled() and any(t.requires_grad for t in (x, factors, *weights))
    y: Tensor = _Execute.apply(run, tracked, x, factors, *weights)
    return y


class _Context(AutogradContext, Protocol):
    run: Run
    kept: tuple[Tensor, Tensor]
    next_functions: tuple[tuple[Any, int], ...]


class _Execute(torch.autograd.Function):
    @staticmethod
    def forward(  # type: ignore[override]
        ctx: _Context, run: Run, tracked: bool, x: Tensor, factors: Tensor, *weights: Tensor
    ) -> Tensor:
        images, fields = x.shape[0], run.fields
        slots = run.tasks if tracked else min(run.tasks, torch.get_num_threads())
        work = x.new_empty(slots * fields.numbers * images)
        statistics = x.new_empty(run.tasks * fields.statistics)
        out = x.new_empty(images, run.tasks * run.n_features)
        call = _call(run, x, factors, weights, work, statistics)
        call.keep, call.out = tracked, out.data_ptr()
        _function("forward", x.dtype)(ctypes.byref(fields), ctypes.byref(call))
        if tracked:
            ctx.run, ctx.kept = run, (work, statistics)
            ctx.save_for_backward(x, factors, *weights)
        return out

    @staticmethod
    def backward(ctx: _Context, g: Tensor) -> tuple[Tensor | None, ...]:  # type: ignore[override]
        run, (x, factors, *weights) = ctx.run, ctx.saved_tensors
        wanted = _wanted(ctx)
        if torch.is_grad_enabled() or wanted[0]:
            return None, None, *_in_python(run, [x, factors, *weights], wanted, g)
        work, statistics = ctx.kept
        call = _call(run, x, factors, weights, work, statistics)
        g = g.contiguous()
        of_factors = torch.zeros_like(factors)
        of_weights: list[Tensor] = []
        if any(wanted[2:]):
            of_weights = [torch.zeros_like(w) for w in weights]
        threads = min(run.tasks, torch.get_num_threads())
        gradients = x.new_empty(threads * run.fields.gradient_numbers * x.shape[0])
        call.keep, call.of_out, call.gradients = True, g.data_ptr(), gradients.data_ptr()
        if wanted[1]:
            call.of_factors = of_factors.data_ptr()
        if of_weights:
            call.of_weights = _pointers(of_weights)
        _function("backward", x.dtype)(ctypes.byref(run.fields), ctypes.byref(call))
        found: list[Tensor | None] = [*of_weights] or [None] * len(weights)
        return None, None, None, of_factors if wanted[1] else None, *found


def _wanted(ctx: _Context) -> list[bool]:
    """Returns for x, factors and weights whether this backward pass asks for their gradient.

    ``needs_input_grad`` says what the forward pass could tell: an alpha-step asks for less.
    """
    needs, functions = ctx.needs_input_grad[2:], ctx.next_functions  # of tensors alone
    return [
        need and (f is None or _will_run(f)) for need, (f, _) in zip(needs, functions, strict=True)
    ]


def _will_run(function: Any) -> bool:
    if "AccumulateGrad" in function.name():  # a leaf, of which the engine does not tell
        return True
    return bool(torch._C._will_engine_execute_node(function))


def _in_python(
    run: Run, inputs: Sequence[Tensor], wanted: Sequence[bool], g: Tensor
) -> list[Tensor | None]:
    """Returns gradients of the same computation in Python, which are differentiable in turn."""
    with torch.enable_grad():
        y = run.python(*inputs)
        asked = [t for t, want in zip(inputs, wanted, strict=True) if want]
        found = iter(torch.autograd.grad(y, asked, g, create_graph=True, allow_unused=True))
    return [next(found) if want else None for want in wanted]


def _call(
    run: Run,
    x: Tensor,
    factors: Tensor,
    weights: Sequence[Tensor],
    work: Tensor,
    statistics: Tensor,
) -> CallFields:
    image, channel, row, column = x.stride()
    strides = (x.shape[1] // run.tasks * channel, image, channel, row, column)
    return CallFields(
        tasks=run.tasks,
        images=x.shape[0],
        reference=run.reference,
        threads=torch.get_num_threads(),
        skip_zeros=run.skip_zeros,
        x=x.data_ptr(),
        strides=(ctypes.c_int64 * 5)(*strides),
        weights=_pointers(weights),
        factors=factors.data_ptr(),
        work=work.data_ptr(),
        statistics=statistics.data_ptr(),
    )


def _pointers(tensors: Sequence[Tensor]) -> Any:
    return (ctypes.c_void_p * len(tensors))(*(t.data_ptr() for t in tensors))


def _function(name: str, dtype: torch.dtype) -> Any:
    found = library()
    assert found is not None
    return getattr(found, f"metanas_{name}_{DTYPES[dtype]}")
