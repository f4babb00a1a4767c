"""What adaptation reaches on the queries of an episode.

Shapes: ``*T`` nothing for one task, T for the tasks of a batch; k inner steps.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from metanas_pl.algorithms.nas.relaxations import switch_off
from metanas_pl.engine.episode_problem import EpisodeProblem
from metanas_pl.engine.metrics import sound_accuracy
from metanas_pl.types import Alphas, Mask, Mixing, Params, Theta

if TYPE_CHECKING:
    from jaxtyping import Float, Int


class Evaluation(NamedTuple):
    """Query accuracies and loss, the adapted architecture, and what became of its choices.

    ``accuracy`` is inductive and relaxed; ``transductive``, ``pruned`` and ``before`` (no inner step,
    inductive) change one thing each. ``changed`` and ``in_reach`` are shares of the choices: those decided
    otherwise than before, and those whose two best options are closer than twice the largest move of an
    alpha. ``chosen`` is the number of the set of alphas that the task took.
    """

    accuracy: Float[Tensor, "*T"]
    transductive: Float[Tensor, "*T"]
    pruned: Float[Tensor, "*T"]
    before: Float[Tensor, "*T"]
    loss: Float[Tensor, "*T"]
    mixing: Mixing
    inner_losses: Float[Tensor, "*T k"]
    alphas: Alphas
    changed: Float[Tensor, "*T"]
    in_reach: Float[Tensor, "*T"]
    chosen: Int[Tensor, "*T"]


def evaluated(problem: EpisodeProblem, theta: Theta) -> Evaluation:
    """Returns what comes of adapting to one episode and testing it on its queries, four ways."""
    origin, adapted, last = problem.start(theta), problem.adapt(theta), problem.n_steps
    weights, mixing = problem.at(adapted.theta, last)
    queries = problem.task.query_y

    def accuracy(weights: Params, mixing: Mixing, norm: str = "inductive") -> Tensor:
        return sound_accuracy(problem.query_logits(weights, mixing, norm), queries)

    relaxed = problem.query_logits(weights, mixing)
    if problem.network.head == "zero":  # all logits are 0: no forward pass says more
        before = sound_accuracy(torch.where(relaxed > -torch.inf, 0, relaxed), queries)
    else:
        before = accuracy(problem.loop.weights_at(origin, 0), problem.at(origin, last)[1])
    return Evaluation(
        sound_accuracy(relaxed, queries),
        accuracy(weights, mixing, "transductive"),
        accuracy(weights, problem.network.space.prune(mixing)),
        before,
        F.cross_entropy(relaxed, queries),
        mixing,
        torch.stack(adapted.losses) if adapted.losses else relaxed.new_zeros(0),
        adapted.alphas,
        *decisions(origin.alphas, adapted.alphas, problem.network.mask, relaxed),
        queries.new_zeros(()),
    )


class Outcome(NamedTuple):
    """Inductive, relaxed accuracy on the queries after adaptation, and loss on the support set."""

    accuracy: Float[Tensor, "*T"]
    support_loss: Float[Tensor, "*T"]


def outcome(problem: EpisodeProblem, theta: Theta) -> Outcome:
    """Returns what adaptation to one episode reaches, in short."""
    adapted = problem.adapt(theta).theta
    logits = problem.query_logits(*problem.at(adapted, problem.n_steps))
    return Outcome(sound_accuracy(logits, problem.task.query_y), problem.support_loss(adapted))


def decisions(before: Alphas, after: Alphas, mask: Mask, like: Tensor) -> tuple[Tensor, Tensor]:
    """Returns the share of choices whose best option changed, and of those within reach of the inner loop.

    Args:
        before, after: alphas at both ends of the inner loop.
        mask: options that are alive.
        like: a tensor of the type and on the device of the result.

    >>> before = {"a": torch.tensor([[0.0, 0.1], [0.0, 9.0]])}
    >>> after = {"a": torch.tensor([[0.2, 0.0], [0.0, 9.0]])}
    >>> decisions(before, after, {"a": torch.ones(2, 2, dtype=torch.bool)}, torch.ones(()))
    (tensor(0.5000), tensor(0.5000))
    """
    changed, near = list[Tensor](), list[Tensor]()
    for name, alpha in before.items():
        if alpha.shape[-1] < 2:
            continue
        was, now = (switch_off(a[name], mask, name) for a in (before, after))
        best = was.topk(2, -1).values
        reach = 2 * (after[name] - alpha).abs().amax()
        changed.append((was.argmax(-1) != now.argmax(-1)).to(like).reshape(-1))
        near.append((best[..., 0] - best[..., 1] <= reach).to(like).reshape(-1))
    if not changed:
        return like.new_zeros(()), like.new_zeros(())
    return torch.cat(changed).mean(), torch.cat(near).mean()
