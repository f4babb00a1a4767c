"""The network and the inner loop of a batch: what adapts, and what is left out."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch.utils import _pytree as pytree

from metanas_pl.config import EvaluationConfig
from metanas_pl.engine import batch_maker
from metanas_pl.errors import UserError
from tests.conftest import TINY_SPACE, make_module, random_episode
from tests.runs import assert_equal
from tests.training.test_meta_architecture import BY_WEIGHT

NASBENCH201 = {
    "builder": "metanas_pl.search_spaces.builders.nasbench201",
    "name": "nasbench201",
    "channels": 4,
    "cells_per_stage": 1,
}


@pytest.mark.parametrize("steps", [1, 4])
def test_what_does_not_adapt_is_the_same_network_in_every_arm(steps: int) -> None:
    module = make_module(nas={"t_max": 1.0, "t_min": 0.01, "threshold": 0.0, "test_threshold": 0.0})
    episode = random_episode()

    def tested(**plan: Any) -> Any:
        plan = EvaluationConfig(steps=steps, **plan)
        inputs = {"seed": 0, "mask": module.mask(), "plan": plan}
        return module.learner.evaluate(module.theta(), episode, **inputs)

    assert_equal(tested(adapt="weights"), tested(arch_steps=0))
    mixing = module.mixing(0.01)
    for name, weight in tested(arch_steps=0).mixing.items():
        torch.testing.assert_close(weight, mixing[name].expand_as(weight))
    softer = tested(arch_steps=0, t_min=1.0).mixing
    torch.testing.assert_close(softer["normal_0"][0], module.mixing(1.0)["normal_0"])
    assert (tested(threshold=0.9).mixing["normal_0"] > 0).sum(-1).eq(1).all()


@pytest.mark.parametrize(
    ("nas", "plan", "told"),
    [
        ({"t_min": 0.02}, {"t_max": 0.01}, r"t_max=0.01 .* falls to t_min=0\.02"),
        ({}, {"t_max": 0.2, "t_min": 0.3}, r"t_max=0.2 .* falls to t_min=0\.3"),
        ({"anneals": False, "t_max": 1.0, "t_min": 1.0}, {"t_min": 0.5}, "has no temperature"),
        ({}, {"steps": 1}, "evaluation.steps=1: from an empty head .* take 2 or more"),
    ],
)
def test_settings_of_an_evaluation_that_would_change_nothing(
    nas: dict[str, Any], plan: dict[str, Any], told: str
) -> None:
    with pytest.raises(UserError, match=told):
        make_module(nas=nas, evaluation=plan)


@pytest.mark.parametrize(
    ("nas", "plan"),
    [
        ({}, {"steps": 2}),
        ({}, {"steps": 1, "adapt": "weights"}),
        ({}, {"steps": 1, "arch_steps": 0}),
        ({"adapts_alphas": False}, {"steps": 1}),
    ],
)
def test_one_inner_step_is_enough_where_no_alpha_is_to_move(
    nas: dict[str, Any], plan: dict[str, Any]
) -> None:
    assert make_module(nas=nas, evaluation=plan)


@pytest.mark.parametrize("rule", ["reptile", "fomaml", "maml"])
@pytest.mark.parametrize("space", [TINY_SPACE, NASBENCH201], ids=["cells", "nasbench201"])
def test_weights_of_what_meta_pruning_switched_off_are_left_out(
    rule: str, space: dict[str, Any], monkeypatch: Any
) -> None:
    nas = {"t_min": 0.01, **BY_WEIGHT}
    module = make_module(rule, space=space, nas=nas, meta={"gradient_order": "exact"})
    with torch.no_grad():
        for alpha in module.alphas.values():
            alpha.copy_(torch.randn_like(alpha))
    module.meta_prune(module.progress)
    network, episode = module.learner.network(3, module.mask(), 0.0), random_episode()
    unused = network.unused

    def results() -> Any:
        inputs = {"seed": 0, "mask": module.mask()}
        plan = EvaluationConfig(steps=2)
        learned, _ = module.learner.meta_gradient(module.theta(), episode, **inputs)
        tested = module.learner.evaluate(module.theta(), episode, **inputs, plan=plan)
        return learned.gradient, tested

    without = results()
    assert 0 < len(unused) < len(list(module.space.parameters()))
    assert all(not gradient.any() for k, gradient in without[0].weights.items() if k in unused)
    monkeypatch.setattr(module.space, "unused_weights", lambda alive: frozenset())
    monkeypatch.setattr(batch_maker, "to_alive", lambda mask: {})
    torch.testing.assert_close(pytree.tree_leaves(without), pytree.tree_leaves(results()))
