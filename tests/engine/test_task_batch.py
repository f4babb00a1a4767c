"""Batches of episodes: images of both passes, padded episodes, pooled support and query sets."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from metanas_pl.engine.task_batch import InnerSteps, TaskBatch, pooled, prepare
from tests.conftest import RandomEpisode, make_module, random_episode

NO_DROP: Any = (None, 0.0)
NO_LABEL = -100  # which a cross-entropy ignores
NO_NOISE: Any = (None, {}, False)


def prepared(episode: RandomEpisode, images: str, arch_steps: int = 2, **inner: Any) -> TaskBatch:
    steps = InnerSteps(3, arch_steps, alpha_images=images, **inner)
    return prepare(episode, 0, steps, NO_DROP, NO_NOISE)


def padded(episode: RandomEpisode, size: int, n_queries: int) -> RandomEpisode:
    """The same episodes with rows that hold no image at the end."""
    more, more_queries = size - episode.support_y.shape[1], n_queries - episode.query_y.shape[1]

    def fill(x: torch.Tensor, n: int, value: float) -> torch.Tensor:
        return torch.cat([x, x.new_full((len(x), n, *x.shape[2:]), value)], 1)

    return RandomEpisode(
        fill(episode.support_x, more, 0.0),
        fill(episode.support_y, more, NO_LABEL),
        fill(episode.query_x, more_queries, 0.0),
        fill(episode.query_y, more_queries, NO_LABEL),
        episode.index,
    )


def joined(*episodes: RandomEpisode) -> RandomEpisode:
    return RandomEpisode(*(torch.cat(parts) for parts in zip(*episodes, strict=True)))


@pytest.mark.parametrize("batch_size", [None, 4])
@pytest.mark.parametrize("shots", [2, 5])
def test_alpha_steps_see_other_shots_of_every_class(shots: int, batch_size: int | None) -> None:
    episode = random_episode(shots=shots)
    support = prepared(episode, "held_out", batch_size=batch_size).support
    assert support.arch_x is None
    for t in range(3):
        for step in range(2):
            train = set(support.train_index[t, step].tolist())
            arch = support.arch_index[t, step].tolist()
            assert not train & set(arch)
            if batch_size is None:
                assert len(set(arch)) == len(arch)
                labels = (episode.support_y[t, sorted(rows)] for rows in (train, set(arch)))
                assert all(set(y.tolist()) == {0, 1, 2} for y in labels)
        rows = support.train_index[t, 2].tolist()
        assert batch_size or sorted(rows) == list(range(3 * shots)), "w-steps after them take all"


def test_whole_passes_count_every_class_alike() -> None:
    """Of five shots three are for the weights; two of them come twice, in each class."""
    episode = random_episode(shots=5)
    support = prepared(episode, "split").support
    for t in range(3):
        counts = episode.support_y[t, support.train_index[t, 0]].bincount()
        assert counts.tolist() == [5, 5, 5]


@pytest.mark.parametrize(("images", "shots"), [("augmented", 2), ("held_out", 1)])
def test_changed_copies_are_of_the_same_rows(images: str, shots: int) -> None:
    episode = random_episode(shots=shots)
    support = prepared(episode, images).support
    assert support.arch_x is not None and support.arch_y is not None and support.arch_real is None
    copies, blank = support.arch_x.split([support.x.shape[1], 1], dim=1)
    assert (blank == 0).all() and (support.arch_y[:, -1] < 0).all()
    assert torch.equal(support.arch_y[:, :-1], support.y)
    assert not torch.equal(copies, support.x)
    assert torch.equal(support.train_index, support.arch_index)
    for left, right in zip(support.x.flatten(0, 1), copies.flatten(0, 1), strict=True):
        assert torch.corrcoef(torch.stack([left.flatten(), right.flatten()]))[0, 1] > 0


def test_without_alpha_steps_nothing_is_held_back() -> None:
    plain = prepared(random_episode(), "support")
    for images in ("split", "augmented", "held_out"):
        still = prepared(random_episode(), images, arch_steps=0)
        assert torch.equal(still.support.train_index, plain.support.train_index)
        assert still.support.arch_x is None


@pytest.mark.parametrize("images", ["support", "held_out", "augmented"])
@pytest.mark.parametrize("trains_on", ["support", "support_and_query"])
def test_a_smaller_episode_gets_in_a_batch_what_it_gets_alone(images: str, trains_on: str) -> None:
    """The smaller one has one shot, so that held_out makes copies for it and splits for the other."""
    inner = {"alpha_lr": 0.05, "optimizer": "sgd", "weight_lr": 0.05}
    module = make_module(
        nas={"alpha_images": images}, meta={"trains_on": trains_on, "inner": inner}
    ).double()
    small, large = random_episode(tasks=1, shots=1, queries=1), random_episode(tasks=1, shots=4)
    small, large = (
        RandomEpisode(*(p.double() if p.is_floating_point() else p for p in part))
        for part in (small, large)
    )
    large = large._replace(index=large.index + 1)
    batch = joined(padded(small, 12, 6), large)

    def gradients(episode: RandomEpisode) -> Any:
        return module.learner.meta_gradient(module.theta(), episode, seed=0, mask=module.mask())[0]

    together, alone = gradients(batch), [gradients(episode) for episode in (small, large)]
    torch.testing.assert_close(together.loss, sum(part.loss for part in alone) / 2)
    for k, wanted in enumerate(together.gradient):
        for name, value in wanted.items():
            expected = sum(part.gradient[k][name] for part in alone) / 2
            torch.testing.assert_close(value, expected, rtol=1e-6, atol=1e-9)


def test_pooled_episodes_hold_all_images_once_and_blank_rows_last() -> None:
    small, large = random_episode(tasks=1, shots=1, queries=3), random_episode(tasks=1, shots=4)
    batch = joined(padded(small, 12, 9), padded(large, 12, 9))
    both = pooled(batch)
    assert both.support_x.shape[1] == 21 and torch.equal(both.query_x, batch.query_x)
    for t, (episode, n) in enumerate(((small, 12), (large, 18))):
        assert (both.support_y[t, :n] >= 0).all() and (both.support_y[t, n:] < 0).all()
        expected = torch.cat([episode.support_x, episode.query_x], 1)[0]
        torch.testing.assert_close(both.support_x[t, :n], expected)
        labels = torch.cat([episode.support_y, episode.query_y], 1)[0]
        assert torch.equal(both.support_y[t, :n], labels)
