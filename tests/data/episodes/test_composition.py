"""What episodes are made of: ranges, groups, imbalance, small classes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from metanas_pl.data.episodes.composition import Composition, draw_counts
from metanas_pl.data.episodes.dataset import IGNORED, Episode, EpisodeDataset, collate
from metanas_pl.data.episodes.loader import EpisodeLoader
from metanas_pl.data.store.class_store import (
    SPLITS,
    ClassImages,
    ClassStore,
    StoreMeta,
    build_store,
)

COUNTS = (8, 3, 2, 6, 8, 5, 4, 8, 7)
GROUPS = ("A", "A", "A", "B", "B", "B", "B", "C", "C")


def classes() -> Iterator[ClassImages]:
    """In every split nine classes of three groups; image j of class k is filled with ``10 * k + j``."""
    for split in SPLITS:
        for k, (n, group) in enumerate(zip(COUNTS, GROUPS, strict=True)):
            images = (10 * k + np.arange(n, dtype=np.uint8))[:, None, None, None]
            yield ClassImages(f"{split}{k}", group, split, images.repeat(4, 2).repeat(4, 3))


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> ClassStore:
    meta = StoreMeta("uneven", "made up", "none", ink_is_one=True)
    return build_store(tmp_path_factory.mktemp("uneven") / "store", classes(), meta)


def make(store: ClassStore, split: str = "train", **changes: Any) -> EpisodeDataset:
    sizes: dict[str, Any] = {"n_ways": [2, 5], "n_shots": [1, 3], "n_queries": 2}
    more = {"n_episodes": 40, "seed": 0, "small_classes": "shrink"}
    return EpisodeDataset(store, split, **sizes | more | changes)


def origins(images: torch.Tensor) -> list[tuple[int, int]]:
    """(class, image) of each image."""
    pixels = (images[:, 0, 0, 0] * 255).round().long().tolist()
    return [divmod(pixel, 10) for pixel in pixels]


@given(
    split=st.sampled_from(SPLITS),
    ways=st.tuples(st.integers(2, 4), st.integers(0, 5)),
    shots=st.tuples(st.integers(1, 4), st.integers(0, 4)),
    queries=st.integers(1, 6),
    per=st.sampled_from(["episode", "class"]),
    sampling=st.sampled_from(["uniform", "group"]),
    seed=st.integers(0, 2**40),
    i=st.integers(0, 39),
)
def test_an_episode_of_any_composition_is_a_few_shot_task(
    store: ClassStore,
    split: str,
    ways: tuple[int, int],
    shots: tuple[int, int],
    queries: int,
    per: str,
    sampling: str,
    seed: int,
    i: int,
) -> None:
    n_ways, n_shots = ([a, a + b] for a, b in (ways, shots))
    dataset = make(
        store,
        split,
        n_ways=[n_ways[0], min(n_ways[1], 9)],
        n_shots=n_shots,
        n_queries=queries,
        shots_per=per,
        sampling=sampling,
        seed=seed,
    )
    episode = dataset[3, i]
    support, query = origins(episode.support_x), origins(episode.query_x)
    assert len(set(support + query)) == len(support + query)  # no image twice
    labels = episode.support_y.tolist() + episode.query_y.tolist()
    class_of = {label: k for (k, _), label in zip(support + query, labels, strict=True)}
    pairs = set(zip(labels, (k for k, _ in support + query), strict=True))
    assert pairs == set(class_of.items())  # a label is one class …
    assert len(set(class_of.values())) == len(class_of)  # … and a class one label
    assert sorted(class_of) == list(range(len(class_of)))
    assert n_ways[0] <= len(class_of) <= n_ways[1]
    if sampling == "group":
        assert len({GROUPS[k] for k in class_of.values()}) == 1
    n_support, n_query = Counter(episode.support_y.tolist()), Counter(episode.query_y.tolist())
    wanted = set()
    for label, k in class_of.items():
        s, q, available = n_support[label], n_query[label], COUNTS[k]
        assert 1 <= s <= min(n_shots[1], available - 1)
        assert s >= min(n_shots[0], available - 1)
        assert q == min(queries, available - s)
        wanted |= {s} if s < available - 1 else set()
    assert len(wanted) < 2 or per == "class"
    again = dataset[3, i]
    assert all(torch.equal(x, y) for x, y in zip(episode, again, strict=True))


def test_ranges_hit_all_values_about_equally(store: ClassStore) -> None:
    dataset = make(store, n_episodes=1000, n_shots=[1, 4], small_classes="shrink")
    episodes = [dataset[i] for i in range(1000)]
    ways = Counter(int(e.support_y.max()) + 1 for e in episodes)
    assert sorted(ways) == [2, 3, 4, 5] and min(ways.values()) > 200
    shots = Counter(int(e.support_y.bincount().max()) for e in episodes)
    assert sorted(shots) == [1, 2, 3, 4]


def test_shots_of_classes_differ_when_asked(store: ClassStore) -> None:
    rng, eight = np.random.default_rng(0), np.full(500, 8)
    apart, _ = draw_counts(rng, eight, Composition(2, [1, 5], 3, shots_per="class"))
    assert sorted(set(apart.tolist())) == [1, 2, 3, 4, 5] and np.bincount(apart)[1:].min() > 70
    alike, _ = draw_counts(rng, eight, Composition(2, [1, 5], 3))
    assert len(set(alike.tolist())) == 1


def test_every_group_is_as_likely_and_so_is_every_class_of_it(store: ClassStore) -> None:
    dataset = make(store, n_ways=2, sampling="group", n_episodes=900)
    seen = Counter(tuple(sorted({k for k, _ in origins(dataset[i].support_x)})) for i in range(900))
    by_group = Counter(GROUPS[pair[0]] for pair in seen.elements())
    assert all(240 < n < 360 for n in by_group.values())
    assert len(seen) == 3 + 6 + 1  # every pair of every group


def test_groups_that_are_too_small_give_no_episodes(store: ClassStore) -> None:
    dataset = make(store, n_ways=[3, 4], sampling="group", n_episodes=200)
    ways = {"A": set[int](), "B": set[int]()}
    for i in range(200):
        found = {k for k, _ in origins(dataset[i].support_x)}
        ways[GROUPS[min(found)]].add(len(found))
    assert ways == {"A": {3}, "B": {3, 4}}


def test_a_batch_is_filled_up_at_the_end(store: ClassStore) -> None:
    episodes = [make(store)[i] for i in range(6)]
    batch = collate(episodes)
    for t, episode in enumerate(episodes):
        for name in ("support", "query"):
            x, y = getattr(batch, f"{name}_x")[t], getattr(batch, f"{name}_y")[t]
            n = len(getattr(episode, f"{name}_y"))
            assert torch.equal(x[:n], getattr(episode, f"{name}_x")) and (x[n:] == 0).all()
            assert torch.equal(y[:n], getattr(episode, f"{name}_y")) and (y[n:] == IGNORED).all()
    assert len({len(e.support_y) for e in episodes}) > 1


def test_ranks_and_workers_do_not_change_an_episode(store: ClassStore) -> None:
    dataset = make(store, n_episodes=8)

    def real(batch: Episode) -> dict[int, list[int]]:
        rows = zip(batch.index.tolist(), batch.query_x, batch.query_y, strict=True)
        return {i: (255 * x[y >= 0, 0, 0, 0]).round().int().tolist() for i, x, y in rows}

    alone = {k: v for batch in EpisodeLoader(dataset, 4) for k, v in real(batch).items()}
    for workers in (0, 1):
        halves = [EpisodeLoader(dataset, 3, r, 2, workers) for r in (0, 1)]
        shared = {k: v for half in halves for batch in half for k, v in real(batch).items()}
        assert shared == alone


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"small_classes": "refuse"}, r"smallest class of .* has 2.*data\.small_classes=shrink"),
        ({"n_ways": [2, 10]}, r"data\.n_ways=\[2, 10\], but the train split of uneven has 9"),
        ({"n_ways": [5, 6], "sampling": "group"}, r"largest group of the train split .* has 4"),
        ({"sampling": "groups"}, r"data\.sampling='groups' is unknown: choose one of uniform"),
        ({"n_ways": [5, 2]}, r"\[5, 2\] is neither a whole number nor a range"),
    ],
)
def test_mistakes_are_named(store: ClassStore, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make(store, **changes)


def test_classes_without_groups_or_with_one_image_are_named(tmp_path: Path) -> None:
    image = np.zeros((1, 1, 4, 4), dtype=np.uint8)
    meta = StoreMeta("small", "made up", "none")
    rows = [ClassImages(name, "", "train", image) for name in "ab"]
    store = build_store(tmp_path / "s", rows, meta)
    with pytest.raises(ValueError, match="train split of small have no groups"):
        make(store, n_ways=2, sampling="group")
    with pytest.raises(ValueError, match="class .* has one image"):
        make(store, n_ways=2)
