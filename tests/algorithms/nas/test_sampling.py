"""Sampled options: exact chances without replacement; the gradient of an expected loss by enumeration."""

from __future__ import annotations

from itertools import product

import pytest
import torch

from metanas_pl.algorithms.nas.sampling import path_gradient, sampled

DRAWS = 40_000


@pytest.mark.parametrize("n", [1, 2])
def test_frequencies_are_those_of_drawing_without_replacement(n: int) -> None:
    logits = torch.tensor([0.7, -0.4, 0.0, 5.0])
    alive = torch.tensor([True, True, True, False])
    chance = torch.softmax(logits[:3], 0)
    expected = chance.clone()
    if n == 2:
        for i, j in product(range(3), repeat=2):
            if i != j:  # j first, then i of those that are left
                expected[i] += chance[j] * chance[i] / (1 - chance[j])
    drawn = sampled(
        logits.expand(DRAWS, 4), alive.expand(DRAWS, 4), n, torch.Generator().manual_seed(0)
    )
    assert (drawn.sum(-1) == n).all() and not drawn[:, 3].any()
    torch.testing.assert_close(drawn[:, :3].float().mean(0), expected, atol=0.01, rtol=0)


def test_all_that_are_alive_are_taken_where_there_are_no_more() -> None:
    alive = torch.tensor([[True, False, True], [True, True, True], [False, True, False]])
    drawn = sampled(torch.randn(3, 3), alive, 2, torch.Generator().manual_seed(0))
    assert torch.equal(drawn[[0, 2]], alive[[0, 2]]) and drawn[1].sum() == 2
    assert torch.equal(sampled(torch.zeros(3, 3), alive, 9, torch.Generator()), alive)


def test_equal_generators_draw_the_same() -> None:
    alive = torch.ones(20, 7, dtype=torch.bool)
    first, again, other = (
        sampled(torch.zeros(20, 7), alive, 2, torch.Generator().manual_seed(seed))
        for seed in (3, 3, 4)
    )
    assert torch.equal(first, again) and not torch.equal(first, other)


@pytest.mark.parametrize("usual", [0.0, 1.7])
def test_the_mean_over_paths_is_the_gradient_of_the_expected_loss(usual: float) -> None:
    """Two choices of three options make nine paths, of any losses. What is usual does not matter."""
    losses = torch.randn(3, 3, dtype=torch.float64)
    logits = torch.randn(2, 3, dtype=torch.float64, requires_grad=True)
    chances = torch.softmax(logits, -1)
    (chances[0][:, None] * chances[1] * losses).sum().backward()

    chances, mean = chances.detach(), torch.zeros(2, 3, dtype=torch.float64)
    for i, j in product(range(3), repeat=2):
        taken = torch.zeros(2, 3, dtype=torch.bool)
        taken[0, i] = taken[1, j] = True
        (of_path,) = path_gradient(losses[i, j][None] - usual, taken, chances)
        mean += chances[0, i] * chances[1, j] * of_path
    torch.testing.assert_close(mean, logits.grad)


def test_each_task_has_its_own_gradient() -> None:
    advantages, taken = torch.tensor([2.0, -1.0]), torch.tensor([[False, True]])
    found = path_gradient(advantages, taken, torch.tensor([[0.25, 0.75]]))
    torch.testing.assert_close(found, torch.tensor([[[-0.5, 0.5]], [[0.25, -0.25]]]))
