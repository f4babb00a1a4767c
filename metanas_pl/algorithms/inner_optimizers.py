"""Inner optimizers as pure ``(init, update)`` pairs over ``dict[str, Tensor]``.

State goes in and comes out; nothing is written in place, so an update runs under ``torch.func.grad``
and ``torch.func.vmap``, and can itself be differentiated.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from metanas_pl.errors import UserError
from metanas_pl.types import Params

RateByName = Callable[[str], float | Tensor]
"""The rate of a parameter, by its name; a tensor where it is learned."""

Rate = float | RateByName


class AdamState(NamedTuple):
    """First and second moments and the number of steps taken, a float scalar tensor."""

    first: Params
    second: Params
    step: Tensor


State = tuple[()] | AdamState
"""What an optimizer carries from step to step; nothing for gradient descent."""

States = tuple[State, State]
"""States of the weights' and of the alphas' optimizer."""


class InnerOptimizer(NamedTuple):
    """A pure optimizer.

    Attributes:
        init: ``init(params) -> state``.
        update: ``update(grads, state, params) -> (params, state)``.
    """

    init: Callable[[Params], State]
    update: Callable[[Params, State, Params], tuple[Params, State]]


def sgd(lr: Rate, weight_decay: float = 0.0) -> InnerOptimizer:
    """Returns gradient descent ``p - lr * (g + weight_decay * p)``; its state is empty.

    ``lr`` is a number, or a function from a parameter's name to its rate.

    >>> opt = sgd(0.5)
    >>> p = {"w": torch.tensor(1.0)}
    >>> opt.update({"w": torch.tensor(1.0)}, opt.init(p), p)[0]
    {'w': tensor(0.5000)}
    """
    rate = _per_name(lr)

    def update(grads: Params, state: State, params: Params) -> tuple[Params, State]:
        grads = _decayed(grads, params, weight_decay)
        return {k: p - rate(k) * grads[k] for k, p in params.items()}, state

    return InnerOptimizer(lambda params: (), update)


def adam(
    lr: Rate,
    betas: tuple[float, float] = (0.0, 0.999),
    eps: float = 1e-8,
    weight_decay: float = 0.0,
    eps_root: float = 0.0,
) -> InnerOptimizer:
    """Adam (Kingma & Ba 2015) with the update of ``torch.optim.Adam``; the paper takes beta1 = 0.

    With beta1 = 0 a gradient that is exactly zero leaves its parameter where it is; else the first moment
    moves it on. The square root of zero is taken so that second derivatives there stay finite.

    Args:
        lr: rate.
        betas: decay of the moments.
        eps: added to the root of the second moment.
        weight_decay: L2 penalty, added to the gradient (see :func:`decoupled` for the other kind).
        eps_root: added under the root, as in optax. Where a meta-gradient goes through the update, the
            derivative at small gradients is at most ``lr / sqrt(eps_root)`` instead of ``lr / eps``.

    >>> opt = adam(0.1)
    >>> p = {"w": torch.tensor(1.0)}
    >>> opt.update({"w": torch.tensor(3.0)}, opt.init(p), p)[0]
    {'w': tensor(0.9000)}
    """
    beta1, beta2 = betas
    rate = _per_name(lr)

    def init(params: Params) -> AdamState:
        zeros = {k: torch.zeros_like(p) for k, p in params.items()}
        like = next(iter(params.values()), torch.zeros(()))
        wide = torch.promote_types(like.dtype, torch.float32)  # bfloat16 has no 0.999
        return AdamState(zeros, zeros, like.new_zeros((), dtype=wide))

    def update(grads: Params, state: State, params: Params) -> tuple[Params, AdamState]:
        assert isinstance(state, AdamState)
        grads = _decayed(grads, params, weight_decay)
        step = state.step + 1
        first = grads
        if beta1 > 0:
            first = {k: beta1 * state.first[k] + (1 - beta1) * g for k, g in grads.items()}
        second = {
            k: torch.addcmul(beta2 * state.second[k], g, g, value=1 - beta2)
            for k, g in grads.items()
        }
        # Both bias corrections on scalars: of hundreds of small tensors every operation counts.
        scale = (1 - beta2**step).sqrt()
        correction = scale / (1 - beta1**step)
        rooted = second
        if eps_root > 0:
            rooted = {k: v + eps_root * scale**2 for k, v in second.items()}
        moved = {
            k: p - (rate(k) * correction) * first[k] / (_safe_sqrt(rooted[k]) + eps * scale)
            for k, p in params.items()
        }
        return moved, AdamState(first, second, step)

    return InnerOptimizer(init, update)


def decoupled(optimizer: InnerOptimizer, lr: Rate, weight_decay: float) -> InnerOptimizer:
    """``optimizer`` with decoupled weight decay (AdamW, Loshchilov & Hutter 2019).

    Entries whose gradient is exactly zero do not decay: nothing asked them to move.

    >>> opt = decoupled(adam(0.1), 0.1, weight_decay=0.5)
    >>> p = {"w": torch.tensor([1.0, 1.0])}
    >>> opt.update({"w": torch.tensor([3.0, 0.0])}, opt.init(p), p)[0]
    {'w': tensor([0.8500, 1.0000])}
    """
    if weight_decay == 0:
        return optimizer
    rate = _per_name(lr)

    def update(grads: Params, state: State, params: Params) -> tuple[Params, State]:
        moved, state = optimizer.update(grads, state, params)
        shrunk = {
            k: m - rate(k) * weight_decay * torch.where(grads[k] == 0, 0.0, params[k])
            for k, m in moved.items()
        }
        return shrunk, state

    return InnerOptimizer(optimizer.init, update)


def _per_name(lr: Rate) -> RateByName:
    return lr if callable(lr) else lambda name: lr


def _decayed(grads: Params, params: Params, weight_decay: float) -> Params:
    if weight_decay == 0:
        return grads
    return {k: g + weight_decay * params[k] for k, g in grads.items()}


def _safe_sqrt(x: Tensor) -> Tensor:
    """Returns the square root whose derivative at zero is zero instead of infinite."""
    return x.clamp_min(torch.finfo(x.dtype).tiny).sqrt()


def make_optimizer(
    name: str,
    lr: Rate,
    betas: tuple[float, float] = (0.0, 0.999),
    weight_decay: float = 0.0,
    eps_root: float = 0.0,
) -> InnerOptimizer:
    """Returns the inner optimizer called ``name``, ``sgd`` or ``adam``, with an L2 penalty.

    Raises:
        UserError: there is no such optimizer.

    >>> make_optimizer("sgd", 0.1).init({"w": torch.ones(2)})
    ()
    """
    if name == "sgd":
        return sgd(lr, weight_decay)
    if name == "adam":
        return adam(lr, betas, weight_decay=weight_decay, eps_root=eps_root)
    raise UserError(f"inner optimizer {name!r} is unknown: choose sgd or adam")
