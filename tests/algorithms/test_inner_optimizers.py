"""Inner optimizers against ``torch.optim``."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from metanas_pl.algorithms.inner_optimizers import adam, decoupled, make_optimizer, sgd


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


def test_decoupled_decay_equals_torch() -> None:
    start = torch.randn(5, dtype=torch.float64)
    gradients = [torch.randn(5, dtype=torch.float64) for _ in range(6)]
    optimizer = decoupled(adam(0.05, (0.0, 0.99)), 0.05, 0.1)
    params = {"w": start}
    state = optimizer.init(params)
    for gradient in gradients:
        params, state = optimizer.update({"w": gradient}, state, params)
    expected = run_torch(
        lambda p: torch.optim.AdamW(p, lr=0.05, betas=(0.0, 0.99), weight_decay=0.1),
        gradients,
        start,
    )
    torch.testing.assert_close(params["w"], expected, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("name", ["adam", "sgd"])
def test_decay_moves_nothing_that_has_no_gradient(name: str) -> None:
    """With an empty head the first gradient of the alphas is exactly zero: decay must not invert them."""
    optimizer = decoupled(make_optimizer(name, 0.1), 0.1, 0.5)
    params = {"w": torch.tensor([1.0, -2.0])}
    zero = {"w": torch.zeros(2)}
    assert torch.equal(optimizer.update(zero, optimizer.init(params), params)[0]["w"], params["w"])


def test_eps_root_bounds_the_derivative_at_small_gradients() -> None:
    def slope(eps_root: float) -> float:
        optimizer = adam(0.1, eps_root=eps_root)
        params = {"w": torch.ones((), dtype=torch.float64)}

        def moved(gradient: torch.Tensor) -> torch.Tensor:
            return optimizer.update({"w": gradient}, optimizer.init(params), params)[0]["w"]

        small = torch.tensor(1e-9, dtype=torch.float64)
        return abs(float(torch.func.grad(moved)(small)))

    assert slope(0.0) > 1e5
    assert slope(1e-8) == pytest.approx(0.1 / 1e-8**0.5, rel=0.01)


def test_unknown_optimizer_is_named() -> None:
    with pytest.raises(ValueError, match="'lion' is unknown: choose sgd or adam"):
        make_optimizer("lion", 0.1)
