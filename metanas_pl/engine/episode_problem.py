"""One episode as a meta-learner differentiates it (``algorithms.meta.meta_gradients.Problem``).

Shapes: Q queries, N ways.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

import torch.nn.functional as F
from torch import Tensor

from metanas_pl.algorithms.inner_loop import Adapted, InnerLoop, adapt, inner_steps
from metanas_pl.algorithms.inner_optimizers import States
from metanas_pl.engine.episode_network import EpisodeNetwork
from metanas_pl.engine.metrics import episode_accuracy
from metanas_pl.engine.task_batch import TaskBatch
from metanas_pl.types import Mixing, Params, Theta

if TYPE_CHECKING:
    from jaxtyping import Float


class EpisodeProblem(NamedTuple):
    """An episode under a network and an inner loop.

    Attributes:
        network: the network of the episode.
        loop: its inner loop.
        task: support and query set with minibatches and noise.
        query_norm: batch norm of the queries, ``inductive`` or ``transductive``.
        states: inner optimizer states carried from the episode before; None starts fresh.
        outer_step: outer steps taken so far.
    """

    network: EpisodeNetwork
    loop: InnerLoop
    task: TaskBatch
    query_norm: str = "inductive"
    states: States | None = None
    outer_step: int = 0

    @property
    def n_steps(self) -> int:
        """Inner steps."""
        return self.loop.schedule.steps

    @property
    def proximal(self) -> float:
        """Weight of the proximal term of the inner loop."""
        return self.loop.proximal

    def start(self, theta: Theta) -> Theta:
        """Returns where the inner loop starts: theta with the head of the episode."""
        return self.network.start(theta, self.task.support, self.loop.schedule.temperature_after(0))

    def adapt(self, theta: Theta) -> Adapted:
        """Runs the inner loop from ``theta``."""
        return adapt(
            self.network.objective(), self.start(theta), self.task.support, self.loop, self.states
        )

    def inner_steps(self, theta: Theta, first_order: bool = False) -> Iterator[Adapted]:
        """Yields the point after each inner step; ``first_order`` takes gradients as constants."""
        objective, support = self.network.objective(), self.task.support
        return inner_steps(
            objective, self.start(theta), support, self.loop, self.states, first_order
        )

    def at(self, theta: Theta, step: int) -> tuple[Params, Mixing]:
        """Returns weights and mixing weights at a point that so many inner steps have reached."""
        temperature = self.loop.schedule.temperature_after(step)
        mixing = self.network.mixing(theta.alphas, temperature, self.task.query_noise())
        return self.loop.weights_at(theta, step), mixing

    def query_logits(
        self, weights: Params, mixing: Mixing, norm: str | None = None
    ) -> Float[Tensor, "Q N"]:
        """Returns logits of the queries, by ``query_norm`` unless told otherwise."""
        task = self.task
        return self.network.query_logits(
            weights, mixing, task.support, task.query_x, norm or self.query_norm, task.query_real
        )

    def query_loss(self, theta: Theta, step: int) -> tuple[Float[Tensor, ""], Float[Tensor, ""]]:
        """Returns loss and accuracy on the query set at a point that so many inner steps have reached."""
        logits = self.query_logits(*self.at(theta, step))
        y = self.task.query_y
        return F.cross_entropy(logits, y), episode_accuracy(logits, y)

    def support_loss(self, theta: Theta) -> Float[Tensor, ""]:
        """Returns the loss on the whole support set, at the temperature of the queries."""
        return self.network.loss(*self.at(theta, self.n_steps), self.task.support.whole())

    def adapting(self, theta: Theta) -> Theta:
        """Returns the part of theta that the inner loop moves."""
        weights = {k: w for k, w in theta.weights.items() if self.loop.adapts(k)}
        return Theta(weights, theta.alphas if self.loop.schedule.n_alpha_steps else {})


class PreparedBatch(NamedTuple):
    """A meta-batch ready to be learned: its tasks, the network, and the inner loop of each."""

    tasks: TaskBatch
    network: EpisodeNetwork
    loop: InnerLoop

    def problem(
        self,
        of_task: TaskBatch,
        query_norm: str = "inductive",
        states: States | None = None,
        outer_step: int = 0,
    ) -> EpisodeProblem:
        """Returns one of the tasks as a problem; see there for the arguments."""
        return EpisodeProblem(self.network, self.loop, of_task, query_norm, states, outer_step)
