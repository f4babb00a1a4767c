"""From a configuration to a batch of episodes that is ready to be learned, in training or at test.

Ready means: with its minibatches and noise, the network of its classes, and the inner loop.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from metanas_pl.algorithms.inner_loop import InnerSchedule
from metanas_pl.algorithms.nas.sampling import sampled
from metanas_pl.algorithms.noise import episode_generator
from metanas_pl.algorithms.parallel.backends import choose_backend
from metanas_pl.config import EvaluationConfig, MetaConfig, NASConfig
from metanas_pl.config.compatibility import check_pair
from metanas_pl.engine.choosing import member, with_sets
from metanas_pl.engine.episode_network import EpisodeNetwork
from metanas_pl.engine.episode_problem import PreparedBatch
from metanas_pl.engine.inner_loop_factory import InnerLoopFactory
from metanas_pl.engine.inner_schedules import test_schedule, training_schedule
from metanas_pl.engine.method_functions import meta_functions, nas_functions
from metanas_pl.engine.task_batch import InnerSteps, TaskBatch, pooled, prepare
from metanas_pl.search_spaces.base import SearchSpace, to_alive
from metanas_pl.search_spaces.costs import Costs
from metanas_pl.types import Alphas, Episodes, Mask, Mixing, OuterProgress, Params, Theta

if TYPE_CHECKING:
    pass

SAMPLED_FROM = 2**40
"""Number of the first generator that samples options; no episode has one so large."""


class BatchMaker:
    """A search space, a NAS method and a meta-learner: they say how a batch of episodes is learned."""

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
