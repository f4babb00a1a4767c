"""Injected gradients and the schedule of the outer rates."""

from __future__ import annotations

import pytest
import torch

from metanas_pl.config import OuterConfig
from metanas_pl.training.outer import InjectGradient, learning_rate_factor, recount_batches
from tests.conftest import make_module, random_episode


def test_injected_gradient_reaches_every_parameter_and_scales_with_the_loss() -> None:
    """Fault 3 of earlier implementations: gradients that are None and an update that does nothing."""
    module, episode = make_module(), random_episode()
    result, _ = module.learner.meta_gradient(module.theta(), episode, seed=0, mask=module.mask())
    params = list(module.space.parameters())
    grads = list(result.gradient.weights.values())
    share = torch.tensor(0.5)
    loss = InjectGradient.apply(result.loss, share, len(params), *params, *grads)
    (loss * 0.5).backward()
    for parameter, gradient in zip(params, grads, strict=True):
        torch.testing.assert_close(parameter.grad, 0.25 * gradient)


@pytest.mark.parametrize("schedule", ["constant", "linear", "cosine"])
def test_outer_schedule(schedule: str) -> None:
    outer = OuterConfig(schedule=schedule)
    factors = [learning_rate_factor(outer, s, 10) for s in range(11)]
    assert factors[0] == 1.0
    assert factors[-1] == pytest.approx(1.0 if schedule == "constant" else 0.0)
    assert learning_rate_factor(outer, 3, -1) == 1.0


def test_three_batches_of_four_tasks_are_six_of_two() -> None:
    counts = {"ready": 3, "started": 3, "processed": 3, "completed": 2}
    loops = {"fit_loop": {"epoch_loop.batch_progress": {"current": counts}}}
    recount_batches({"loops": loops, "datamodule_hyper_parameters": {"meta_batch_size": 4}}, 2)
    assert counts == {"ready": 6, "started": 6, "processed": 6, "completed": 5}
