"""The test benchmark: both sides reach the same weights and alphas."""

import pytest
import torch

from benchmarks.meta_test import MetaTest
from benchmarks.search_step import Size
from metanas_pl.algorithms.inner_loop import adapt
from metanas_pl.engine.task_batch import task

TINY = Size(channels=2, n_cells=2, n_ways=3, tasks=2, steps=4)


@pytest.mark.slow
def test_both_sides_adapt_alike() -> None:
    step = MetaTest(TINY, torch.float64)
    result, reference = step.evaluate(), step.adapted()
    assert result.accuracy.shape == (TINY.tasks,)
    learner, schedule = step.learner, step.learner.test_schedule(step.plan)
    tasks = learner.prepare(step.theta, step.episode, 0, schedule, None)
    network = learner.network(TINY.n_ways, {}, step.nas.test_threshold)
    inner = learner.loops.make(step.theta, schedule)
    for t, expected in enumerate(reference):
        data = task(tasks, t)
        found = adapt(network.objective(), step.theta, data.support, inner)
        torch.testing.assert_close(found.weights, expected.weights, rtol=1e-8, atol=1e-9)
        torch.testing.assert_close(found.alphas, expected.alphas, rtol=1e-8, atol=1e-9)
        mixing = network.mixing(expected.alphas, schedule.query_temperature)
        torch.testing.assert_close({k: m[t] for k, m in result.mixing.items()}, mixing)
        assert any((m == 0).any() for m in mixing.values())
