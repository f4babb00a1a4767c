"""Augmentation: dependence on the episode's number alone, on which images it works, normalised or not."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch

from metanas_pl.config import AugmentConfig
from metanas_pl.data import EpisodeDataModule
from metanas_pl.data.episodes.augment import Augmentation, augment
from metanas_pl.data.episodes.dataset import Episode, collate

MOVES = Augmentation(shift=2.0, rotation=10.0, scale=0.1)
COLOURS = Augmentation(brightness=0.5, contrast=0.5, saturation=0.5)
ALL = MOVES._replace(crop=2, flip=True, brightness=0.3, contrast=0.3, saturation=0.3)


def batch(indices: list[int], n: int = 3, channels: int = 1) -> Episode:
    generator = torch.Generator().manual_seed(0)
    x = torch.rand(1, 2 * n, channels, 12, 12, generator=generator)
    x = x.expand(len(indices), -1, -1, -1, -1)
    y = torch.arange(n).expand(len(indices), n)
    return Episode(x[:, :n], y, x[:, n:], y, torch.tensor(indices))


def test_the_schema_has_the_same_fields_and_defaults() -> None:
    assert vars(AugmentConfig()) == Augmentation()._asdict()


@pytest.mark.parametrize("how", [MOVES, ALL])
def test_an_episode_is_the_same_in_any_batch_and_no_image_like_its_neighbour(
    how: Augmentation,
) -> None:
    both, second = augment(batch([4, 9]), 1, how), augment(batch([9]), 1, how)
    torch.testing.assert_close(both.support_x[1], second.support_x[0], rtol=0, atol=0)
    torch.testing.assert_close(both.query_x[1], second.query_x[0], rtol=0, atol=0)
    assert not torch.allclose(both.support_x[0], both.support_x[1])
    same = batch([4])._replace(query_x=batch([4]).support_x)
    changed = augment(same, 1, how)
    assert not torch.allclose(changed.query_x, changed.support_x)


def test_rows_without_an_image_do_not_change_those_with_one() -> None:
    small, large = (
        Episode(*(part[0] for part in batch([index], n))) for index, n in ((4, 2), (9, 3))
    )
    together = augment(collate([small, large]), 1, ALL)
    alone = augment(collate([small]), 1, ALL)
    torch.testing.assert_close(together.support_x[0, :2], alone.support_x[0], rtol=0, atol=0)
    torch.testing.assert_close(together.query_x[0, :2], alone.query_x[0], rtol=0, atol=0)


@pytest.mark.parametrize("seed", [1, 2])
def test_labels_stay_and_the_seed_counts(seed: int) -> None:
    before, after = batch([4]), augment(batch([4]), seed, MOVES)
    assert torch.equal(before.support_y, after.support_y)
    assert not torch.allclose(after.support_x, augment(batch([4]), 3, MOVES).support_x)


@pytest.mark.parametrize("sets", ["both", "support", "query"])
def test_only_the_chosen_sets_change(sets: str) -> None:
    before, after = batch([4]), augment(batch([4]), 0, ALL._replace(sets=sets))
    assert torch.equal(before.support_x, after.support_x) == (sets == "query")
    assert torch.equal(before.query_x, after.query_x) == (sets == "support")
    both = augment(batch([4]), 0, ALL)
    chosen = "query_x" if sets == "query" else "support_x"
    assert torch.equal(getattr(both, chosen), getattr(after, chosen))


@pytest.mark.parametrize("how", [MOVES, COLOURS, ALL])
def test_normalised_images_change_as_those_in_0_to_1(how: Augmentation) -> None:
    """Each task by constants of its own, as in a mixture of stores."""
    plain = batch([4, 9], channels=3)
    mean, std = (
        torch.tensor([[0.2, 0.4, 0.5], [0, 0, 0]]),
        torch.tensor([[0.1, 0.2, 0.3], [1, 1, 1]]),
    )
    m, s = mean[:, None, :, None, None], std[:, None, :, None, None]
    normalised = plain._replace(support_x=(plain.support_x - m) / s)
    found = augment(normalised, 0, how, mean, std).support_x
    expected = (augment(plain, 0, how).support_x - m) / s
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


def test_limits_are_reached_and_kept() -> None:
    white = torch.full((1, 400, 1, 4, 4), 0.5)
    y = torch.zeros(1, 400, dtype=torch.long)
    crowd = Episode(white, y, white, y, torch.tensor([0]))
    factors = augment(crowd, 0, Augmentation(brightness=0.4)).support_x[0, :, 0, 0, 0] / 0.5
    assert 0.6 <= factors.min() < 0.62 and 1.38 < factors.max() <= 1.4
    ramp = torch.arange(16.0).div(16).view(1, 1, 1, 4, 4).expand(1, 400, 1, 4, 4)
    cut = augment(crowd._replace(support_x=ramp), 0, Augmentation(crop=1)).support_x
    assert len({tuple(image.flatten().tolist()) for image in cut[0]}) == 9
    flipped = augment(crowd._replace(support_x=ramp), 0, Augmentation(flip=True)).support_x
    share = (flipped != ramp).flatten(2).any(2).float().mean()
    assert 0.4 < share < 0.6


@pytest.mark.parametrize(
    ("settings", "message"),
    [({"zoom": 1}, "zoom is unknown, known are shift"), ({"sets": "test"}, "choose one of both")],
)
def test_mistakes_are_named(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        EpisodeDataModule(augment=settings)


@pytest.mark.parametrize("stage", ["training", "validating", "testing"])
@pytest.mark.parametrize("at_test", [False, True])
def test_tests_are_spared_unless_asked(
    toy_data: EpisodeDataModule, stage: str, at_test: bool
) -> None:
    module = toy_data
    module.augment = Augmentation(flip=True, at_test=at_test)
    module.trainer = SimpleNamespace(  # type: ignore[assignment]
        **{name: name == stage for name in ("training", "validating", "testing")}
    )
    before = collate([module.dataset("val")[0]])
    after = module.on_after_batch_transfer(before, 0)
    assert torch.equal(before.query_x, after.query_x) == (stage != "training" and not at_test)
