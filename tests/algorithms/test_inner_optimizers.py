"""Inner optimizers against ``torch.optim``."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from metanas_pl.algorithms.inner_optimizers import adam, make_optimizer, sgd


def run_torch(make: Any, gradients: list[torch.Tensor], start: torch.Tensor) -> torch.Tensor:
    parameter = torch.nn.Parameter(start.clone())
    optimizer = make([parameter])
    for gradient in gradients:
        parameter.grad = gradient.clone()
        optimizer.step()
    return parameter.detach()


@pytest.mark.parametrize("decay", [0.0, 1e-2])
@pytest.mark.parametrize("betas", [(0.0, 0.999), (0.9, 0.99)])
def test_adam_equals_torch(betas: tuple[float, float], decay: float) -> None:
    start = torch.randn(5, dtype=torch.float64)
    gradients = [torch.randn(5, dtype=torch.float64) for _ in range(6)]
    optimizer = adam(0.05, betas, weight_decay=decay)
    params = {"w": start}
    state = optimizer.init(params)
    for gradient in gradients:
        params, state = optimizer.update({"w": gradient}, state, params)
    expected = run_torch(
        lambda p: torch.optim.Adam(p, lr=0.05, betas=betas, weight_decay=decay), gradients, start
    )
    torch.testing.assert_close(params["w"], expected, rtol=1e-10, atol=1e-12)


def test_sgd_equals_torch() -> None:
    start = torch.randn(5, dtype=torch.float64)
    gradients = [torch.randn(5, dtype=torch.float64) for _ in range(4)]
    params = {"w": start}
    for gradient in gradients:
        params, _ = sgd(0.1, 0.01).update({"w": gradient}, (), params)
    expected = run_torch(lambda p: torch.optim.SGD(p, lr=0.1, weight_decay=0.01), gradients, start)
    torch.testing.assert_close(params["w"], expected)


def test_adam_at_a_zero_gradient_stays_and_is_differentiable() -> None:
    optimizer = adam(0.1)

    def moved(gradient: torch.Tensor) -> torch.Tensor:
        params = {"w": torch.ones(2)}
        return optimizer.update({"w": gradient}, optimizer.init(params), params)[0]["w"].sum()

    assert moved(torch.zeros(2)) == 2.0
    assert torch.func.grad(moved)(torch.zeros(2)).isfinite().all()


def test_unknown_optimizer_is_named() -> None:
    with pytest.raises(ValueError, match="'lion' is unknown: choose sgd or adam"):
        make_optimizer("lion", 0.1)
