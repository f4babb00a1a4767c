"""From a configuration to the two pure computations of the method, for a meta-batch of episodes.

``EpisodeLearner.meta_gradient`` adapts to each episode and gives the mean meta-gradient;
``EpisodeLearner.evaluate`` adapts and tests. Both map one pure function of a task over the tasks.

Shapes: T tasks of a meta-batch, k inner steps; ``*T`` is nothing for one task.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

import torch
from torch import Tensor
from torch.utils import _pytree as pytree

from metanas_pl.algorithms.heads import HEAD
from metanas_pl.algorithms.inner_optimizers import States
from metanas_pl.algorithms.meta.averaging import MeanOfTasks, mean_of_finite
from metanas_pl.algorithms.meta.meta_gradients import MetaGradient
from metanas_pl.algorithms.nas.relaxations import softmax
from metanas_pl.algorithms.nas.sampling import path_gradient
from metanas_pl.algorithms.parallel.backends import tasks_at_once
from metanas_pl.algorithms.parallel.mapping import map_tasks
from metanas_pl.config import EvaluationConfig
from metanas_pl.engine.batch_maker import BatchMaker
from metanas_pl.engine.choosing import chosen, scattered
from metanas_pl.engine.episode_problem import EpisodeProblem
from metanas_pl.engine.evaluation import Evaluation, Outcome, evaluated, outcome
from metanas_pl.engine.task_batch import TaskBatch, task
from metanas_pl.errors import UserError
from metanas_pl.types import Alphas, Episodes, Mask, OuterProgress, Theta

if TYPE_CHECKING:
    pass

Results = TypeVar("Results")


class EpisodeLearner(BatchMaker):
    """Learns from batches of episodes.

    It holds no parameters of its own: theta goes in, results come out.
    """

    def meta_gradient(
        self,
        theta: Theta,
        episode: Episodes,
        *,
        seed: int,
        mask: Mask,
        progress: OuterProgress = OuterProgress(),  # noqa: B008
        states: States | None = None,
    ) -> tuple[MeanOfTasks, States | None]:
        """Returns the mean meta-gradient over the finite tasks, and the inner states to carry on.

        Args:
            theta: the meta-parameters.
            episode: T episodes.
            seed: the run's seed, for minibatches and noise.
            mask: alphas that meta-pruning has left alive.
            progress: how far meta-training is. In warm-up the alphas' meta-gradient is zero.
            states: carried inner states go from task to task in order; otherwise they stay None.
        """
        batch = self.in_training(theta, episode, seed=seed, mask=mask, progress=progress)

        def of_task(data: TaskBatch, states: States | None = None) -> MetaGradient:
            problem = batch.problem(data, self.meta.query_norm, states, progress.outer_step)
            problem, own, index = self.take_set(problem, theta)
            found = self.meta_learner["meta_gradient"](own, problem)
            if index is None:
                return found
            of_sets = scattered(found.gradient.alphas, index, self.n_sets)
            return found._replace(gradient=found.gradient._replace(alphas=of_sets))

        if self.meta.inner.state == "carried":
            per_task, states = self._one_after_the_other(of_task, batch.tasks, states)
        else:
            per_task = self._map(of_task, batch.tasks)
        if self.nas.alpha_signal == "path_loss":
            taken = batch.network.mask
            per_task = self._of_paths(per_task, theta.alphas, mask, taken, progress)
        learned = self._of_theta(per_task.gradient, theta, progress)
        return mean_of_finite(per_task._replace(gradient=learned)), states

    def _of_paths(
        self,
        per_task: MetaGradient,
        alphas: Alphas,
        alive: Mask,
        taken: Mask,
        progress: OuterProgress,
    ) -> MetaGradient:
        """Returns results whose alpha gradients are those of the expected loss of a sampled path."""
        chances = softmax(alphas, self.training_schedule(progress).query_temperature, alive)
        advantage = (per_task.loss - progress.usual_loss.to(per_task.loss)).nan_to_num(nan=0.0)
        gradients = {
            name: path_gradient(advantage, taken[name], chance) for name, chance in chances.items()
        }
        return per_task._replace(gradient=per_task.gradient._replace(alphas=gradients))

    def _map(self, of_task: Callable[..., Results], tasks: TaskBatch, *more: Alphas) -> Results:
        """Returns ``of_task(task, *more)`` of every task, by the backend."""
        support = tasks.support
        rows, pixels = support.train_index.shape[-1], support.x[0, 0, 0].numel()
        at_once = tasks_at_once(
            self.space, self.meta.chunk_size, len(support.x), rows, pixels, support.x.device.type
        )
        return map_tasks(lambda one: of_task(*one), (tasks, *more), self.backend, at_once)

    def _one_after_the_other(
        self,
        of_task: Callable[[TaskBatch, States | None], MetaGradient],
        tasks: TaskBatch,
        states: States | None,
    ) -> tuple[MetaGradient, States | None]:
        """Computes ``of_task`` for every task; one without a finite result leaves the states alone."""
        results: list[MetaGradient] = []
        for t in range(tasks.query_y.shape[0]):
            results.append(of_task(task(tasks, t), states))
            if all(leaf.isfinite().all() for leaf in pytree.tree_leaves(results[-1])):
                states = results[-1].states
        if states == ((), ()) and self.meta.inner.optimizer != "sgd":
            raise UserError(
                f"meta.inner.state=carried: meta={self.meta.name} hands no inner states on; use fresh"
            )
        return pytree.tree_map(lambda *parts: torch.stack(parts), *results), states

    def _of_theta(self, gradient: Theta, theta: Theta, progress: OuterProgress) -> Theta:
        """Zeroes the gradients, of every task, of what is not meta-learned now."""
        weights, alphas, hyper = gradient
        if self.head_rests:
            n_tasks = len(next(iter(weights.values())))
            zeros = {k: theta.weights[k].new_zeros(n_tasks, *theta.weights[k].shape) for k in HEAD}
            weights = {**weights, **zeros}
        if self.alphas_rest(progress):
            alphas = {k: torch.zeros_like(a) for k, a in alphas.items()}
        return Theta(weights, alphas, hyper)

    def evaluate(
        self, theta: Theta, episode: Episodes, *, seed: int, mask: Mask, plan: EvaluationConfig
    ) -> Evaluation:
        """Returns what comes of adapting to each episode and testing it on its queries, four ways.

        Args:
            theta: the meta-parameters.
            episode: T episodes.
            seed: the run's seed, for minibatches and noise.
            mask: alphas that meta-pruning has left alive.
            plan: what adapts, and how long.

        Raises:
            UserError: a meta-learned head has other ways than the episodes.
        """
        batch = self.in_test(theta, episode, seed=seed, mask=mask, plan=plan)

        def of_task(data: TaskBatch) -> Evaluation:
            problem, own, index = self.take_set(batch.problem(data), theta)
            result = evaluated(problem, own)
            return result if index is None else result._replace(chosen=index)

        return self._map(of_task, batch.tasks)

    def outcome(
        self,
        theta: Theta,
        episode: Episodes,
        *,
        seed: int,
        mask: Mask,
        plan: EvaluationConfig,
        alphas: Alphas | None = None,
    ) -> Outcome:
        """Returns accuracy and support loss after adaptation alone; as :meth:`evaluate`.

        ``alphas`` are those that each task starts from, with a leading task dimension; None takes theta's.
        """
        batch = self.in_test(theta, episode, seed=seed, mask=mask, plan=plan)

        def of_task(data: TaskBatch, alphas: Alphas) -> Outcome:
            problem, start, _ = self.take_set(batch.problem(data), theta)
            return outcome(problem, start._replace(alphas=alphas or start.alphas))

        return self._map(of_task, batch.tasks, alphas or {})

    def adapted_alphas(
        self, theta: Theta, episode: Episodes, *, seed: int, mask: Mask, plan: EvaluationConfig
    ) -> Alphas:
        """Returns alphas adapted to each episode, with a leading task dimension; as :meth:`evaluate`."""
        batch = self.in_test(theta, episode, seed=seed, mask=mask, plan=plan)

        def of_task(data: TaskBatch) -> Alphas:
            problem, own, _ = self.take_set(batch.problem(data), theta)
            return problem.adapt(own).alphas

        return self._map(of_task, batch.tasks)

    def take_set(
        self, problem: EpisodeProblem, theta: Theta
    ) -> tuple[EpisodeProblem, Theta, Tensor | None]:
        """Returns the episode and theta with the alphas that the task takes, and their number."""
        if self.n_sets == 1:
            return problem, theta, None
        return chosen(problem, theta, self.n_sets)
