"""From a configuration to the two pure computations of the method, for a meta-batch of episodes.

``EpisodeLearner.meta_gradient`` adapts to each episode and gives the mean meta-gradient;
``EpisodeLearner.evaluate`` adapts and tests. Both map one pure function of a task over the tasks.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.func import functional_call
from torch.utils import _pytree as pytree

from metanas_pl.conf import EvaluationConfig, MetaConfig, NASConfig
from metanas_pl.functional.adaptation import Adapted, Batch, Support, TaskLearner, Theta, adapt
from metanas_pl.functional.batching import map_tasks
from metanas_pl.functional.meta_gradients import MetaGradient, Task
from metanas_pl.functional.noise import drop_path, episode_generator, minibatches
from metanas_pl.functional.optimizers import Params, make_optimizer
from metanas_pl.functional.relaxation import Alphas, Mask, Mixing, apply_threshold, temperatures
from metanas_pl.metrics import episode_accuracy
from metanas_pl.spaces.base import Context, SearchSpace

HEAD = ("head.weight", "head.bias")


class TaskData(NamedTuple):
    """One episode as the method sees it; with a leading task dimension, a meta-batch."""

    support: Support
    query_x: Tensor
    query_y: Tensor


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


def _task(tasks: TaskData, t: int) -> TaskData:
    """Task ``t`` of a meta-batch."""
    return pytree.tree_map(lambda leaf: leaf[t] if isinstance(leaf, Tensor) else leaf, tasks)


def resolve(path: str, key: str) -> Callable[..., Any]:
    """The function at dotted ``path``.

    Raises:
        ValueError: there is none; the message names the configuration ``key``.
    """
    module, _, name = path.rpartition(".")
    try:
        function = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError, ValueError) as error:
        raise ValueError(f"{key}={path} cannot be imported: {error}") from None
    if not callable(function):
        raise ValueError(f"{key}={path} is not a function")
    return function


class EpisodeLearner:
    """A search space, a NAS method and a meta-learner, ready to learn from episodes.

    It holds no parameters of its own: theta goes in, results come out.
    """

    def __init__(self, space: SearchSpace, nas: NASConfig, meta: MetaConfig) -> None:
        self.space, self.nas, self.meta = space, nas, meta
        self.relaxation = resolve(nas.relaxation, "nas.relaxation")
        self.alpha_gradient = resolve(nas.alpha_gradient, "nas.alpha_gradient")
        self.meta_learner = resolve(meta.meta_gradient, "meta.meta_gradient")
        self.backend = "vmap" if meta.backend == "auto" else meta.backend

    # -- one forward pass ---------------------------------------------------------------------

    def mixing(self, alphas: Alphas, temperature: float, mask: Mask, threshold: float) -> Mixing:
        """Mixing weights at a temperature, thresholded."""
        return apply_threshold(self.relaxation(alphas, temperature, mask), threshold)

    def logits(self, weights: Params, mixing: Mixing, batch: Batch) -> Tensor:
        """Logits ``(B, N)``, normalised by the batch's own statistics."""
        context = Context(drop_path=batch.drop_path)
        return functional_call(self.space, weights, (batch.x, mixing, context))

    def query_logits(self, weights: Params, mixing: Mixing, task: TaskData, norm: str) -> Tensor:
        """Logits of the query set, ``(Q, N)``, inductive or transductive."""
        if norm == "transductive":
            return self.logits(weights, mixing, Batch(task.query_x, task.query_y))
        n_support = task.support.x.shape[0]
        images = torch.cat([task.support.x, task.query_x])
        context = Context(reference=n_support)
        return functional_call(self.space, weights, (images, mixing, context))[n_support:]

    # -- the inner loop -----------------------------------------------------------------------

    def start(self, theta: Theta, n_ways: int) -> Theta:
        """Where a task starts: theta, with an empty head if heads are not meta-learned."""
        if self.meta.head == "learned":
            n_learned = theta.weights["head.bias"].shape[0]
            if n_learned != n_ways:
                raise ValueError(
                    f"data.n_ways={n_ways}, but the meta-learned head has {n_learned} ways: "
                    "train with meta.head=zero to test other numbers of ways"
                )
            return theta
        weight = theta.weights["head.weight"]
        empty = {
            "head.weight": weight.new_zeros(n_ways, weight.shape[1]),
            "head.bias": weight.new_zeros(n_ways),
        }
        return Theta({**theta.weights, **empty}, theta.alphas)

    def adaptation(
        self, task: TaskData, learner: TaskLearner, mask: Mask, threshold: float
    ) -> Callable[..., Adapted]:
        """``(theta, states=None) -> Adapted`` on one task."""

        def loss(weights: Params, alphas: Alphas, batch: Batch, temperature: float) -> Tensor:
            mixing = self.mixing(alphas, temperature, mask, threshold)
            return F.cross_entropy(self.logits(weights, mixing, batch), batch.y)

        return lambda theta, states=None: adapt(loss, theta, task.support, learner, states)

    def task_learner(
        self,
        steps: int,
        arch_steps: int | None,
        temps: Sequence[float],
        adapts_weights: bool = True,
    ) -> TaskLearner:
        """The inner loop with the configured optimizers."""
        inner = self.meta.inner
        betas = (inner.beta1, inner.beta2)
        head_lr = inner.weight_lr if inner.head_lr is None else inner.head_lr
        return TaskLearner(
            self.alpha_gradient,
            make_optimizer(
                inner.optimizer,
                lambda name: head_lr if name in HEAD else inner.weight_lr,
                betas,
                inner.weight_decay,
            ),
            make_optimizer(
                inner.alpha_optimizer or inner.optimizer,
                inner.alpha_lr,
                betas,
                inner.alpha_weight_decay,
            ),
            tuple(temps[:steps]),
            steps if arch_steps is None else min(arch_steps, steps),
            adapts_weights,
        )

    def temperatures(self, steps: int, arch_steps: int | None) -> tuple[float, ...]:
        """Temperature of each inner step."""
        arch_steps = steps if arch_steps is None else min(arch_steps, steps)
        nas = self.nas
        return temperatures(steps, arch_steps, nas.t_max, nas.t_min, nas.temperature_schedule)

    def prepare(
        self, episode: Any, seed: int, steps: int, batch_size: int | None, drop: float = 0.0
    ) -> TaskData:
        """Add minibatches and drop path to a batch of episodes; noise depends on their index."""
        size = episode.support_x.shape[1]
        shape = self.space.drop_path_shape() if drop > 0 else None
        train, arch, noise = [], [], []
        for index in episode.index.tolist():
            generator = episode_generator(seed, index)
            train.append(minibatches(size, batch_size, steps, generator))
            arch.append(minibatches(size, batch_size, steps, generator))
            if shape is not None:
                noise.append(drop_path((steps, 2, *shape, train[-1].shape[1]), drop, generator))
        device = episode.support_x.device
        support = Support(
            episode.support_x,
            episode.support_y,
            torch.stack(train).to(device),
            torch.stack(arch).to(device),
            torch.stack(noise).to(device) if noise else None,
        )
        return TaskData(support, episode.query_x, episode.query_y)

    # -- the two computations -----------------------------------------------------------------

    def meta_gradient(
        self,
        theta: Theta,
        episode: Any,
        *,
        seed: int,
        mask: Mask,
        warm_up: bool = False,
        states: Any = None,
    ) -> tuple[MetaGradient, Any]:
        """Mean meta-gradient over the tasks of ``episode``, and the inner states to carry on.

        In warm-up no alpha-step is taken, T stays at t_max and the alphas' meta-gradient is zero.
        Carried inner states go from task to task in order; otherwise ``states`` stays None.
        """
        inner, n_ways = self.meta.inner, int(episode.support_y.max()) + 1
        tasks = self.prepare(episode, seed, inner.steps, inner.batch_size, inner.drop_path)
        arch_steps = 0 if warm_up else inner.arch_steps
        temps = self.temperatures(inner.steps, arch_steps)
        learner = self.task_learner(inner.steps, arch_steps, temps)
        origin = self.start(theta, n_ways)

        def of_task(task: TaskData, states: Any = None) -> MetaGradient:
            run = self.adaptation(task, learner, mask, self.nas.threshold)

            def query_loss(weights: Params, alphas: Alphas) -> tuple[Tensor, Tensor]:
                mixing = self.mixing(alphas, temps[-1], mask, self.nas.threshold)
                logits = self.query_logits(weights, mixing, task, self.meta.query_norm)
                accuracy = episode_accuracy(logits, task.query_y)
                return F.cross_entropy(logits, task.query_y), accuracy

            return self.meta_learner(origin, Task(lambda t: run(t, states), query_loss))

        if inner.state == "carried":
            results: list[Any] = []
            for t in range(tasks.query_y.shape[0]):
                results.append(of_task(_task(tasks, t), states))
                states = results[-1].adapted.states
            per_task = pytree.tree_map(lambda *parts: torch.stack(parts), *results)
        else:
            per_task = map_tasks(of_task, tasks, self.backend, self.meta.chunk_size)
        parts = per_task.gradient, per_task.loss, per_task.accuracy
        gradient, loss, accuracy = pytree.tree_map(lambda leaf: leaf.mean(0), parts)
        gradient = self._of_theta(gradient, theta, warm_up)
        return MetaGradient(gradient, loss, accuracy, adapted=None), states

    def _of_theta(self, gradient: Theta, theta: Theta, warm_up: bool) -> Theta:
        """Zero the gradient of what is not meta-learned now."""
        weights, alphas = gradient
        if self.meta.head == "zero":
            weights = {**weights, **{k: torch.zeros_like(theta.weights[k]) for k in HEAD}}
        if warm_up:
            alphas = {k: torch.zeros_like(a) for k, a in alphas.items()}
        return Theta(weights, alphas)

    def evaluate(
        self, theta: Theta, episode: Any, *, seed: int, mask: Mask, plan: EvaluationConfig
    ) -> Evaluation:
        """Adapt to each episode and test it on its queries, four ways."""
        inner, n_ways = self.meta.inner, int(episode.support_y.max()) + 1
        steps = plan.steps or inner.test_steps
        arch_steps = inner.test_arch_steps if plan.arch_steps is None else plan.arch_steps
        temps = self.temperatures(steps, arch_steps)
        learner = self.task_learner(
            0 if plan.adapt == "nothing" else steps,
            0 if plan.adapt == "weights" else arch_steps,
            temps,
            adapts_weights=plan.adapt != "alphas",
        )
        tasks = self.prepare(episode, seed, steps, inner.test_batch_size)
        origin = self.start(theta, n_ways)

        def of_task(task: TaskData) -> Evaluation:
            adapted = self.adaptation(task, learner, mask, self.nas.test_threshold)(origin)
            mixing = self.mixing(adapted.alphas, temps[-1], mask, self.nas.test_threshold)
            mixing_before = self.mixing(origin.alphas, temps[-1], mask, self.nas.test_threshold)

            def logits(weights: Params, mixing: Mixing, norm: str = "inductive") -> Tensor:
                return self.query_logits(weights, mixing, task, norm)

            relaxed = logits(adapted.weights, mixing)
            transductive = logits(adapted.weights, mixing, "transductive")
            pruned = logits(adapted.weights, self.space.prune(mixing))
            before = logits(origin.weights, mixing_before)

            def accuracy(z: Tensor) -> Tensor:
                return episode_accuracy(z, task.query_y)

            return Evaluation(
                accuracy(relaxed),
                accuracy(transductive),
                accuracy(pruned),
                accuracy(before),
                F.cross_entropy(relaxed, task.query_y),
                mixing,
                adapted.losses,
            )

        return map_tasks(of_task, tasks, self.backend, self.meta.chunk_size)
