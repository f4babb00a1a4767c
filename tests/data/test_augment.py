"""Augmentation: known maps, and dependence on the episode's number alone."""

import math

import pytest
import torch

from metanas_pl.data.augment import _warped, augment
from metanas_pl.data.episodes import Episode

LIMITS = {"shift": 2.0, "rotation": 10.0, "scale": 0.1}


def batch(indices: list[int], n: int = 3) -> Episode:
    generator = torch.Generator().manual_seed(0)
    x = torch.rand(1, 2 * n, 1, 12, 12, generator=generator).expand(len(indices), -1, -1, -1, -1)
    y = torch.arange(n).expand(len(indices), n)
    return Episode(x[:, :n], y, x[:, n:], y, torch.tensor(indices))


def one(image: torch.Tensor, angle: float = 0.0, shift: float = 0.0) -> torch.Tensor:
    ones = torch.ones(1, 1)
    shifts = torch.tensor([[[2 * shift / image.shape[-1], 0.0]]])
    return _warped(image[None, None, None], angle * ones, ones, shifts)[0, 0, 0]


def test_a_quarter_turn_and_a_shift_of_one_pixel_are_exact() -> None:
    image = torch.rand(6, 6)
    torch.testing.assert_close(one(image, math.pi / 2), image.rot90(1))
    moved = one(image, shift=1.0)
    torch.testing.assert_close(moved[:, :-1], image[:, 1:])
    torch.testing.assert_close(moved[:, -1], image[:, -1])  # the border repeats


def test_an_episode_is_the_same_in_any_batch_and_no_image_like_its_neighbour() -> None:
    both, second = augment(batch([4, 9]), 1, LIMITS), augment(batch([9]), 1, LIMITS)
    torch.testing.assert_close(both.support_x[1], second.support_x[0], rtol=0, atol=0)
    torch.testing.assert_close(both.query_x[1], second.query_x[0], rtol=0, atol=0)
    assert not torch.allclose(both.support_x[0], both.support_x[1])
    same = batch([4])._replace(query_x=batch([4]).support_x)
    changed = augment(same, 1, LIMITS)
    assert not torch.allclose(changed.query_x, changed.support_x)


@pytest.mark.parametrize("seed", [1, 2])
def test_labels_stay_and_the_seed_counts(seed: int) -> None:
    before, after = batch([4]), augment(batch([4]), seed, LIMITS)
    assert torch.equal(before.support_y, after.support_y)
    assert not torch.allclose(after.support_x, augment(batch([4]), 3, LIMITS).support_x)
