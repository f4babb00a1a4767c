"""The cache folder: which folders in it are stores, whose they are, and how they go."""

from __future__ import annotations

from pathlib import Path

import pytest

from metanas_pl.data.datasets import SOURCES
from metanas_pl.data.store.cache import (
    CachedStore,
    remove_store,
    size_on_disk,
    source_info,
    stores_in,
)
from metanas_pl.data.store.class_store import build_store
from tests.data.conftest import META, toy_classes


@pytest.mark.parametrize("name", SOURCES)
def test_every_source_says_what_it_holds(name: str) -> None:
    info = source_info(name)
    assert info.summary and info.licence
    assert set(info.n_classes) in (set(), {"train", "val", "test"})


def test_only_stores_are_stores(tmp_path: Path) -> None:
    assert stores_in(tmp_path / "absent") == []
    for key in ("omniglot-b", "omniglot-a"):
        build_store(tmp_path / key, toy_classes(), META)
    (tmp_path / "downloads").mkdir()
    (tmp_path / "downloads" / "images.npy").touch()
    for name in (".omniglot-c.tmp", "notes"):  # a build in progress, a stranger
        (tmp_path / name).mkdir()
        (tmp_path / name / "store.json").write_text("{}")
    (tmp_path / ".omniglot-c.tmp" / "images.npy").touch()
    found = stores_in(tmp_path)
    assert [cached.key for cached in found] == ["omniglot-a", "omniglot-b"]
    assert all(cached.store and cached.problem == "" for cached in found)


@pytest.mark.parametrize("text", ["{}", "no JSON", '{"version": 1, "shape": [1, 1, 1, 1]}'])
def test_a_damaged_store_says_why(tmp_path: Path, text: str) -> None:
    store = build_store(tmp_path / "omniglot-a", toy_classes(), META)
    (store.path / "store.json").write_text(text)
    (cached,) = stores_in(tmp_path)
    assert cached.store is None and cached.problem


def test_the_longest_name_of_a_source_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(SOURCES, "omniglot-small", "")
    for key, source in {
        "omniglot-lake-0-28x28x1": "omniglot",
        "omniglot-small-28x28x1": "omniglot-small",
        "glyphs2-28x28x1": "glyphs2-28x28x1",
    }.items():
        assert CachedStore(Path("cache", key), None).source == source


def test_removing_frees_the_space_and_leaves_the_rest(tmp_path: Path) -> None:
    for key in ("toy", "toy-2"):
        build_store(tmp_path / key, toy_classes(), META)
    cached, other = stores_in(tmp_path)
    files = [path.stat().st_size for path in cached.path.iterdir()]
    assert cached.n_bytes == sum(files) > 0
    remove_store(cached)
    assert [c.key for c in stores_in(tmp_path)] == ["toy-2"]
    assert size_on_disk(tmp_path) == other.n_bytes


def test_a_cache_may_be_named_from_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    store = build_store("here/toy", toy_classes(), META)
    assert [cached.path for cached in stores_in(Path("here"))] == [store.path]
