"""Arms of a test: own, frozen, shuffled and partners' alphas."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from metanas_pl.config import ARMS, EvaluationConfig
from metanas_pl.engine.arms import chosen_of, shuffled
from metanas_pl.engine.evaluation import Outcome
from metanas_pl.engine.task_batch import task
from metanas_pl.errors import UserError
from tests.conftest import RandomEpisode, make_module, random_episode, trainer

LIVELY = {"inner": {"alpha_lr": 0.5, "weight_lr": 0.05, "steps": 3, "test_steps": 4}}
PLAN: dict[str, Any] = {"steps": 4, "arch_steps": 4}


def adapting(arms: list[str]) -> Any:
    """A module whose architecture moves a lot in each task."""
    evaluation = {**PLAN, "arms": arms}
    return make_module("fomaml", meta=LIVELY, evaluation=evaluation, nas={"t_max": 1.0, "t_min": 1})


def evaluate(module: Any, episode: RandomEpisode, **plan: Any) -> Any:
    config = EvaluationConfig(**{**PLAN, **plan})
    return module.learner.evaluate(
        module.theta(), episode, seed=module.eval_seed, mask=module.mask(), plan=config
    )


class Partners:
    """A data module in which the partner of an episode is the one before it, if it has one."""

    def __init__(self, episode: RandomEpisode) -> None:
        self.episode = episode

    def partners(self, split: str, index: list[int], same_group: bool) -> Any:
        assert split == "test"
        chosen = [i - 1 if i and same_group else i for i in index]
        found = [i != j for i, j in zip(index, chosen, strict=True)]
        return RandomEpisode(*(part[chosen] for part in self.episode)), found

    def transfer_batch_to_device(self, batch: Any, device: Any, index: int) -> Any:
        return batch


def test_each_arm_has_the_alphas_that_it_says() -> None:
    module, episode = adapting(sorted(ARMS)), random_episode(tasks=2, queries=20)
    module._trainer = SimpleNamespace(datamodule=Partners(episode))
    result = evaluate(module, episode)
    accuracies = module._arms(episode, result, "test")
    assert set(accuracies) == set(ARMS)

    frozen = evaluate(module, episode, arch_steps=0).accuracy
    torch.testing.assert_close(accuracies["frozen"], frozen)
    still = replace(module.evaluation, arch_steps=0)

    def of_alphas(t: int, alphas: dict[str, torch.Tensor]) -> float:
        """The accuracy of one task on its own, in a network whose alphas are these."""
        theta = module.theta()._replace(alphas=alphas)
        alone = RandomEpisode(*(part[t : t + 1] for part in episode))
        return float(
            module.learner.evaluate(theta, alone, seed=0, mask=module.mask(), plan=still).accuracy
        )

    for t in range(2):
        own = {k: a[t] for k, a in result.alphas.items()}
        assert float(accuracies["own"][t]) == pytest.approx(of_alphas(t, own))
        before = {k: a[t - 1] for k, a in result.alphas.items()}
        expected = (
            pytest.approx(of_alphas(t, before)) if t else pytest.approx(torch.nan, nan_ok=True)
        )
        assert float(accuracies["same_group"][t]) == expected
    assert accuracies["other_group"].isnan().all()
    others = torch.stack([accuracies[arm] for arm in ARMS if arm not in ("best", "oracle")])
    torch.testing.assert_close(accuracies["oracle"], others.nan_to_num(nan=-1.0).amax(0))
    assert all((accuracies["best"][t] == others[:, t]).any() for t in range(2))
    permuted = shuffled(result.alphas, module.mask(), episode.index, module.eval_seed)
    for t in range(2):
        alphas = {k: a[t] for k, a in permuted.items()}
        assert float(accuracies["shuffled"][t]) == pytest.approx(of_alphas(t, alphas))


def test_validation_logs_what_the_arms_say_in_the_order_asked_for() -> None:
    """Of a loader, in which an episode has no partner: the mean over no episode is NaN."""
    module, episode = adapting(["own", "best", "frozen", "same_group"]), random_episode(tasks=2)
    loader = torch.utils.data.DataLoader([episode], batch_size=None)
    (logged,) = trainer().validate(module, loader, verbose=False)
    result = evaluate(module, episode)
    accuracies = module._arms(episode, result, "val")
    assert list(accuracies) == ["own", "best", "frozen", "same_group"]
    gain = (result.accuracy - evaluate(module, episode, arch_steps=0).accuracy).mean()
    assert logged["val/adaptation_gain"] == pytest.approx(float(gain))
    own = (accuracies["own"] - accuracies["frozen"]).mean()
    assert logged["val/own_minus_frozen"] == pytest.approx(float(own))
    assert logged["val/own_minus_same_group"] != logged["val/own_minus_same_group"]
    assert "val/own_minus_other_group" not in logged


def test_shuffled_options_are_those_of_the_task_in_other_places() -> None:
    own = {"a": torch.randn(3, 40, 5), "b": torch.randn(3, 4)}
    alive = {"a": torch.rand(40, 5) < 0.7, "b": torch.ones(4, dtype=torch.bool)}
    index = torch.tensor([7, 8, 9])
    moved = shuffled(own, alive, index, 0)
    for name, alpha in own.items():
        dead = ~alive[name].expand_as(alpha)
        assert torch.equal(moved[name][dead], alpha[dead])
        assert torch.equal(moved[name].sort(-1).values, alpha.sort(-1).values)
        assert not torch.equal(moved[name], alpha)
    alone = shuffled({k: a[1:2] for k, a in own.items()}, alive, index[1:2], 0)
    assert all(torch.equal(alone[k][0], moved[k][1]) for k in own)


def test_the_best_arm_has_the_least_support_loss_of_those_that_are_there() -> None:
    nan = torch.nan
    arms = [
        Outcome(torch.tensor([0.5, 0.9, nan]), torch.tensor([0.1, 3.0, nan])),
        Outcome(torch.tensor([0.8, 0.4, 0.3]), torch.tensor([0.2, 2.0, 9.0])),
    ]
    assert chosen_of(arms, by_queries=False).tolist() == pytest.approx([0.5, 0.4, 0.3])
    assert chosen_of(arms, by_queries=True).tolist() == pytest.approx([0.8, 0.9, 0.3])
    with pytest.raises(UserError, match="name at least two of these"):
        EvaluationConfig(arms=["own", "best"])


def test_the_support_loss_of_an_outcome_is_that_of_the_adapted_network() -> None:
    """Computed anew, task by task, from the problem's own parts."""
    module, episode = adapting(["frozen"]), random_episode(tasks=2)
    inputs: dict[str, Any] = {"seed": 0, "mask": module.mask(), "plan": module.evaluation}
    found = module.learner.outcome(module.theta(), episode, **inputs)
    batch = module.learner.in_test(module.theta(), episode, **inputs)
    for t in range(2):
        problem = batch.problem(task(batch.tasks, t))
        weights, mixing = problem.at(problem.adapt(module.theta()).theta, problem.n_steps)
        whole = problem.task.support.whole()
        loss = problem.network.loss(weights, mixing, whole)
        assert float(found.support_loss[t]) == pytest.approx(float(loss), rel=1e-3)


def test_an_evaluation_without_alpha_steps_has_no_arms() -> None:
    module = adapting(["frozen"])
    assert module._alphas_move
    module.evaluation = replace(module.evaluation, arch_steps=0)
    assert not module._alphas_move
