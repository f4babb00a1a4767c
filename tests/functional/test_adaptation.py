"""The task learner against a plain loop over a module, and against finite differences."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.func import functional_call

from metanas_pl.functional.adaptation import (
    Batch,
    InnerProblem,
    Support,
    TaskLearner,
    Theta,
    adapt,
)
from metanas_pl.functional.architecture_steps import first_order
from metanas_pl.functional.optimizers import adam, sgd
from metanas_pl.functional.relaxation import softmax, temperatures
from metanas_pl.spaces import Supernet


def toy(pair_inputs: bool = True) -> tuple[Supernet, Theta]:
    net = Supernet(
        in_channels=1,
        n_ways=3,
        channels=4,
        n_cells=2,
        n_nodes=2,
        reductions=[1],
        pair_inputs=pair_inputs,
    ).double()
    alphas = {k: torch.randn_like(a, dtype=torch.float64) for k, a in net.alphas().items()}
    return net, Theta({k: p.detach() for k, p in net.named_parameters()}, alphas)


def make_loss(net: Supernet) -> Any:
    def loss(weights: Any, alphas: Any, batch: Batch, temperature: float) -> Tensor:
        logits = functional_call(net, weights, (batch.x, softmax(alphas, temperature)))
        return F.cross_entropy(logits, batch.y)

    return loss


def make_support(steps: int, n: int = 6) -> Support:
    rows = torch.arange(n).expand(steps, n)
    x = torch.randn(n, 1, 8, 8, dtype=torch.float64)
    return Support(x, torch.arange(n) % 3, rows, rows.flip(1)[:, :4])


@pytest.mark.parametrize("pair_inputs", [True, False])
def test_adapt_equals_a_plain_loop_with_torch_optim(pair_inputs: bool) -> None:
    """Fault 1: the alphas are trained against the current weights, not a stale copy."""
    net, theta = toy(pair_inputs)
    steps, support = 4, make_support(4)
    schedule = temperatures(steps, 3, 1.0, 0.2)
    learner = TaskLearner(first_order, adam(0.01), adam(0.02, weight_decay=1e-3), schedule, 3)
    adapted = adapt(make_loss(net), theta, support, learner)

    alphas = {k: torch.nn.Parameter(a.clone()) for k, a in theta.alphas.items()}
    w_optimizer = torch.optim.Adam(net.parameters(), lr=0.01, betas=(0.0, 0.999))
    a_optimizer = torch.optim.Adam(alphas.values(), lr=0.02, betas=(0.0, 0.999), weight_decay=1e-3)
    for step, temperature in enumerate(schedule):
        if step < 3:
            rows = support.arch_index[step]
            logits = net(support.x[rows], softmax(alphas, temperature))
            a_optimizer.zero_grad()
            F.cross_entropy(logits, support.y[rows]).backward()
            a_optimizer.step()
        w_optimizer.zero_grad()
        F.cross_entropy(net(support.x, softmax(alphas, temperature)), support.y).backward()
        w_optimizer.step()
    for name, parameter in net.named_parameters():
        torch.testing.assert_close(adapted.weights[name], parameter.detach(), rtol=1e-6, atol=1e-9)
    for name, alpha in alphas.items():
        torch.testing.assert_close(adapted.alphas[name], alpha.detach(), rtol=1e-6, atol=1e-9)


def test_alpha_gradient_equals_finite_differences() -> None:
    net, theta = toy()
    support, loss = make_support(1), make_loss(net)

    def arch_loss(weights: Any, alphas: Any) -> Tensor:
        return loss(weights, alphas, support.arch(0), 0.7)

    problem = InnerProblem(arch_loss, arch_loss, *theta, sgd(0.1), ())
    gradient, eps = first_order(problem), 1e-6
    for name, alpha in theta.alphas.items():
        for position in range(min(alpha.numel(), 4)):
            shift = torch.zeros_like(alpha).view(-1)
            shift[position] = eps
            up, down = (
                arch_loss(theta.weights, {**theta.alphas, name: alpha + s * shift.view_as(alpha)})
                for s in (1, -1)
            )
            expected = (up - down) / (2 * eps)
            torch.testing.assert_close(
                gradient[name].view(-1)[position], expected, rtol=1e-5, atol=1e-8
            )


def test_theta_is_left_untouched_and_steps_are_what_was_asked() -> None:
    net, theta = toy()
    before = {k: w.clone() for k, w in theta.weights.items()}
    learner = TaskLearner(first_order, adam(0.01), adam(0.02), (1.0, 0.5), 2)
    adapted = adapt(make_loss(net), theta, make_support(2), learner)
    assert all(torch.equal(before[k], theta.weights[k]) for k in before)
    assert adapted.losses.shape == (2,)
    assert any(not torch.equal(adapted.alphas[k], theta.alphas[k]) for k in theta.alphas)


@pytest.mark.parametrize(("arch_steps", "weights"), [(0, True), (2, False), (0, False)])
def test_what_does_not_adapt_stays(arch_steps: int, weights: bool) -> None:
    net, theta = toy()
    learner = TaskLearner(first_order, adam(0.01), adam(0.02), (1.0, 0.5), arch_steps, weights)
    adapted = adapt(make_loss(net), theta, make_support(2), learner)
    same_w = all(torch.equal(adapted.weights[k], w) for k, w in theta.weights.items())
    same_a = all(torch.equal(adapted.alphas[k], a) for k, a in theta.alphas.items())
    assert same_w == (not weights)
    assert same_a == (arch_steps == 0)


def test_no_inner_step_returns_theta() -> None:
    net, theta = toy()
    learner = TaskLearner(first_order, adam(0.01), adam(0.02), (), 0)
    adapted = adapt(make_loss(net), theta, make_support(1), learner)
    assert adapted.losses.numel() == 0
    assert adapted.weights is theta.weights


def test_carried_states_differ_from_fresh_ones() -> None:
    net, theta = toy()
    learner = TaskLearner(first_order, adam(0.01), adam(0.02), (1.0, 0.5), 2)
    support = make_support(2)
    first = adapt(make_loss(net), theta, support, learner)
    carried = adapt(make_loss(net), theta, support, learner, first.states)
    assert float(carried.states[0].step) == 4
    assert any(not torch.equal(carried.weights[k], first.weights[k]) for k in first.weights)
