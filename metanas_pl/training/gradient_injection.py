"""A meta-gradient that was computed already goes through Lightning as the backward pass of a loss."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:
    from metanas_pl.types import AutogradContext


class InjectGradient(torch.autograd.Function):
    """Return a loss whose backward delivers given gradients to given parameters.

    So Lightning's automatic optimisation, DDP, clipping and accumulation work for any meta-learner.
    """

    @staticmethod
    def forward(
        ctx: AutogradContext, loss: Tensor, share: Tensor, n: int, *tensors: Tensor
    ) -> Tensor:
        """``tensors`` are n parameters followed by their n gradients; these count by ``share``."""
        ctx.save_for_backward(share, *tensors[n:])
        return loss.detach().clone()

    @staticmethod
    def backward(ctx: AutogradContext, *grad_outputs: Tensor) -> tuple[Tensor | None, ...]:
        """Returns stored gradients, times share and gradient of the loss (loss scaling, accumulation)."""
        share, *grads = ctx.saved_tensors
        scale = share * grad_outputs[0]
        return (None, None, None, *(scale * g for g in grads), *(None for _ in grads))
