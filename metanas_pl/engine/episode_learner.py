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
from metanas_pl.algorithms.inner_loop import InnerSchedule
from metanas_pl.algorithms.inner_optimizers import States
from metanas_pl.algorithms.meta.averaging import MeanOfTasks, mean_of_finite
from metanas_pl.algorithms.meta.meta_gradients import MetaGradient
from metanas_pl.algorithms.nas.relaxations import softmax
from metanas_pl.algorithms.nas.sampling import path_gradient, sampled
from metanas_pl.algorithms.noise import episode_generator
from metanas_pl.algorithms.parallel.backends import choose_backend, tasks_at_once
from metanas_pl.algorithms.parallel.mapping import map_tasks
from metanas_pl.config import EvaluationConfig, MetaConfig, NASConfig
from metanas_pl.config.compatibility import check_pair
from metanas_pl.engine.choosing import chosen, member, scattered, with_sets
from metanas_pl.engine.episode_network import EpisodeNetwork
from metanas_pl.engine.episode_problem import EpisodeProblem, PreparedBatch
from metanas_pl.engine.evaluation import Evaluation, adapted_accuracy, evaluated
from metanas_pl.engine.inner_loop_factory import InnerLoopFactory
from metanas_pl.engine.inner_schedules import test_schedule, training_schedule
from metanas_pl.engine.method_functions import meta_functions, nas_functions
from metanas_pl.engine.task_batch import InnerSteps, TaskBatch, pooled, prepare, task
from metanas_pl.errors import UserError
from metanas_pl.search_spaces.base import SearchSpace, to_alive
from metanas_pl.search_spaces.costs import Costs
from metanas_pl.types import Alphas, Episodes, Mask, Mixing, OuterProgress, Params, Theta

if TYPE_CHECKING:
    from jaxtyping import Float

Results = TypeVar("Results")
SAMPLED_FROM = 2**40
"""Number of the first generator that samples options; no episode has one so large."""


class EpisodeLearner:
    """A search space, a NAS method and a meta-learner, ready to learn from episodes.

    It holds no parameters of its own: theta goes in, results come out.
    """

    def __init__(
        self, space: SearchSpace, nas: NASConfig, meta: MetaConfig, costs: Costs | None = None
    ) -> None:
        check_pair(nas, meta)
        self.space, self.nas, self.meta = space, nas, meta
        self.method, self.meta_learner = nas_functions(nas), meta_functions(meta)
        self.loops = InnerLoopFactory(
            space, nas, meta, self.method, self.meta_learner["rates"], costs
        )
        self.backend = choose_backend(meta.backend, space)

    @property
    def n_sets(self) -> int:
        """Sets of alphas among which a task chooses."""
        return self.nas.choose_among if self.space.architecture_parameters() else 1

    def initial_alphas(self) -> Alphas:
        """Returns alphas to begin with; with N sets they have a leading dimension N."""
        alphas = self.space.alphas()
        return with_sets(alphas, self.n_sets) if self.n_sets > 1 else alphas

    def one_set(self, theta: Theta) -> Theta:
        """Returns theta with a single set of alphas, for names and shapes."""
        return theta._replace(alphas=member(theta.alphas, 0)) if self.n_sets > 1 else theta

    def take_set(
        self, problem: EpisodeProblem, theta: Theta
    ) -> tuple[EpisodeProblem, Theta, Tensor | None]:
        """Returns the episode and theta with the alphas that the task takes, and their number."""
        if self.n_sets == 1:
            return problem, theta, None
        return chosen(problem, theta, self.n_sets)

    @property
    def head_rests(self) -> bool:
        """Whether each task makes a head of its own, so that none is meta-learned."""
        return self.meta.head != "learned"

    def alphas_rest(self, progress: OuterProgress) -> bool:
        """Returns whether the alphas are not meta-learned now."""
        return progress.warm_up or not self.nas.adapts_alphas

    def relaxation(
        self,
        alphas: Alphas,
        temperature: float,
        mask: Mask | None = None,
        noise: Params | None = None,
    ) -> Mixing:
        """Returns mixing weights: operations and inputs of nodes each by their relaxation."""
        relax, of_inputs = self.method["relaxation"], self.method["input_relaxation"]
        if of_inputs is None:
            return relax(alphas, temperature, mask, noise)
        operations = self.space.of_kind("operation", alphas)
        inputs = {name: a for name, a in alphas.items() if name not in operations}
        mixing = relax(operations, temperature, mask, noise)
        mixing |= of_inputs(inputs, temperature, mask, noise)
        return {name: mixing[name] for name in alphas}

    def network(
        self, n_ways: int, mask: Mask, threshold: float, auxiliary: float = 0.0
    ) -> EpisodeNetwork:
        """Returns the network of episodes with up to ``n_ways`` classes."""
        operations = self.space.of_kind("operation", mask)
        alive = to_alive({k: m.any(0) if self.n_sets > 1 else m for k, m in operations.items()})
        return EpisodeNetwork(
            self.space,
            self.relaxation,
            self.meta.head,
            n_ways,
            mask,
            threshold,
            auxiliary,
            grouped=self.backend == "grouped",
            second_order=self.meta.gradient_order == "exact",
            alive=alive,
            unused=self.space.unused_weights(alive),
        )

    def sampled(self, alphas: Alphas, seed: int, mask: Mask, progress: OuterProgress) -> Mask:
        """Returns the mask of the options that an outer step computes: the same for all of its tasks."""
        nas = self.nas
        n = nas.sampled_options
        if n is None:
            return mask
        generator = episode_generator(seed, SAMPLED_FROM + progress.outer_step)
        end_of_task = self.training_schedule(progress).query_temperature
        of_path = nas.alpha_signal == "path_loss"
        drawn = dict(mask)
        for name, alpha in (alphas if of_path else self.space.of_kind("operation", alphas)).items():
            logits = torch.zeros_like(alpha) if progress.warm_up else alpha / end_of_task
            drawn[name] = sampled(logits, mask[name], n, generator)
        return drawn

    def training_schedule(self, progress: OuterProgress) -> InnerSchedule:
        """Returns the inner steps of training."""
        return training_schedule(self.nas, self.meta, progress)

    def test_schedule(self, plan: EvaluationConfig) -> InnerSchedule:
        """Returns the inner steps of validation and test."""
        return test_schedule(self.nas, self.meta, plan)

    def prepare(
        self,
        theta: Theta,
        episode: Episodes,
        seed: int,
        schedule: InnerSchedule,
        batch_size: int | None,
        drop: float = 0.0,
    ) -> TaskBatch:
        """Returns episodes with the minibatches and the noise of the inner loop."""
        shape = self.space.drop_path_shape() if drop > 0 else None
        shapes = {k: tuple(a.shape) for k, a in self.one_set(theta).alphas.items()}
        draw = self.method["noise"] if shapes else None
        per_task = self.nas.noise_per == "task"
        images = "support" if self.nas.step == "joint" else self.nas.alpha_images
        inner = InnerSteps(
            schedule.steps, schedule.arch_steps, batch_size, images, chooses=self.n_sets > 1
        )
        return prepare(episode, seed, inner, (shape, drop), (draw, shapes, per_task))

    def in_training(
        self, theta: Theta, episode: Episodes, *, seed: int, mask: Mask, progress: OuterProgress
    ) -> PreparedBatch:
        """Returns episodes as meta-training learns them, by the options that this outer step samples."""
        inner, schedule = self.meta.inner, self.training_schedule(progress)
        if self.meta.trains_on == "support_and_query":
            episode = pooled(episode)
        tasks = self.prepare(theta, episode, seed, schedule, inner.batch_size, inner.drop_path)
        auxiliary = self.nas.auxiliary_skip * (1 - progress.share)
        taken = self.sampled(theta.alphas, seed, mask, progress)
        network = self.network(tasks.n_ways, taken, self.nas.threshold, auxiliary)
        return PreparedBatch(
            tasks, network, self.loops.make(self.one_set(theta), schedule, network.unused)
        )

    def in_test(
        self, theta: Theta, episode: Episodes, *, seed: int, mask: Mask, plan: EvaluationConfig
    ) -> PreparedBatch:
        """Returns episodes as validation and test learn them."""
        schedule = self.test_schedule(plan)
        tasks = self.prepare(theta, episode, seed, schedule, self.meta.inner.test_batch_size)
        threshold = self.nas.test_threshold if plan.threshold is None else plan.threshold
        network = self.network(tasks.n_ways, mask, threshold)
        moves_weights = plan.adapt != "alphas"
        loop = self.loops.make(self.one_set(theta), schedule, network.unused, moves_weights)
        return PreparedBatch(tasks, network, loop)

    # -- the two computations -----------------------------------------------------------------

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

    def accuracy(
        self,
        theta: Theta,
        episode: Episodes,
        *,
        seed: int,
        mask: Mask,
        plan: EvaluationConfig,
        alphas: Alphas | None = None,
    ) -> Float[Tensor, " T"]:
        """Returns the inductive, relaxed accuracy after adaptation alone; as :meth:`evaluate`.

        ``alphas`` are those that each task starts from, with a leading task dimension; None takes theta's.
        """
        batch = self.in_test(theta, episode, seed=seed, mask=mask, plan=plan)

        def of_task(data: TaskBatch, alphas: Alphas) -> Tensor:
            problem, start, _ = self.take_set(batch.problem(data), theta)
            return adapted_accuracy(problem, start._replace(alphas=alphas or start.alphas))

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
