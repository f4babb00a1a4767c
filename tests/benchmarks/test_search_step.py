"""The reference side of the search step gives what the framework gives."""

from __future__ import annotations

import pytest
import torch

from benchmarks.search_step import SearchStep, Size

TINY = Size(channels=2, n_cells=2, n_ways=3, tasks=2, steps=2)


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["grouped", "vmap", "loop"])
def test_both_sides_reach_the_same_meta_gradient(backend: str) -> None:
    step = SearchStep(TINY, torch.float64, backend=backend)
    ours, reference = step.ours(), step.reference()
    assert ours.weights.keys() == reference.weights.keys()
    assert any(gradient.abs().max() > 1e-4 for gradient in ours.alphas.values())
    for mine, theirs in zip(ours[:2], reference[:2], strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(step.reference(), reference, rtol=0, atol=0)


def test_useful_flops_grow_with_tasks_steps_and_images() -> None:
    one = SearchStep(TINY).useful_flops()
    assert SearchStep(TINY._replace(tasks=4, steps=3)).useful_flops() == one * 2 * 1.5
