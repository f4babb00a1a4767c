"""From a configuration to the two pure computations of the method, for a meta-batch of episodes.

``EpisodeLearner.meta_gradient`` adapts to each episode and gives the mean meta-gradient;
``EpisodeLearner.evaluate`` adapts and tests. Both map one pure function of a task over the tasks.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils import _pytree as pytree

from metanas_pl.backend import choose_backend, tasks_at_once
from metanas_pl.compatibility import check_pair
from metanas_pl.conf import EvaluationConfig, MetaConfig, NASConfig
from metanas_pl.errors import UserError
from metanas_pl.functional.adaptation import Adapted, TaskLearner, Theta, adapt
from metanas_pl.functional.averaging import MeanOfTasks, mean_of_finite
from metanas_pl.functional.batching import map_tasks
from metanas_pl.functional.heads import HEAD
from metanas_pl.functional.meta_gradients import MetaGradient
from metanas_pl.functional.relaxation import Mask, Mixing, temperatures
from metanas_pl.metrics import episode_accuracy
from metanas_pl.network import EpisodeNetwork
from metanas_pl.resolve import resolve_all
from metanas_pl.spaces.base import SearchSpace
from metanas_pl.spaces.costs import Costs
from metanas_pl.task_functions import as_task
from metanas_pl.task_learner import Builder
from metanas_pl.tasks import TaskData, prepare, task


class Evaluation(NamedTuple):
    """Per task (T,): query accuracies and loss; and the mixing weights of the adapted network.

    ``accuracy`` is inductive and relaxed; ``transductive``, ``pruned`` and ``before`` (no inner step,
    inductive) change one thing each.
    """

    accuracy: Tensor
    transductive: Tensor
    pruned: Tensor
    before: Tensor
    loss: Tensor
    mixing: Mixing
    inner_losses: Tensor


class Clock(NamedTuple):
    """How far meta-training is: outer steps taken, their total, and whether the alphas still rest."""

    outer_step: int = 0
    total_steps: float = 1
    warm_up: bool = False


class Episodes(NamedTuple):
    """A meta-batch ready to be learned: tasks, how each is learned, by which network, T of each step."""

    tasks: TaskData
    learner: TaskLearner
    network: EpisodeNetwork
    temperatures: tuple[float, ...]


class EpisodeLearner:
    """A search space, a NAS method and a meta-learner, ready to learn from episodes.

    It holds no parameters of its own: theta goes in, results come out.
    """

    def __init__(
        self, space: SearchSpace, nas: NASConfig, meta: MetaConfig, costs: Costs | None = None
    ) -> None:
        check_pair(nas, meta)
        self.space, self.nas, self.meta = space, nas, meta
        names = ("relaxation", "alpha_gradient", "noise", "perturb", "regulariser")
        self.method = resolve_all(nas, "nas", names)
        self.meta_learner = resolve_all(meta, "meta", ("meta_gradient", "rates"))
        self.builder = Builder(space, nas, meta, self.method, self.meta_learner["rates"], costs)
        self.backend = choose_backend(space, meta)

    @property
    def relaxation(self) -> Any:
        """Alphas to mixing weights."""
        return self.method["relaxation"]

    def network(
        self, n_ways: int, mask: Mask, threshold: float, auxiliary: float = 0.0
    ) -> EpisodeNetwork:
        """The network of an episode."""
        return EpisodeNetwork(
            self.space,
            self.relaxation,
            self.meta.head,
            n_ways,
            mask,
            threshold,
            auxiliary,
            grouped=self.backend == "grouped",
            twice=self.meta.learns_from == "trajectory",
        )

    def temperatures(self, steps: int, arch_steps: int | None) -> tuple[float, ...]:
        """Temperature of each inner step."""
        arch_steps = steps if arch_steps is None else min(arch_steps, steps)
        nas = self.nas
        return temperatures(steps, arch_steps, nas.t_max, nas.t_min, nas.temperature_schedule)

    def prepare(
        self, theta: Theta, episode: Any, seed: int, steps: int, size: int | None, drop: float = 0.0
    ) -> TaskData:
        """Episodes with the minibatches and the noise of the inner loop."""
        shape = self.space.drop_path_shape() if drop > 0 else None
        shapes = {k: tuple(a.shape) for k, a in theta.alphas.items()}
        draw = self.method["noise"] if shapes else None
        per_task = self.nas.noise_per == "task"
        return prepare(episode, seed, steps, size, (shape, drop), (draw, shapes, per_task))

    def in_training(
        self, theta: Theta, episode: Any, *, seed: int, mask: Mask, clock: Clock
    ) -> Episodes:
        """Episodes as meta-training learns them; in warm-up no alpha-step is taken and T stays at t_max."""
        inner = self.meta.inner
        tasks = self.prepare(theta, episode, seed, inner.steps, inner.batch_size, inner.drop_path)
        arch_steps = 0 if clock.warm_up else inner.arch_steps
        temps = self.temperatures(inner.steps, arch_steps)
        learner = self.builder.learner(theta, inner.steps, arch_steps, temps)
        left = max(0.0, 1 - clock.outer_step / clock.total_steps)
        auxiliary = self.nas.auxiliary_skip * left
        network = self.network(tasks.n_ways, mask, self.nas.threshold, auxiliary)
        return Episodes(tasks, learner, network, temps)

    def in_test(
        self, theta: Theta, episode: Any, *, seed: int, mask: Mask, plan: EvaluationConfig
    ) -> Episodes:
        """Episodes as validation and test learn them."""
        inner = self.meta.inner
        steps = plan.steps or inner.test_steps
        arch_steps = inner.test_arch_steps if plan.arch_steps is None else plan.arch_steps
        temps = self.temperatures(steps, arch_steps)
        learner = self.builder.learner(
            theta,
            0 if plan.adapt == "nothing" else steps,
            0 if plan.adapt == "weights" else arch_steps,
            temps,
            adapts_weights=plan.adapt != "alphas",
        )
        tasks = self.prepare(theta, episode, seed, steps, inner.test_batch_size)
        network = self.network(tasks.n_ways, mask, self.nas.test_threshold)
        return Episodes(tasks, learner, network, temps)

    # -- the two computations -----------------------------------------------------------------

    def meta_gradient(
        self,
        theta: Theta,
        episode: Any,
        *,
        seed: int,
        mask: Mask,
        clock: Clock = Clock(),  # noqa: B008
        states: Any = None,
    ) -> tuple[MeanOfTasks, Any]:
        """Mean meta-gradient over the finite tasks of ``episode``, and the inner states to carry on.

        In warm-up the alphas' meta-gradient is zero.
        Carried inner states go from task to task in order; otherwise ``states`` stays None.
        """
        episodes = self.in_training(theta, episode, seed=seed, mask=mask, clock=clock)
        tasks, learner, network, _ = episodes

        def of_task(data: TaskData, states: Any = None) -> MetaGradient:
            problem = as_task(network, learner, data, self.meta.query_norm, states)
            problem = problem._replace(outer_step=clock.outer_step)
            return self.meta_learner["meta_gradient"](theta, problem)

        if self.meta.inner.state == "carried":
            per_task, states = self._one_after_the_other(of_task, tasks, states)
        else:
            per_task = self._map(of_task, tasks)
        learned = self._of_theta(per_task.gradient, theta, clock)
        return mean_of_finite(per_task._replace(gradient=learned)), states

    def _map(self, of_task: Any, tasks: TaskData) -> Any:
        """``of_task`` of every task, by the backend."""
        support = tasks.support
        rows, pixels = support.train_index.shape[-1], support.x[0, 0, 0].numel()
        at_once = tasks_at_once(
            self.space, self.meta.chunk_size, len(support.x), rows, pixels, support.x.device.type
        )
        return map_tasks(of_task, tasks, self.backend, at_once)

    def _one_after_the_other(
        self, of_task: Any, tasks: TaskData, states: Any
    ) -> tuple[MetaGradient, Any]:
        """``of_task`` of every task; one that comes to no finite result leaves the states as they were."""
        results: list[Any] = []
        for t in range(tasks.query_y.shape[0]):
            results.append(of_task(task(tasks, t), states))
            if all(leaf.isfinite().all() for leaf in pytree.tree_leaves(results[-1])):
                states = results[-1].states
        if states == ((), ()) and self.meta.inner.optimizer != "sgd":
            raise UserError(
                f"meta.inner.state=carried: meta={self.meta.name} hands no inner states on; use fresh"
            )
        return pytree.tree_map(lambda *parts: torch.stack(parts), *results), states

    def _of_theta(self, gradient: Theta, theta: Theta, clock: Clock) -> Theta:
        """Zero the gradients, of every task, of what is not meta-learned now."""
        weights, alphas, hyper = gradient
        if self.meta.head != "learned":
            n_tasks = len(next(iter(weights.values())))
            zeros = {k: theta.weights[k].new_zeros(n_tasks, *theta.weights[k].shape) for k in HEAD}
            weights = {**weights, **zeros}
        if clock.warm_up or not self.nas.adapts_alphas:
            alphas = {k: torch.zeros_like(a) for k, a in alphas.items()}
        return Theta(weights, alphas, hyper)

    def evaluate(
        self, theta: Theta, episode: Any, *, seed: int, mask: Mask, plan: EvaluationConfig
    ) -> Evaluation:
        """Adapt to each episode and test it on its queries, four ways."""
        episodes = self.in_test(theta, episode, seed=seed, mask=mask, plan=plan)
        tasks, learner, network, temps = episodes

        def of_task(data: TaskData) -> Evaluation:
            origin = network.start(theta, data.support, temps[0])
            adapted = adapt(network.objective(), origin, data.support, learner)
            return self._tested(network, learner, data, origin, adapted, temps[-1])

        return self._map(of_task, tasks)

    def _tested(
        self,
        network: EpisodeNetwork,
        learner: TaskLearner,
        data: TaskData,
        origin: Theta,
        adapted: Adapted,
        temperature: float,
    ) -> Evaluation:
        """Accuracies of one task before and after its adaptation."""
        noise, last = data.query_noise(), len(learner.temperatures)
        mixing = network.mixing(adapted.alphas, temperature, noise)
        mixing_before = network.mixing(origin.alphas, temperature, noise)

        def logits(point: Theta, step: int, mixing: Mixing, norm: str = "inductive") -> Tensor:
            weights = learner.weights_at(point, step)
            return network.query_logits(
                weights, mixing, data.support, data.query_x, norm, data.query_real
            )

        def accuracy(z: Tensor) -> Tensor:
            """NaN of logits that are; minus infinity is the logit of a class that is not there."""
            sound = (z < torch.inf).all(-1) | (data.query_y < 0)
            return torch.where(sound.all(), episode_accuracy(z, data.query_y), torch.nan)

        relaxed = logits(adapted.theta, last, mixing)
        losses = adapted.losses
        return Evaluation(
            accuracy(relaxed),
            accuracy(logits(adapted.theta, last, mixing, "transductive")),
            accuracy(logits(adapted.theta, last, self.space.prune(mixing))),
            accuracy(logits(origin, 0, mixing_before)),
            F.cross_entropy(relaxed, data.query_y),
            mixing,
            torch.stack(losses) if losses else data.query_x.new_zeros(0),
        )
