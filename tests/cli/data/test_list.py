"""``list`` tells what exists and what is there."""

from __future__ import annotations

from pathlib import Path

from metanas_pl.data.datasets import SOURCES
from metanas_pl.data.store.class_store import ClassStore, build_store
from tests.cli.data.conftest import Command
from tests.data.conftest import META, toy_classes


def line(text: str, start: str) -> str:
    (found,) = [row for row in text.splitlines() if row.strip().startswith(start)]
    return " ".join(found.split())


def test_an_empty_cache(command: Command, cache: Path) -> None:
    answer = command("list")
    assert answer.code == 0
    for name in SOURCES:
        assert "not yet" in line(answer.out, f"{name} ")
    omniglot = line(answer.out, "omniglot ")
    assert "1,623 handwritten" in omniglot and " MIT " in omniglot and " 15.9 MB " in omniglot
    assert line(answer.out, "cache:") == f"cache: {cache}"


def test_several_stores_of_one_source(
    command: Command, cache: Path, omniglot_like: ClassStore
) -> None:
    build_store(cache / "omniglot-vinyals-0-4x4x1", toy_classes(), META)
    damaged = build_store(cache / "folder-pets-0-4x4x1", toy_classes(), META)
    (damaged.path / "images.npy").write_bytes(b"short")
    (cache / "downloads").mkdir()
    (cache / "downloads" / "a.zip").write_bytes(bytes(2500))
    assert command("verify", "omniglot-lake-0-4x4x1").code == 1  # 6/5/5 is not 825/139/659
    out = command("list").out
    assert line(out, "omniglot ").endswith(" 2")
    assert line(out, "omniglot-lake-0-4x4x1").startswith("omniglot-lake-0-4x4x1 6/5/5 128 4.1 kB")
    assert line(out, "omniglot-lake-0-4x4x1").endswith(" not yet")
    assert line(out, "folder-pets-0-4x4x1").endswith(" damaged")
    assert "(downloads: 2.5 kB, of no use once prepared)" in line(out, "cache:")


def test_a_verified_store(command: Command, cache: Path) -> None:
    build_store(cache / "glyphs-v1", toy_classes(), META)
    assert command("verify", "glyphs").code == 0
    assert line(command("list").out, "glyphs-v1").endswith(" yes")
