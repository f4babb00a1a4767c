"""Meta-gradients against their definitions and central finite differences."""

from __future__ import annotations

import torch
from torch import Tensor

from metanas_pl.functional.adaptation import Adapted, Theta
from metanas_pl.functional.meta_gradients import Task, fomaml, reptile


def quadratic() -> tuple[Theta, Task]:
    theta = Theta(
        {"w": torch.randn(3, dtype=torch.float64)}, {"a": torch.randn(2, dtype=torch.float64)}
    )

    def adapt(start: Theta) -> Adapted:
        return Adapted(
            {"w": 0.5 * start.weights["w"] + 1},
            {"a": 0.2 * start.alphas["a"]},
            ((), ()),
            torch.ones(1),
        )

    def query_loss(w: dict[str, Tensor], a: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
        return (w["w"] ** 3).sum() + (a["a"] ** 2).sum() * w["w"].sum(), torch.tensor(0.5)

    return theta, Task(adapt, query_loss)


def test_reptile_is_theta_minus_the_adapted_point() -> None:
    """Fault 3: a meta-update that silently does nothing."""
    theta, task = quadratic()
    result = reptile(theta, task)
    torch.testing.assert_close(result.gradient.weights["w"], 0.5 * theta.weights["w"] - 1)
    torch.testing.assert_close(result.gradient.alphas["a"], 0.8 * theta.alphas["a"])


def test_fomaml_equals_finite_differences_at_the_adapted_point() -> None:
    theta, task = quadratic()
    result = fomaml(theta, task)
    assert result.adapted is not None
    w, a, eps = result.adapted.weights["w"], result.adapted.alphas["a"], 1e-6
    for i in range(3):
        shift = torch.zeros_like(w)
        shift[i] = eps
        up, down = (task.query_loss({"w": w + s * shift}, {"a": a})[0] for s in (1, -1))
        torch.testing.assert_close(result.gradient.weights["w"][i], (up - down) / (2 * eps))
    for i in range(2):
        shift = torch.zeros_like(a)
        shift[i] = eps
        up, down = (task.query_loss({"w": w}, {"a": a + s * shift})[0] for s in (1, -1))
        torch.testing.assert_close(result.gradient.alphas["a"][i], (up - down) / (2 * eps))
