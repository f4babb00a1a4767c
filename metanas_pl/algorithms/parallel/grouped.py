"""Networks of all tasks of a meta-batch as one network, under ``vmap`` and ``grad``.

``vmap`` maps every single operation over the tasks, in a memory layout of its own. A network can do better
when it sees all tasks at once: with their channels side by side, a convolution of T tasks is one grouped
convolution, and batch norm has the statistics of each task for free. :func:`call_grouped` hands the stacked
tensors of all tasks to a function, wherever within ``vmap`` it is called and however often it is
differentiated; the function runs on plain tensors, with PyTorch's own autograd.

Shapes: T tasks, N whatever a task has.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Protocol

import torch
from torch import Tensor

from metanas_pl.types import AutogradContext

if TYPE_CHECKING:
    from typing_extensions import Unpack

Stacked = tuple[Tensor, ...]


def call_grouped(
    function: Callable[..., Tensor], *inputs: Tensor, second_order: bool = False
) -> Tensor:
    """Returns ``function`` of tensors with a leading task dimension, called with those of one task.

    Args:
        function: pure; inputs with a leading task dimension T to one output with the same T.
        inputs: floating-point tensors of one task, mapped over tasks by ``vmap`` or not at all.
        second_order: its gradient will be differentiated, too. Without it that is right all the same,
            but takes another backward pass.

    >>> double = lambda x_TN: 2 * x_TN
    >>> torch.func.vmap(torch.func.grad(lambda x: call_grouped(double, x).sum()))(torch.ones(2, 3))
    tensor([[2., 2., 2.],
            [2., 2., 2.]])
    """
    tracked = torch.is_grad_enabled() and any(x.requires_grad for x in inputs)
    (output,) = _Grouped.apply(_Call(function, tracked, second_order), *inputs)
    return output


class _Call:
    """One call of a function: what it computed, kept for as long as derivatives may be asked for."""

    leaves: tuple[Tensor, ...]
    outputs: Stacked

    def __init__(self, function: Callable[..., Tensor], tracked: bool, second_order: bool) -> None:
        self.function, self.tracked, self.second_order = function, tracked, second_order

    def run(self, inputs: Sequence[Tensor]) -> Stacked:
        """Returns outputs for stacked inputs."""
        if not self.tracked:
            with torch.no_grad():
                return (self.function(*inputs),)
        with torch.inference_mode(False), torch.enable_grad():
            self.leaves = tuple(_leaf(x) for x in inputs)
            self.outputs = (self.function(*self.leaves),)
        return tuple(x.detach() for x in self.outputs)

    def graph(self) -> tuple[tuple[Tensor, ...], Stacked]:
        """Returns leaves and outputs that hang together in an autograd graph."""
        return self.leaves, self.outputs


class _PullBack:
    """The gradient of a call with respect to some of its inputs: again a function to call."""

    def __init__(self, call: _Call | _PullBack, wanted: Sequence[int], second_order: bool) -> None:
        self.call, self.wanted, self.second_order = call, wanted, second_order
        self.given: Stacked = ()
        self.outputs: Stacked = ()

    def run(self, inputs: Sequence[Tensor]) -> Stacked:
        """Gradients; the last inputs are those of the call's outputs, the others are known here."""
        leaves, outputs = self.call.graph()
        with torch.inference_mode(False):
            self.given = tuple(_leaf(x) for x in inputs[len(leaves) :])
            if self.second_order:
                return tuple(x.detach() for x in self.graph()[1])
            return torch.autograd.grad(
                outputs,
                [leaves[i] for i in self.wanted],
                self.given,
                retain_graph=True,
                materialize_grads=True,
            )

    def graph(self) -> tuple[tuple[Tensor, ...], Stacked]:
        """As of a call; the gradients are computed again unless it was known that they would be needed."""
        leaves, outputs = self.call.graph()
        if not self.outputs:
            with torch.inference_mode(False), torch.enable_grad():
                self.outputs = torch.autograd.grad(
                    outputs,
                    [leaves[i] for i in self.wanted],
                    self.given,
                    create_graph=True,
                    materialize_grads=True,
                )
        return (*leaves, *self.given), self.outputs


class _Context(AutogradContext, Protocol):
    """It also keeps which call this was."""

    call: _Call | _PullBack


class _VmapInfo(Protocol):
    """What ``vmap`` says of itself."""

    batch_size: int


class _Grouped(torch.autograd.Function):
    """A call as a node of ``torch.func``'s autograd, whatever transforms surround it."""

    @staticmethod
    def forward(call: _Call | _PullBack, *inputs: Tensor) -> Stacked:
        return tuple(x.squeeze(0) for x in call.run([x.unsqueeze(0) for x in inputs]))

    @staticmethod
    def setup_context(  # type: ignore[override]
        ctx: _Context, inputs: tuple[_Call | _PullBack, Unpack[Stacked]], output: Stacked
    ) -> None:
        ctx.call, *tensors = inputs
        ctx.save_for_backward(*tensors)

    @staticmethod
    def backward(ctx: _Context, *gradients: Tensor) -> tuple[Tensor | None, ...]:  # type: ignore[override]
        needed = ctx.needs_input_grad[1:]
        wanted = [i for i, need in enumerate(needed) if need]
        # Its own gradient is rarely asked for a third time.
        first = isinstance(ctx.call, _Call)
        pull_back = _PullBack(ctx.call, wanted, first and ctx.call.second_order)
        found = iter(_Grouped.apply(pull_back, *ctx.saved_tensors, *gradients))
        return None, *(next(found) if need else None for need in needed)

    @staticmethod
    def vmap(  # type: ignore[override]
        info: _VmapInfo,
        in_dims: tuple[int | None, ...],
        call: _Call | _PullBack,
        *inputs: Tensor,
    ) -> tuple[Stacked, tuple[int, ...]]:
        stacked = [
            x.expand(info.batch_size, *x.shape) if dim is None else x.movedim(dim, 0)
            for x, dim in zip(inputs, in_dims[1:], strict=True)
        ]
        outputs = call.run(stacked)
        return outputs, (0,) * len(outputs)


def _leaf(x: Tensor) -> Tensor:
    """Returns the same numbers as the leaf of a new graph."""
    x = x.clone() if x.is_inference() else x.detach()
    return x.requires_grad_()
