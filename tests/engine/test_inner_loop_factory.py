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
INNER = {"steps": 2, "test_steps": 12, "test_arch_steps": 12, "alpha_lr": 0.3, "optimizer": "adam"}


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
        pytest.param("cells", "softmax", "flops", marks=pytest.mark.slow),
        pytest.param("cells", "gdas", "flops", marks=pytest.mark.slow),
        ("cells", "joint", "parameters"),
        pytest.param("nasbench201", "softmax", "parameters", marks=pytest.mark.slow),
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


def test_alphas_decay_as_in_adamw_and_stay_where_nothing_asks_them_to_move() -> None:
    """With the inner loop that ships."""
    module = MetaNASModule(space=TINY_SPACE, image_shape=(1, 12, 12))
    inner, theta = module.meta.inner, module.theta()
    assert (inner.alpha_optimizer, inner.beta1, inner.alpha_weight_decay) == ("adam", 0.0, 1e-3)
    loop = module.learner.loops.make(theta, module.learner.training_schedule(module.progress))
    optimizer = loop.optimizers({}, 0, torch.tensor(5))[1]
    name = next(name for name, alpha in theta.alphas.items() if alpha.numel() > 5)
    start, gradient = torch.full((6,), 2.0), torch.tensor([0.0, 1.0, -1.0, 1e-3, 2.0, -3.0])
    moved, _ = optimizer.update({name: gradient}, optimizer.init({name: start}), {name: start})
    parameter = torch.nn.Parameter(start.clone())
    parameter.grad = gradient
    betas = (inner.beta1, inner.beta2)
    torch.optim.AdamW([parameter], inner.alpha_lr, betas, weight_decay=1e-3).step()
    torch.testing.assert_close(moved[name][1:], parameter.detach()[1:])
    assert moved[name][0] == start[0]


@pytest.mark.parametrize(
    ("order", "unrolls", "bounded"),
    [
        ("exact", False, (True, True)),
        ("first_order", True, (True, False)),
        ("first_order", False, (False, False)),
    ],
)
def test_the_slope_of_an_update_is_bounded_where_a_gradient_goes_through_it(
    order: str, unrolls: bool, bounded: tuple[bool, bool]
) -> None:
    """By 1e6 times the rate; without eps_root the slope of Adam at a small gradient is rate / eps."""
    inner = {"optimizer": "adam", "alpha_optimizer": "adam", "alpha_weight_decay": 0.0}
    meta, nas = {"gradient_order": order, "inner": inner}, {"needs_weight_step": unrolls}
    module = make_module("maml", meta=meta, nas=nas)
    theta = module.theta()
    loop = module.learner.loops.make(theta, module.learner.training_schedule(module.progress))
    names = ("head.bias", next(iter(theta.alphas)))
    slopes = []
    for name, optimizer in zip(names, loop.optimizers({}, 0, torch.tensor(3)), strict=True):
        params = {name: torch.ones((), dtype=torch.float64)}

        def moved(gradient: torch.Tensor, params: Any = params, optimizer: Any = optimizer) -> Any:
            gradients = dict.fromkeys(params, gradient)
            return sum(optimizer.update(gradients, optimizer.init(params), params)[0].values())

        small = torch.tensor(1e-9, dtype=torch.float64)
        slopes.append(abs(float(torch.func.grad(moved)(small))))
    assert module.meta.inner.weight_lr == module.meta.inner.alpha_lr == 1e-3
    assert tuple(slope <= 1e6 * 1e-3 for slope in slopes) == bounded


@pytest.mark.parametrize("ways", [2, 4, 7])
def test_the_first_step_from_an_empty_head_is_the_same_for_any_number_of_ways(ways: int) -> None:
    conv4 = {"builder": "metanas_pl.search_spaces.builders.conv4", "name": "conv4", "channels": 4}
    inner = {"optimizer": "sgd", "weight_lr": 0.1, "head_lr": 3.0, "steps": 1}
    module = make_module(
        space=conv4, nas={"search": False}, meta={"inner": inner}, image_shape=(1, 16, 16), n_ways=4
    )
    theta, learner = module.theta(), module.learner
    schedule = InnerSchedule((1.0,), 0, 1.0)
    episode = random_episode(tasks=1, ways=ways, size=16)
    tasks = learner.prepare(theta, episode, 0, schedule, None)
    data, network = task(tasks, 0), learner.network(ways, {}, 0.0)._replace(grouped=False)
    origin = network.start(theta, data.support, 1.0)
    inner_loop = learner.loops.make(theta, schedule)
    adapted = adapt(network.objective(), origin, data.support, inner_loop)

    features = module.space.features(data.support.x, {}, Context())
    means = torch.stack([features[data.support.y == k].mean(0) for k in range(ways)])
    rows = 3.0 / 4 * (means - means.mean(0))
    torch.testing.assert_close(adapted.weights["head.weight"], rows.detach())
