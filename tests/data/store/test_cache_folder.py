"""Where stores are kept, and what is said where that is not possible."""

from __future__ import annotations

import os
import pwd
from pathlib import Path

import pytest

from metanas_pl.data import EpisodeDataModule
from metanas_pl.data.store.cache_folder import default_cache_dir, expanded, locked
from metanas_pl.errors import UserError


def test_the_cache_is_where_the_environment_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("METANAS_DATA", str(tmp_path))
    assert default_cache_dir() == tmp_path
    monkeypatch.setenv("METANAS_DATA", "~/data")
    assert default_cache_dir() == Path.home() / "data"
    monkeypatch.delenv("METANAS_DATA")
    assert default_cache_dir().name == "metanas_pl"


def test_without_home(monkeypatch: pytest.MonkeyPatch) -> None:
    """The account knows the home folder; without either, the message says what to set."""
    for name in ("METANAS_DATA", "HOME", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    assert default_cache_dir() == Path(pwd.getpwuid(os.getuid()).pw_dir, ".cache", "metanas_pl")

    def unknown(_: int) -> None:
        raise KeyError("uid not found")

    monkeypatch.setattr(pwd, "getpwuid", unknown)
    with pytest.raises(UserError, match="no home folder for stores: set METANAS_DATA"):
        default_cache_dir()
    monkeypatch.setenv("METANAS_DATA", "~/data")
    with pytest.raises(UserError, match="METANAS_DATA=~/data: there is no such home folder"):
        default_cache_dir()


def test_the_home_of_nobody() -> None:
    with pytest.raises(UserError, match="x=~no-such-user/data: there is no such home"):
        expanded("~no-such-user/data", "x")
    with pytest.raises(UserError, match=r"data\.root=~no-such-user: there is no such home"):
        EpisodeDataModule("folder", root="~no-such-user")


@pytest.mark.parametrize("place", ["file/cache/x", "/dev/null/cache/x", "/proc/cache/x"])
def test_a_folder_that_cannot_be_made(
    place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=r"nothing can be kept in .*cache \(.+\): set METANAS_DATA"):
        with locked(Path(place)):
            pass


def test_a_lock_is_given_back(tmp_path: Path) -> None:
    for _ in range(2):
        with locked(tmp_path / "new" / "x"):
            assert (tmp_path / "new" / ".x.lock").exists()
