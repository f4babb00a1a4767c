"""Heads from class means against squared distances computed by numpy-like broadcasting."""

from __future__ import annotations

import torch

from metanas_pl.algorithms.heads import class_means, empty_head, prototype_head


def test_a_prototype_head_is_a_softmax_over_negative_squared_distances() -> None:
    features, labels = torch.randn(9, 5), torch.tensor([0, 1, 2] * 3)
    queries = torch.randn(4, 5)
    means = torch.stack([features[labels == c].mean(0) for c in range(3)])
    torch.testing.assert_close(class_means(features, labels, 3), means)
    head = prototype_head(features, labels, 3)
    logits = queries @ head["head.weight"].T + head["head.bias"]
    distances = ((queries[:, None] - means[None]) ** 2).sum(-1)
    torch.testing.assert_close(logits.softmax(-1), (-distances).softmax(-1))


def test_classes_without_samples_have_a_zero_mean() -> None:
    assert torch.equal(class_means(torch.ones(2, 3), torch.tensor([0, 0]), 2)[1], torch.zeros(3))


def test_an_empty_head_has_the_asked_ways() -> None:
    head = empty_head(torch.ones(7, 4), 5)
    assert head["head.weight"].shape == (5, 4)
    assert not any(part.any() for part in head.values())
