"""Noise is a function of seed and episode, and covers the support set."""

from __future__ import annotations

import torch

from metanas_pl.algorithms.noise import drop_path, episode_generator, minibatches


def test_same_seed_and_episode_give_the_same_noise_and_others_do_not() -> None:
    def draw(seed: int, index: int) -> list[int]:
        return minibatches(20, 5, 4, episode_generator(seed, index)).flatten().tolist()

    assert draw(3, 7) == draw(3, 7)
    assert len({tuple(draw(s, i)) for s in range(4) for i in range(50)}) == 200


def test_minibatches_are_passes_without_repetition() -> None:
    rows = minibatches(6, 4, 3, episode_generator(0, 0)).flatten()
    assert sorted(rows[:6].tolist()) == list(range(6))
    assert sorted(rows[6:].tolist()) == list(range(6))


def test_drop_path_keeps_the_mean() -> None:
    factors = drop_path((200, 200), 0.2, episode_generator(0, 0))
    assert set(factors.unique().tolist()) == {0.0, 1.25}
    assert abs(float(factors.mean()) - 1) < 0.02
    assert (drop_path((5,), 0.0, torch.Generator()) == 1).all()
