"""Adapting to episodes and testing on their queries: what adapts, noise, neighbours, other ways."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from metanas_pl.config import EvaluationConfig
from tests.conftest import RandomEpisode, loader, make_module, random_episode, trainer
from tests.runs import assert_equal


def test_evaluation_modes() -> None:
    module = make_module(meta={"head": "learned"})  # an empty head gives alphas alone no gradient
    episode = random_episode(tasks=4, queries=5)

    def evaluate(**plan: Any) -> Any:
        return module.learner.evaluate(
            module.theta(), episode, seed=0, mask=module.mask(), plan=EvaluationConfig(**plan)
        )

    nothing = evaluate(adapt="nothing")
    torch.testing.assert_close(nothing.accuracy, nothing.before)
    network = module.learner.network(3, module.mask(), 0.05)
    start = network.mixing(module.theta().alphas, module.nas.t_min)
    for plan, moves in (({"adapt": "weights"}, False), ({"adapt": "alphas"}, True)):
        result = evaluate(**plan)
        same = all(
            torch.allclose(result.mixing[k], w.expand_as(result.mixing[k]))
            for k, w in start.items()
        )
        assert same != moves
    both = evaluate()
    assert both.inner_losses.shape == (4, 3)
    assert (both.inner_losses[:, -1] < both.inner_losses[:, 0]).all()


@pytest.mark.slow
@pytest.mark.parametrize(
    "settings",
    [
        {"meta": {"inner": {"test_batch_size": 2}}},
        {
            "nas": {
                "relaxation": "metanas_pl.algorithms.nas.sampled_relaxations.straight_through",
                "noise": "metanas_pl.algorithms.noise.gumbel",
            }
        },
    ],
    ids=["minibatches", "relaxation"],
)
def test_noise_of_a_test_depends_on_the_seed_of_evaluation_alone(settings: dict[str, Any]) -> None:
    state = make_module(**settings).state_dict()

    def tested(**seeds: int) -> list[dict[str, Any]]:
        module = make_module(**settings, **seeds)
        module.load_state_dict(state)
        trainer().test(module, loader(), verbose=False)
        return [{**row, "seconds": 0.0} for row in module.gathered_test_rows()]

    first = tested()
    assert tested(seed=1) == first
    assert tested(eval_seed=1) != first


def test_evaluation_of_an_episode_does_not_depend_on_its_neighbours_or_on_theta_after_it() -> None:
    module, episode = make_module(), random_episode(tasks=4, queries=5)
    plan = EvaluationConfig()
    args = {"seed": 0, "mask": module.mask(), "plan": plan}
    before = {k: v.clone() for k, v in module.state_dict().items()}
    together = module.learner.evaluate(module.theta(), episode, **args)
    for t in range(4):
        alone = RandomEpisode(*(part[t : t + 1] for part in episode))
        single = module.learner.evaluate(module.theta(), alone, **args)
        torch.testing.assert_close(single.loss[0], together.loss[t], rtol=1e-4, atol=1e-5)
    assert_equal(module.state_dict(), before)


def test_other_ways_need_an_empty_head() -> None:
    episode = random_episode(ways=4)
    args: dict[str, Any] = {"seed": 0, "plan": EvaluationConfig()}
    zero = make_module()
    assert (
        zero.learner.evaluate(zero.theta(), episode, mask=zero.mask(), **args)
        .accuracy.isfinite()
        .all()
    )
    learned = make_module(meta={"head": "learned"})
    with pytest.raises(ValueError, match="data.n_ways=4, but the meta-learned head has 3 ways"):
        learned.learner.evaluate(learned.theta(), episode, mask=learned.mask(), **args)
