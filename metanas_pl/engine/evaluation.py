"""What adaptation reaches on the queries of an episode.

Shapes: ``*T`` nothing for one task, T for the tasks of a batch; k inner steps.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from metanas_pl.engine.episode_problem import EpisodeProblem
from metanas_pl.engine.metrics import sound_accuracy
from metanas_pl.types import Mixing, Params, Theta

if TYPE_CHECKING:
    from jaxtyping import Float


class Evaluation(NamedTuple):
    """Query accuracies and loss, and the mixing weights of the adapted network.

    ``accuracy`` is inductive and relaxed; ``transductive``, ``pruned`` and ``before`` (no inner step,
    inductive) change one thing each.
    """

    accuracy: Float[Tensor, "*T"]
    transductive: Float[Tensor, "*T"]
    pruned: Float[Tensor, "*T"]
    before: Float[Tensor, "*T"]
    loss: Float[Tensor, "*T"]
    mixing: Mixing
    inner_losses: Float[Tensor, "*T k"]


def evaluated(problem: EpisodeProblem, theta: Theta) -> Evaluation:
    """Returns what comes of adapting to one episode and testing it on its queries, four ways."""
    origin, adapted, last = problem.start(theta), problem.adapt(theta), problem.n_steps
    weights, mixing = problem.at(adapted.theta, last)
    before = problem.loop.weights_at(origin, 0), problem.at(origin, last)[1]
    queries = problem.task.query_y

    def accuracy(weights: Params, mixing: Mixing, norm: str = "inductive") -> Tensor:
        return sound_accuracy(problem.query_logits(weights, mixing, norm), queries)

    relaxed = problem.query_logits(weights, mixing)
    return Evaluation(
        sound_accuracy(relaxed, queries),
        accuracy(weights, mixing, "transductive"),
        accuracy(weights, problem.network.space.prune(mixing)),
        accuracy(*before),
        F.cross_entropy(relaxed, queries),
        mixing,
        torch.stack(adapted.losses) if adapted.losses else relaxed.new_zeros(0),
    )


def adapted_accuracy(problem: EpisodeProblem, theta: Theta) -> Float[Tensor, ""]:
    """Returns the inductive, relaxed accuracy of one episode after its adaptation."""
    weights, mixing = problem.at(problem.adapt(theta).theta, problem.n_steps)
    return sound_accuracy(problem.query_logits(weights, mixing), problem.task.query_y)
