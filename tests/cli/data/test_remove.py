"""``remove`` asks, says how much it frees, and touches nothing but stores."""

from __future__ import annotations

from pathlib import Path

import pytest

from metanas_pl.data.store.cache import stores_in
from metanas_pl.data.store.class_store import ClassStore, build_store
from tests.cli.data.conftest import Command
from tests.data.conftest import META, toy_classes


@pytest.mark.parametrize(("reply", "code", "left"), [("y", 0, 0), ("Yes ", 0, 0), ("", 1, 1)])
def test_the_question(
    reply: str,
    code: int,
    left: int,
    command: Command,
    cache: Path,
    omniglot_like: ClassStore,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked = []
    monkeypatch.setattr("builtins.input", lambda question: asked.append(question) or reply)
    answer = command("remove", "omniglot")
    assert answer.code == code and len(stores_in(cache)) == left
    assert (
        asked[0].startswith("Delete 1 and free 4.1 kB?") and str(omniglot_like.path) in answer.out
    )


def test_yes_removes_all_of_a_source_damaged_ones_too(
    command: Command, cache: Path, omniglot_like: ClassStore
) -> None:
    build_store(cache / "glyphs-a", toy_classes(), META)
    (omniglot_like.path / "store.json").write_text("{}")
    build_store(cache / "omniglot-b", toy_classes(), META)
    answer = command("remove", "omniglot", "--yes")
    assert answer.code == 0 and "freed" in answer.out
    assert [cached.key for cached in stores_in(cache)] == ["glyphs-a"]


def test_nobody_to_ask(
    command: Command,
    cache: Path,
    omniglot_like: ClassStore,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def end_of_input(question: str) -> str:
        raise EOFError

    monkeypatch.setattr("builtins.input", end_of_input)
    answer = command("remove", "omniglot")
    assert answer.code == 2 and "--yes" in answer.err
    assert len(stores_in(cache)) == 1


@pytest.mark.parametrize("name", ["downloads", "..", "", ".", "notes"])
def test_other_folders_are_refused(name: str, command: Command, cache: Path) -> None:
    for folder in ("downloads", "notes"):
        (cache / folder).mkdir()
    (cache / "notes" / "store.json").write_text("{}")
    answer = command("remove", name, "--yes")
    assert answer.code == 2 and "is no store in" in answer.err
    assert sorted(path.name for path in cache.iterdir()) == ["downloads", "notes"]
