"""``show``: a picture of the episode that was asked for."""

from __future__ import annotations

from pathlib import Path

import pytest
from matplotlib.figure import Figure
from PIL import Image

from metanas_pl.cli.data import show
from metanas_pl.cli.data.show import draw_episode
from metanas_pl.data.episodes.dataset import EpisodeDataset
from metanas_pl.data.store.class_store import ClassStore, build_store
from tests.cli.data.conftest import Command
from tests.data.conftest import META, toy_classes


def size(picture: Path) -> tuple[int, int]:
    with Image.open(picture) as image:
        return image.size


def test_the_picture_and_its_place(
    command: Command, omniglot_like: ClassStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    answer = command("show", "omniglot", "--ways", "4", "--shots", "2")
    assert answer.code == 0
    picture = tmp_path / "omniglot-lake-0-4x4x1-train-0.png"
    assert answer.out == f"written to {picture.name}\n"
    narrow, height = size(picture)
    output = tmp_path / "new" / "mine.png"
    words = ("--ways", "4", "--shots", "2", "--queries", "6", "--output", str(output))
    assert command("show", "omniglot", *words).code == 0
    assert size(output) == (narrow + 96 + 8, height)  # a query more


def test_the_title_and_the_names_tell_the_episode(omniglot_like: ClassStore) -> None:
    dataset = EpisodeDataset(omniglot_like, "val", 3, 1, 1, n_episodes=8, seed=0)
    texts = [text.get_text() for text in draw_episode(dataset, 7).axes[0].texts]
    assert texts[0] == "toy, val split, episode 7: 3-way 1-shot, queries per class: 1"
    names = [info.name for info in dataset.episode_classes(7)]
    assert texts[3:] == [text for name in names for text in (name, "toy")]


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--ways", "7"], "data.n_ways=7, but the train split of toy has 6 classes"),
        (["--queries", "8"], "the smallest class of the train split of toy has 8"),
        (["--shots", "0"], "must be at least 1"),
        (["--index", "-1"], "--index at least 0"),
        (["--output", "a.bmp"], "the suffix must be .svg or .png"),
    ],
)
def test_mistakes(words: list[str], told: str, command: Command, omniglot_like: ClassStore) -> None:
    answer = command("show", "omniglot", *words)
    assert answer.code == 2 and told in answer.err and answer.err.count("\n") == 1


def test_one_of_several_stores_must_be_named(
    command: Command, cache: Path, omniglot_like: ClassStore
) -> None:
    build_store(cache / "omniglot-b", toy_classes(), META)
    answer = command("show", "omniglot")
    assert answer.code == 2
    assert "2 times, name one: omniglot-b, omniglot-lake-0-4x4x1" in answer.err


def test_classes_are_drawn_as_in_training(
    command: Command, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The file of a data set may say ``sampling: group``; the command line may say otherwise."""
    store = build_store(cache / "attributes-toy", toy_classes(), META)
    asked: list[str] = []
    draw = show.draw_episode

    def spied(dataset: EpisodeDataset, index: int) -> Figure:
        asked.append(dataset.composition.sampling)
        return draw(dataset, index)

    monkeypatch.setattr(show, "draw_episode", spied)
    words = ("show", store.path.name, "--ways", "2", "--output", str(tmp_path / "a.png"))
    assert command(*words).code == 0
    assert command(*words, "--sampling", "uniform").code == 0
    assert asked == ["group", "uniform"]
