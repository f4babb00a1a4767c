"""E: testing, an adaptation of 100 steps to every episode, against the loop over modules."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch

from benchmarks.module_loop import Settings, adapt
from benchmarks.search_step import COMPACT, SearchStep, Size
from benchmarks.timing import compare
from metanas_pl.config import EvaluationConfig
from metanas_pl.engine.evaluation import Evaluation
from metanas_pl.engine.task_batch import task
from metanas_pl.types import Theta

DECIDED = 3.0
"""Spread of the alphas: as after meta-training, many mixing weights are below the threshold."""


class MetaTest(SearchStep):
    """Both ways to test some episodes after 100 steps, in the first half of which alphas adapt."""

    def __init__(self, size: Size, dtype: torch.dtype = torch.float32, **meta: Any) -> None:
        super().__init__(size, dtype, **meta)
        spread = {k: DECIDED * torch.randn_like(a) for k, a in self.theta.alphas.items()}
        self.theta = self.theta._replace(alphas=spread)
        self.nas = replace(self.nas, threshold=self.nas.test_threshold)
        self.plan = EvaluationConfig(steps=size.steps, arch_steps=size.steps // 2)
        self.meta.inner.test_anneal_steps = size.steps // 2

    def evaluate(self) -> Evaluation:
        """By the framework, with its accuracies of four kinds."""
        return self.learner.evaluate(self.theta, self.episode, **self.inputs, plan=self.plan)

    def adapted(self) -> list[Theta]:
        """The adaptations alone, by a loop over modules."""
        inner, size = self.meta.inner, self.size
        schedule = self.learner.test_schedule(self.plan)
        temps = schedule.temperatures
        tasks = self.learner.prepare(self.theta, self.episode, 0, schedule, None)
        rates = inner.weight_lr, inner.alpha_lr, inner.alpha_weight_decay
        settings = Settings(*rates, temps, self.nas.threshold, self.plan.arch_steps)
        each = (task(tasks, t) for t in range(size.tasks))
        return [adapt(self.plain, self.theta, data, settings) for data in each]


def run(rounds: int) -> dict[str, Any]:
    """The benchmark case; what 600 episodes take is computed from one round."""
    size = COMPACT._replace(steps=100)
    step = MetaTest(size)
    found = compare(step.evaluate, step.adapted, rounds, long=True).figures()
    return found | {"minutes_of_600_episodes": 10 * found["ours_s"]["median"] / size.tasks}
