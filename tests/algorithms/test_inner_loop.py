"""The task learner against a plain loop over a module, and against finite differences."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from metanas_pl.algorithms.inner_loop import adapt, inner_steps
from metanas_pl.algorithms.inner_optimizers import adam, sgd
from metanas_pl.algorithms.nas.architecture_gradients import first_order
from metanas_pl.algorithms.nas.relaxations import softmax, temperatures
from tests.algorithms.problems import inner_loop, make_support, objective_of, toy


def adams(*_: object) -> object:
    return adam(0.01), adam(0.02)


@pytest.mark.parametrize("pair_inputs", [True, False])
def test_adapt_equals_a_plain_loop_with_torch_optim(pair_inputs: bool) -> None:
    """Fault 1: the alphas are trained against the current weights, not a stale copy."""
    net, theta = toy(pair_inputs)
    steps, support = 4, make_support(4)
    schedule = temperatures(steps, 3, 1.0, 0.2)
    pair = adam(0.01), adam(0.02, weight_decay=1e-3)
    learner = inner_loop(first_order, lambda *_: pair, schedule, 3)
    adapted = adapt(objective_of(net), theta, support, learner)

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


def test_theta_is_left_untouched_and_steps_are_what_was_asked() -> None:
    net, theta = toy()
    before = {k: w.clone() for k, w in theta.weights.items()}
    learner = inner_loop(first_order, adams, (1.0, 0.5), 2)
    adapted = adapt(objective_of(net), theta, make_support(2), learner)
    assert all(torch.equal(before[k], theta.weights[k]) for k in before)
    assert len(adapted.losses) == 2
    assert any(not torch.equal(adapted.alphas[k], theta.alphas[k]) for k in theta.alphas)


@pytest.mark.parametrize(("arch_steps", "weights"), [(0, True), (2, False), (0, False)])
def test_what_does_not_adapt_stays(arch_steps: int, weights: bool) -> None:
    net, theta = toy()
    learner = inner_loop(first_order, adams, (1.0, 0.5), arch_steps, adapts=lambda name: weights)
    adapted = adapt(objective_of(net), theta, make_support(2), learner)
    same_w = all(torch.equal(adapted.weights[k], w) for k, w in theta.weights.items())
    same_a = all(torch.equal(adapted.alphas[k], a) for k, a in theta.alphas.items())
    assert same_w == (not weights)
    assert same_a == (arch_steps == 0)


def test_no_inner_step_returns_theta() -> None:
    net, theta = toy()
    learner = inner_loop(first_order, adams, (), 0)
    adapted = adapt(objective_of(net), theta, make_support(1), learner)
    assert adapted.losses == ()
    assert adapted.weights is theta.weights


def test_carried_states_differ_from_fresh_ones() -> None:
    net, theta = toy()
    learner = inner_loop(first_order, adams, (1.0, 0.5), 2)
    support = make_support(2)
    first = adapt(objective_of(net), theta, support, learner)
    carried = adapt(objective_of(net), theta, support, learner, first.states)
    assert float(carried.states[0].step) == 4
    assert any(not torch.equal(carried.weights[k], first.weights[k]) for k in first.weights)


def test_a_joint_step_takes_both_gradients_at_the_same_point() -> None:
    """T-NAS: one backward pass of the training loss for weights and alphas."""
    net, theta = toy()
    support, objective = make_support(1), objective_of(net)
    learner = inner_loop(None, lambda *_: (sgd(0.1), sgd(0.2)), (0.8,), 1)
    adapted = adapt(objective, theta, support, learner)
    weights = {k: w.clone().requires_grad_() for k, w in theta.weights.items()}
    alphas = {k: a.clone().requires_grad_() for k, a in theta.alphas.items()}
    loss = objective.loss(weights, softmax(alphas, 0.8), support.train(0))
    loss.backward()
    for name, weight in weights.items():
        torch.testing.assert_close(adapted.weights[name], (weight - 0.1 * weight.grad).detach())
    for name, alpha in alphas.items():
        torch.testing.assert_close(adapted.alphas[name], (alpha - 0.2 * alpha.grad).detach())
    torch.testing.assert_close(adapted.losses[0], loss.detach())


def test_the_proximal_term_pulls_towards_theta() -> None:
    """The second of two steps descends on L + lambda/2 ||phi - theta||^2, for weights and alphas."""
    net, theta = toy()
    support, strength = make_support(2), 0.5

    def two_steps(proximal: float) -> tuple:
        learner = inner_loop(
            first_order, lambda *_: (sgd(0.1), sgd(0.2)), (1.0, 1.0), 2, proximal=proximal
        )
        return tuple(inner_steps(objective_of(net), theta, support, learner))

    (first, _), (tied, moved) = two_steps(0.0), two_steps(strength)
    for name in theta.weights:  # at theta itself the term is zero
        torch.testing.assert_close(tied.weights[name], first.weights[name])
    free = inner_loop(first_order, lambda *_: (sgd(0.1), sgd(0.2)), (1.0,), 1)
    again = adapt(objective_of(net), first.theta, make_first(support), free)
    name = "normal_0"
    pull = 0.2 * strength * (first.alphas[name] - theta.alphas[name])
    torch.testing.assert_close(moved.alphas[name], again.alphas[name] - pull)


def make_first(support: object) -> object:
    """The second step of a two-step support as a support of one step."""
    return support._replace(  # type: ignore[attr-defined]
        train_index=support.train_index[1:],  # type: ignore[attr-defined]
        arch_index=support.arch_index[1:],  # type: ignore[attr-defined]
    )


def test_the_regulariser_acts_on_the_alphas_alone() -> None:
    net, theta = toy()
    support, pair = make_support(1), (sgd(0.1), sgd(0.2))

    def penalty(mixing: dict[str, torch.Tensor]) -> torch.Tensor:
        return (mixing["normal_0"] ** 2).sum()

    plain = inner_loop(first_order, lambda *_: pair, (0.9,), 1)
    without = adapt(objective_of(net), theta, support, plain)
    with_it = adapt(objective_of(net), theta, support, plain._replace(regulariser=penalty))
    alpha = theta.alphas["normal_0"].clone().requires_grad_()
    penalty(softmax({"normal_0": alpha}, 0.9)).backward()
    expected = without.alphas["normal_0"] - 0.2 * alpha.grad
    torch.testing.assert_close(with_it.alphas["normal_0"], expected)
    torch.testing.assert_close(with_it.alphas["reduce_0"], without.alphas["reduce_0"])


def test_first_order_steps_have_the_same_values_and_the_identity_as_derivative() -> None:
    net, theta = toy()
    learner = inner_loop(first_order, lambda *_: (sgd(0.1), sgd(0.2)), (1.0, 0.5), 2)
    support, name = make_support(2), "head.bias"

    def last_bias(bias: torch.Tensor, constant: bool) -> torch.Tensor:
        start = theta._replace(weights={**theta.weights, name: bias})
        *_, last = inner_steps(objective_of(net), start, support, learner, None, constant)
        return last.weights[name]

    bias = theta.weights[name]
    torch.testing.assert_close(last_bias(bias, True), last_bias(bias, False))
    jacobian = torch.func.jacrev(lambda b: last_bias(b, True))(bias)
    torch.testing.assert_close(jacobian, torch.eye(3, dtype=torch.float64))
    assert not torch.allclose(torch.func.jacrev(lambda b: last_bias(b, False))(bias), jacobian)
