"""The mean over tasks that came to a finite result."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from metanas_pl.algorithms.meta.averaging import mean_of_finite
from metanas_pl.algorithms.meta.meta_gradients import MetaGradient
from metanas_pl.types import Theta


def results(dtype: torch.dtype = torch.float32, tasks: int = 7) -> MetaGradient:
    generator = torch.Generator().manual_seed(1)

    def draw(*shape: int) -> Tensor:
        return torch.randn(tasks, *shape, generator=generator, dtype=dtype)

    return MetaGradient(Theta({"w": draw(3, 5), "scale": draw()}, {"a": draw(4)}), draw(), draw())


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_it_is_bit_for_bit_the_plain_mean_of_finite_tasks(dtype: torch.dtype) -> None:
    per_task = results(dtype)
    mean = mean_of_finite(per_task)
    assert mean.finite.all()
    pairs = zip(per_task.gradient, mean.gradient, strict=True)
    for values, means in [*pairs, ({"loss": per_task.loss}, {"loss": mean.loss})]:
        for name, value in values.items():
            assert torch.equal(means[name], value.mean(0)) and means[name].dtype == dtype


@pytest.mark.parametrize("bad", [torch.nan, torch.inf, 1e30])
def test_tasks_that_are_not_finite_do_not_count(bad: float) -> None:
    per_task, kept = results(), [0, 2, 3, 5]
    per_task.gradient.weights["w"][1, 2, 3] = bad
    per_task.gradient.alphas["a"][4, 0] = -bad
    per_task.loss[6] = torch.nan
    mean = mean_of_finite(per_task)
    assert mean.finite.nonzero().flatten().tolist() == kept
    for values, means in zip(per_task.gradient, mean.gradient, strict=True):
        for name, value in values.items():
            torch.testing.assert_close(means[name], value[kept].mean(0))
    torch.testing.assert_close(mean.loss, per_task.loss[kept].mean())
    torch.testing.assert_close(mean.accuracy, per_task.accuracy[kept].mean())


def test_without_a_finite_task_the_gradient_is_zero() -> None:
    per_task = results()
    per_task.loss.fill_(torch.nan)
    mean = mean_of_finite(per_task)
    assert all((value == 0).all() for part in mean.gradient for value in part.values())
    assert mean.loss.isnan() and mean.accuracy.isnan() and not mean.finite.any()
