"""``verify``: exit code 0 for a good store, 1 for a bad one, and every fault named."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from metanas_pl.data.store import verification
from metanas_pl.data.store.class_store import ClassStore, build_store
from metanas_pl.data.store.verification import is_verified
from tests.cli.data.conftest import Command
from tests.data.conftest import META, toy_classes


def test_a_good_store_is_recorded(command: Command, cache: Path) -> None:
    store = build_store(cache / "own", toy_classes(), META)
    answer = command("verify", "own")
    assert answer.code == 0 and answer.out.count("✓") == 7
    assert is_verified(store)


def test_all_stores_of_a_source_and_their_faults(command: Command, cache: Path) -> None:
    build_store(cache / "glyphs-a", toy_classes(), META)
    leaky = [item._replace(images=np.ones((8, 1, 4, 4), np.uint8)) for item in toy_classes()]
    build_store(cache / "glyphs-b", leaky, META)
    cut = build_store(cache / "glyphs-c", toy_classes(), META)
    (cut.path / "images.npy").write_bytes(b"short")
    answer = command("verify", "glyphs")
    assert answer.code == 1
    good, bad = answer.out.split("glyphs-b\n")
    assert "✗" not in good
    assert "✗ images in two splits: 1\n      train toy/class0[0] = train toy/class0[1]" in bad
    assert "! blank images: 128" in bad
    assert "glyphs-c\n  ✗" in bad and "cut short" in bad


def test_a_store_that_gets_damaged_is_verified_no_more(command: Command, cache: Path) -> None:
    store = build_store(cache / "own", toy_classes(), META)
    command("verify", "own")
    table = store.path / "store.json"
    table.write_text(table.read_text().replace(store.checksum, "0" * 64))
    assert command("verify", "own").code == 1
    assert not is_verified(store)


def test_a_folder_that_cannot_be_written_is_no_fault(
    command: Command, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    build_store(cache / "own", toy_classes(), META)
    monkeypatch.setattr(verification, "RECORD", "no/such/folder.json")
    answer = command("verify", "own")
    assert answer.code == 0 and "not recorded" in answer.out


@pytest.mark.parametrize("name", ["verify", "stats", "show", "remove"])
def test_unknown_names(name: str, command: Command, omniglot_like: ClassStore) -> None:
    answer = command(name, "omniglot-lake-0-4x4")
    assert answer.code == 2 and "did you mean omniglot-lake-0-4x4x1?" in answer.err
    answer = command(name, "glyphs")
    assert answer.code == 2
    assert answer.err == "error: glyphs is not there yet: metanas-data prepare glyphs\n"
