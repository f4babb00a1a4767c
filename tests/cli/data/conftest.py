"""The command, run in this process on a cache of its own."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

from metanas_pl.cli.data.main import main
from metanas_pl.data.store.class_store import ClassStore, build_store
from tests.data.conftest import META, toy_classes


class Answer(NamedTuple):
    """Exit code and what was printed."""

    code: int
    out: str
    err: str


Command = Callable[..., Answer]


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache folder, named by the environment."""
    monkeypatch.setenv("METANAS_DATA", str(tmp_path / "cache"))
    monkeypatch.setenv("COLUMNS", "120")
    (tmp_path / "cache").mkdir()
    return tmp_path / "cache"


@pytest.fixture
def command(cache: Path, capsys: pytest.CaptureFixture[str]) -> Command:
    """``metanas-data`` with these words."""

    def run(*words: str) -> Answer:
        with pytest.raises(SystemExit) as stopped:
            main(words)
        printed = capsys.readouterr()
        assert isinstance(stopped.value.code, int)
        return Answer(stopped.value.code, printed.out, printed.err)

    return run


@pytest.fixture
def omniglot_like(cache: Path) -> ClassStore:
    """The toy store under a key of Omniglot."""
    return build_store(cache / "omniglot-lake-0-4x4x1", toy_classes(), META)
