"""Each task takes, of several sets of alphas, the one that fits its support set."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from metanas_pl import MetaNASModule
from metanas_pl.config import EvaluationConfig, MetaConfig, NASConfig
from metanas_pl.config.compatibility import check_pair
from metanas_pl.engine.choosing import member
from metanas_pl.errors import UserError
from metanas_pl.types import OuterProgress
from tests.conftest import LOOPS, TINY_SPACE, RandomEpisode, random_episode

PLAN, PROGRESS = EvaluationConfig(), OuterProgress(5, 100)
EXACT = {
    "gradient_order": "exact",
    "meta_gradient": "metanas_pl.algorithms.meta.meta_gradients.maml",
}


def make(n: int, **meta: Any) -> MetaNASModule:
    torch.manual_seed(0)
    nas = {"choose_among": n, "sampled_options": None}
    module = MetaNASModule(TINY_SPACE, nas, {**LOOPS, **meta}, image_shape=(1, 12, 12), n_ways=3)
    return module.double()


def doubled(episode: RandomEpisode) -> RandomEpisode:
    return episode._replace(support_x=episode.support_x.double(), query_x=episode.query_x.double())


@pytest.mark.parametrize(
    "meta",
    [
        pytest.param({}, marks=pytest.mark.slow),
        pytest.param(EXACT, marks=pytest.mark.slow),
        {"head": "prototypes", "adapts": "none", **EXACT},
    ],
)
def test_the_backends_choose_and_learn_alike(meta: dict[str, Any]) -> None:
    episode, found = doubled(random_episode()), {}
    for backend in ("loop", "vmap", "grouped"):
        module = make(2, **meta, backend=backend)
        theta, mask = module.theta(), module.mask()
        learned, _ = module.learner.meta_gradient(
            theta, episode, seed=0, mask=mask, progress=PROGRESS
        )
        tested = module.learner.evaluate(theta, episode, seed=0, mask=mask, plan=PLAN)
        found[backend] = learned.gradient.alphas, tested.chosen, tested.accuracy
    for backend in ("vmap", "grouped"):
        torch.testing.assert_close(found[backend], found["loop"], atol=1e-9, rtol=0)


def test_a_task_takes_the_set_with_the_lowest_support_loss_and_only_that_learns() -> None:
    episode, module = doubled(random_episode(tasks=1)), make(2)
    theta, mask = module.theta(), module.mask()
    still = EvaluationConfig(arch_steps=0)
    batch = module.learner.in_test(theta, episode, seed=0, mask=mask, plan=still)
    from metanas_pl.engine.choosing import losses
    from metanas_pl.engine.task_batch import task

    by_hand = losses(batch.problem(task(batch.tasks, 0)), theta, 2)
    tested = module.learner.evaluate(theta, episode, seed=0, mask=mask, plan=still)
    best = int(by_hand.argmin())
    assert by_hand[0] != by_hand[1]
    assert int(tested.chosen) == best
    learned, _ = module.learner.meta_gradient(theta, episode, seed=0, mask=mask, progress=PROGRESS)
    moved = [learned.gradient.alphas["normal_0"][index].abs().sum() > 0 for index in range(2)]
    assert sum(moved) == 1


def test_one_set_twice_is_that_set() -> None:
    """With equal sets, every task gets what it gets from a module with this one set."""
    episode, two = doubled(random_episode()), make(2)
    theta = two.theta()
    same = {name: alpha[:1].expand_as(alpha) for name, alpha in theta.alphas.items()}
    one = make(1)
    single = theta._replace(alphas=member(theta.alphas, 0))
    accuracy = two.learner.evaluate(
        theta._replace(alphas=same), episode, seed=0, mask=two.mask(), plan=PLAN
    ).loss
    expected = one.learner.evaluate(single, episode, seed=0, mask=one.mask(), plan=PLAN).loss
    torch.testing.assert_close(accuracy, expected)


def test_each_set_has_a_genotype() -> None:
    module = make(3)
    assert len({str(module.genotype(index)) for index in range(3)}) > 1


def test_paths_and_carried_states_are_refused() -> None:
    path = NASConfig(choose_among=2, alpha_signal="path_loss", sampled_options=1)
    with pytest.raises(UserError, match="choose_among=1"):
        check_pair(path, MetaConfig())
