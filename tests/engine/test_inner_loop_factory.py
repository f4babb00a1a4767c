"""Task learners: rates for any number of ways; cost-aware search and what it makes an episode adapt to."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from metanas_pl.algorithms.inner_loop import InnerSchedule, adapt
from metanas_pl.config import EvaluationConfig
from metanas_pl.engine.task_batch import task
from metanas_pl.module import MetaNASModule
from metanas_pl.search_spaces.base import Context
from metanas_pl.search_spaces.costs import expected_cost
from tests.conftest import TINY_SPACE, make_module, random_episode

METHODS: dict[str, dict[str, Any]] = {
    "softmax": {},
    "gdas": {
        "relaxation": "metanas_pl.algorithms.nas.sampled_relaxations.straight_through",
        "noise": "metanas_pl.algorithms.noise.gumbel",
    },
    "joint": {"step": "joint"},
}
SPACES: dict[str, dict[str, Any]] = {
    "cells": TINY_SPACE,
    "nasbench201": {
        "builder": "metanas_pl.search_spaces.builders.nasbench201",
        "name": "nasbench201",
        "channels": 4,
        "cells_per_stage": 1,
    },
}
INNER = {"steps": 2, "test_steps": 8, "test_arch_steps": 8, "alpha_lr": 0.3, "optimizer": "adam"}


def make(space: str, method: str, **cost: Any) -> MetaNASModule:
    torch.manual_seed(0)
    nas = {**METHODS[method], "t_max": 1.0, "t_min": 0.5, "threshold": 0.0, "cost": cost}
    return make_module(space=SPACES[space], nas=nas, meta={"inner": INNER})


def adapted_cost(module: MetaNASModule, kind: str, steps: int | None = None) -> float:
    """Mean expected cost of the architectures that episodes adapt to in so many steps."""
    result = module.learner.evaluate(
        module.theta(),
        random_episode(tasks=2),
        seed=0,
        mask=module.mask(),
        plan=EvaluationConfig(arch_steps=steps),
    )
    mixings = ({name: w[t] for name, w in result.mixing.items()} for t in range(2))
    costs = [expected_cost(module.space, module.costs[kind], mixing) for mixing in mixings]
    return float(torch.stack(costs).mean())


@pytest.mark.parametrize(
    ("space", "method", "kind"),
    [
        ("cells", "softmax", "flops"),
        ("cells", "gdas", "flops"),
        ("cells", "joint", "parameters"),
        ("nasbench201", "softmax", "parameters"),
        ("nasbench201", "gdas", "flops"),
    ],
)
def test_adaptation_moves_the_cost_towards_its_target(space: str, method: str, kind: str) -> None:
    free = make(space, method, kind="none")
    start, without = adapted_cost(free, kind, steps=0), adapted_cost(free, kind)
    target = free.costs[kind].fixed + 0.3 * (start - free.costs[kind].fixed)
    reached = adapted_cost(make(space, method, kind=kind, weight=100.0, target=target), kind)
    assert abs(reached - target) < 0.5 * abs(start - target)
    assert reached < without


def test_a_space_without_choices_refuses_costs() -> None:
    conv4 = {"builder": "metanas_pl.search_spaces.builders.conv4", "name": "conv4", "channels": 4}
    module: dict[str, Any] = {"nas": {"search": False, "cost": {"kind": "flops"}}}
    with pytest.raises(ValueError, match="nas.cost.kind=flops: this space has nothing to choose"):
        make_module(space=conv4, image_shape=(1, 16, 16), **module)


@pytest.mark.parametrize("ways", [2, 4, 7])
def test_the_first_step_from_an_empty_head_is_the_same_for_any_number_of_ways(ways: int) -> None:
    conv4 = {"builder": "metanas_pl.search_spaces.builders.conv4", "name": "conv4", "channels": 4}
    inner = {"optimizer": "sgd", "weight_lr": 0.1, "head_lr": 3.0, "steps": 1}
    module = make_module(
        space=conv4, nas={"search": False}, meta={"inner": inner}, image_shape=(1, 16, 16), n_ways=4
    )
    theta, learner = module.theta(), module.learner
    tasks = learner.prepare(theta, random_episode(tasks=1, ways=ways, size=16), 0, 1, None)
    data, network = task(tasks, 0), learner.network(ways, {}, 0.0)._replace(grouped=False)
    origin = network.start(theta, data.support, 1.0)
    inner_loop = learner.loops.make(theta, InnerSchedule((1.0,), 0, 1.0))
    adapted = adapt(network.objective(), origin, data.support, inner_loop)

    features = module.space.features(data.support.x, {}, Context())
    means = torch.stack([features[data.support.y == k].mean(0) for k in range(ways)])
    rows = 3.0 / 4 * (means - means.mean(0))
    torch.testing.assert_close(adapted.weights["head.weight"], rows.detach())
