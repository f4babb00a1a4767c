"""Arms of a test: the same weights and episodes with the alphas of something else.

What adapting the architecture is worth, and whether it knows its task, are differences between arms. In
every arm the alphas are held still from the first inner step on, and only the weights adapt. Two arms
choose among the others: ``best`` by the support loss, as a learner can, and ``oracle`` by the queries, as
none can.

Shapes: T tasks; O options of one choice.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from metanas_pl.algorithms.noise import episode_generator
from metanas_pl.config import EvaluationConfig
from metanas_pl.engine.episode_learner import EpisodeLearner
from metanas_pl.engine.evaluation import Outcome
from metanas_pl.types import Alphas, Episodes, Mask, Theta

if TYPE_CHECKING:
    from jaxtyping import Float, Int

Partners = Callable[[list[int], bool], tuple[Episodes, list[bool]] | None]
"""For the numbers of episodes and whether of the same group: other episodes, and which are such."""


def accuracies_of_arms(
    learner: EpisodeLearner,
    theta: Theta,
    batch: Episodes,
    own: Alphas,
    *,
    seed: int,
    mask: Mask,
    plan: EvaluationConfig,
    partners: Partners,
) -> dict[str, Float[Tensor, " T"]]:
    """Returns the accuracy of each episode in the arms that ``plan`` asks for; NaN without a partner.

    Args:
        learner: adapts and tests.
        theta: the meta-parameters.
        batch: T episodes.
        own: alphas adapted to them, with a leading task dimension.
        seed: of the evaluation.
        mask: options that are alive.
        plan: what adapts, and the arms.
        partners: finds other episodes of the same or of another group.
    """
    still = replace(plan, arch_steps=0)

    def with_alphas(alphas: Alphas) -> Outcome:
        return learner.outcome(theta, batch, seed=seed, mask=mask, plan=still, alphas=alphas)

    def of_partners(same_group: bool) -> Outcome:
        others = partners(batch.index.tolist(), same_group)
        if others is None:
            nothing = torch.full(batch.index.shape, torch.nan, device=batch.index.device)
            return Outcome(nothing, nothing)
        episodes, found = others
        alphas = learner.adapted_alphas(theta, episodes, seed=seed, mask=mask, plan=plan)
        there = torch.tensor(found, device=batch.index.device)
        return Outcome(*(values.where(there, torch.nan) for values in with_alphas(alphas)))

    arms: dict[str, Callable[[], Outcome]] = {
        "frozen": lambda: with_alphas({}),
        "own": lambda: with_alphas(own),
        "same_group": lambda: of_partners(True),
        "other_group": lambda: of_partners(False),
        "shuffled": lambda: with_alphas(shuffled(own, mask, batch.index, seed)),
    }
    tried = {name: arms[name]() for name in plan.arms if name in arms}
    outcomes = list(tried.values())
    return {
        name: tried[name].accuracy if name in tried else chosen_of(outcomes, name == "oracle")
        for name in plan.arms
    }


def chosen_of(arms: list[Outcome], by_queries: bool) -> Float[Tensor, " T"]:
    """Returns for each episode the accuracy of the best of N arms; NaN arms are not there.

    Args:
        arms: of the same episodes.
        by_queries: by the accuracy itself, which chance alone raises; else by the support loss.

    >>> few = [Outcome(torch.tensor([0.2]), torch.tensor([1.0])), Outcome(*torch.tensor([[0.4], [2.0]]))]
    >>> chosen_of(few, by_queries=False), chosen_of(few, by_queries=True)
    (tensor([0.2000]), tensor([0.4000]))
    """
    accuracy = torch.stack([arm.accuracy for arm in arms])
    merit = accuracy if by_queries else -torch.stack([arm.support_loss for arm in arms])
    best = merit.nan_to_num(nan=-torch.inf).argmax(0, keepdim=True)
    return accuracy.gather(0, best).squeeze(0)


def shuffled(alphas: Alphas, mask: Mask, index: Int[Tensor, " T"], seed: int) -> Alphas:
    """Returns alphas whose alive options have changed places, in each choice of each task.

    Args:
        alphas: with a leading task dimension.
        mask: options that are alive.
        index: numbers of the episodes, which decide how.
        seed: of the evaluation.

    >>> own, alive = {"a": torch.tensor([[1.0, 2.0, 9.0]])}, {"a": torch.tensor([True, True, False])}
    >>> sorted(shuffled(own, alive, torch.tensor([4]), 0)["a"][0, :2].tolist())
    [1.0, 2.0]
    """
    moved = {name: alpha.clone() for name, alpha in alphas.items()}
    for t, number in enumerate(index.tolist()):
        generator = episode_generator(seed, number)
        for name, alpha in moved.items():
            rows, alive = alpha[t].view(-1, alpha.shape[-1]), mask[name].view(-1, alpha.shape[-1])
            for row, options in zip(rows, alive, strict=True):
                places = options.nonzero().squeeze(-1)
                order = torch.randperm(len(places), generator=generator).to(places)
                row[places] = row[places[order]].clone()
    return moved
