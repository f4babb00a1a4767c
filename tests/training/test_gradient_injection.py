"""Injected gradients."""

from __future__ import annotations

import torch

from metanas_pl.training.gradient_injection import InjectGradient
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
