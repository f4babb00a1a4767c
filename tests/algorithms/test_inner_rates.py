"""Learned inner rates."""

from __future__ import annotations

import torch

from metanas_pl.algorithms.inner_optimizers import sgd
from metanas_pl.algorithms.inner_rates import constant, per_layer_and_step, per_parameter

PARAMETERS = {"w": torch.randn(2, 3), "a": torch.randn(4)}


def rate(name: str) -> float:
    return {"w": 0.1, "a": 0.5}[name]


def test_all_kinds_start_as_the_constant_rates() -> None:
    gradients = {k: torch.randn_like(p) for k, p in PARAMETERS.items()}
    moved = []
    for kind in (constant, per_parameter, per_layer_and_step):
        rates = kind(rate, 3)
        optimizer = sgd(rates.at(rates.init(PARAMETERS), 1))
        moved.append(optimizer.update(gradients, (), PARAMETERS)[0])
    torch.testing.assert_close(moved[1], moved[0])
    torch.testing.assert_close(moved[2], moved[0])


def test_shapes_and_what_each_step_reads() -> None:
    assert constant(rate, 3).init(PARAMETERS) == {}
    of_parameter = per_parameter(rate, 3).init(PARAMETERS)
    assert {k: tuple(v.shape) for k, v in of_parameter.items()} == {
        "rate:w": (2, 3),
        "rate:a": (4,),
    }
    rates = per_layer_and_step(rate, 3)
    hyper = {k: torch.arange(3.0) for k in rates.init(PARAMETERS)}
    assert [float(rates.at(hyper, step)("w")) for step in (0, 2, 7)] == [0.0, 2.0, 2.0]


def test_the_gradient_of_a_rate_is_minus_gradient_times_gradient() -> None:
    """d L(p - rate g) / d rate = -g * L'(p - rate g)."""
    rates, g = per_parameter(rate, 1), {k: torch.randn_like(p) for k, p in PARAMETERS.items()}

    def loss(hyper: dict[str, torch.Tensor]) -> torch.Tensor:
        moved = sgd(rates.at(hyper, 0)).update(g, (), PARAMETERS)[0]
        return sum((p**2).sum() for p in moved.values())  # type: ignore[return-value]

    hyper = rates.init(PARAMETERS)
    gradient = torch.func.grad(loss)(hyper)
    for name, p in PARAMETERS.items():
        expected = -g[name] * 2 * (p - rate(name) * g[name])
        torch.testing.assert_close(gradient[f"rate:{name}"], expected)
