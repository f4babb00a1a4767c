"""Images of the alpha-steps: other shots, or changed copies."""

from __future__ import annotations

import pytest
import torch

from metanas_pl.engine.alpha_images import changed_copies, split_rows, splits


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("shots", [2, 3, 5, 8])
def test_no_image_is_in_both_and_every_class_is(shots: int) -> None:
    ways = 4
    y = torch.arange(ways).repeat(shots)[torch.randperm(ways * shots)]
    train, arch = split_rows(y, generator())
    assert sorted(torch.cat([train, arch]).tolist()) == list(range(ways * shots))
    assert y[train].bincount().tolist() == [shots - shots // 2] * ways
    assert y[arch].bincount().tolist() == [shots // 2] * ways
    for rows in (train, arch):  # a minibatch that goes round takes all classes alike
        turns = y[rows].view(-1, ways)
        assert torch.equal(turns, torch.arange(ways).expand_as(turns))


def test_classes_of_any_size_share_out_their_shots() -> None:
    y = torch.tensor([0, 0, 0, 1, 1, 2, 2, 2, 2, 2])
    train, arch = split_rows(y, generator())
    assert y[train].bincount().tolist() == [2, 1, 3] and y[arch].bincount().tolist() == [1, 1, 2]


def test_shots_are_drawn_by_the_generator() -> None:
    y = torch.arange(3).repeat(10)
    first, again, other = (split_rows(y, generator(seed))[0] for seed in (1, 1, 2))
    assert torch.equal(first, again) and set(first.tolist()) != set(other.tolist())


def test_when_shots_are_split() -> None:
    several, single = torch.tensor([0, 1, 0, 1]), torch.tensor([0, 1, 1])
    assert splits("split", several) and splits("held_out", several)
    assert not any(splits(images, several) for images in ("support", "augmented"))
    assert not splits("held_out", single)
    with pytest.raises(ValueError, match="nas.alpha_images=split: a class has one shot"):
        splits("split", single)


def blobs(n: int = 64, side: int = 28) -> torch.Tensor:
    """A bright square on grey, away from the border, and a colour of its own for each image."""
    x = torch.full((n, 3, side, side), 0.2)
    x[:, :, 9:19, 9:19] = torch.rand(n, 3, 1, 1) + 0.5
    return x


def test_copies_are_equal_for_equal_generators_and_no_two_alike() -> None:
    x = blobs()
    copies, again = changed_copies(x, generator()), changed_copies(x, generator())
    assert torch.equal(copies, again)
    assert not torch.equal(copies, changed_copies(x, generator(1)))
    assert ((copies - x).abs().amax((1, 2, 3)) > 0.05).all()
    same = changed_copies(x[:1].expand(9, -1, -1, -1), generator())
    assert all(not torch.equal(same[0], copy) for copy in same[1:])


def test_copies_are_as_bright_as_the_images() -> None:
    x = blobs()
    ratio = changed_copies(x, generator()).mean((1, 2, 3)) / x.mean((1, 2, 3))
    assert (ratio - 1).abs().max() < 0.15
    flat = torch.full((3, 1, 9, 9), 0.7)
    torch.testing.assert_close(changed_copies(flat, generator()), flat)


def test_a_copy_is_turned_and_moved_no_further_than_it_may_be() -> None:
    """The centre of the light moves by at most a shift of 8 % of the side, turned and scaled."""
    x = torch.zeros(64, 1, 41, 41)
    x[:, :, 18:23, 18:23] = 1.0
    copies = changed_copies(x, generator())[:, 0]
    axis = torch.arange(41.0) - 20
    light = copies.sum((1, 2))
    middle = torch.stack(
        [(copies.sum(2) * axis).sum(1) / light, (copies.sum(1) * axis).sum(1) / light]
    )
    assert 1.0 < middle.abs().max() < 0.08 * 41 * 1.5
    assert (light / 25 - 1).abs().max() < 0.35  # 1 / 0.9^2 - 1, and the pixels
