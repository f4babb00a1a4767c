"""Grouped calls: every derivative that ``torch.func`` can ask for, against plain ``vmap``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.func import grad, vmap

from metanas_pl.algorithms.parallel.grouped import call_grouped


def one(w: Tensor, a: Tensor, x: Tensor) -> Tensor:
    return torch.tanh(x @ w.T) * a


def many(w: Tensor, a: Tensor, x: Tensor) -> Tensor:
    return torch.tanh(torch.einsum("tij,tbj->tbi", w, x)) * a[:, None, None]


def losses(network: Callable[..., Tensor]) -> list[Callable[..., Tensor]]:
    """A loss; the loss after two gradient steps (MAML); the length of its gradient."""

    def loss(w: Tensor, a: Tensor, x: Tensor) -> Tensor:
        return network(w, a, x).pow(2).sum()

    def adapted(w: Tensor, a: Tensor, x: Tensor) -> Tensor:
        for _ in range(2):
            w = w - 0.1 * grad(loss)(w, a, x)
        return loss(w, a, x + 1)

    def third(w: Tensor, a: Tensor, x: Tensor) -> Tensor:
        return grad(adapted)(w, a, x).pow(2).sum()

    return [loss, adapted, third]


def inputs() -> tuple[Tensor, Tensor, Tensor]:
    torch.manual_seed(0)
    double: dict[str, Any] = {"dtype": torch.float64}
    return torch.randn(3, 4, **double), torch.randn(5, **double), torch.randn(5, 2, 4, **double)


@pytest.mark.parametrize("order", [0, 1, 2])
@pytest.mark.parametrize("second_order", [True, False])
@pytest.mark.parametrize("argnums", [0, 1, (0, 1)])
def test_derivatives(order: int, second_order: bool, argnums: Any) -> None:
    expected, actual = (
        vmap(grad(losses(network)[order], argnums=argnums), in_dims=(None, 0, 0))(*inputs())
        for network in (one, lambda *args: call_grouped(many, *args, second_order=second_order))
    )
    torch.testing.assert_close(actual, expected, rtol=1e-12, atol=1e-12)


def test_all_tasks_come_in_one_call_and_only_wanted_gradients_are_computed() -> None:
    calls, gradients = [], []

    class Double(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: Tensor) -> Tensor:
            return 2 * x

        @staticmethod
        def backward(ctx: Any, g: Tensor) -> Tensor:
            gradients.append(g.shape)
            return 2 * g

    def network(w: Tensor, x: Tensor) -> Tensor:
        calls.append(x.shape)
        return Double.apply(w) * x

    w, x = torch.randn(4, 3), torch.randn(4, 3)
    vmap(grad(lambda x, w: call_grouped(network, w, x).sum()))(x, w)
    assert (calls, gradients) == ([(4, 3)], [])
    vmap(grad(lambda w, x: call_grouped(network, w, x).sum()), chunk_size=2)(w, x)
    assert (calls[1:], gradients) == ([(2, 3)] * 2, [(2, 3)] * 2)


def test_without_vmap_and_in_inference_mode() -> None:
    w, a, x = inputs()
    network = losses(lambda *args: call_grouped(many, *args))[1]
    expected = grad(losses(one)[1])(w, a[0], x[0])
    torch.testing.assert_close(grad(network)(w, a[0], x[0]), expected)
    with torch.inference_mode():
        actual = grad(network)(w, a[0].clone(), x[0].clone())
    torch.testing.assert_close(actual, expected)


def test_without_gradients_nothing_is_recorded() -> None:
    seen = []

    def network(x: Tensor) -> Tensor:
        seen.append(torch.is_grad_enabled())
        return x

    assert not vmap(lambda x: call_grouped(network, x))(torch.ones(2, 3)).requires_grad
    assert seen == [False]
