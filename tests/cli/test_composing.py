"""What a shell hands over is understood, or answered with the words to write instead."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
from hydra._internal.config_search_path_impl import ConfigSearchPathImpl

from metanas_pl.cli.composing import (
    OutsideConfigs,
    compose_checked,
    register_schemas,
    understood,
)
from metanas_pl.errors import UserError

AWKWARD = [
    "/images/a=b",
    "/images/a(1)",
    "/images/a,b",
    "/images/a#b",
    "/images/it's",
    '/images/"quoted"',
    "/images/größe",
    "/images/画像",
    "/images/a;b&c",
    "/images/a b=c",
    "/images/{a",
    "C:\\images\\new",
    "/images/a\\",
    "/images/[1]",
]


@pytest.mark.parametrize(
    ("key", "path"),
    [
        *(("data.root", path) for path in AWKWARD),
        *((key, path) for key in ("ckpt_path", "hydra.run.dir") for path in AWKWARD[:2]),
    ],
)
def test_a_path_that_must_be_quoted(key: str, path: str) -> None:
    """The advice, pasted into a shell, gives the user's own path."""
    try:
        words = understood([f"{key}={path}"])
    except UserError as error:
        assert str(error).startswith(f"{key}={path} cannot be read")
        words = shlex.split(re.split("for the shell: ", str(error))[1])
    (word,) = words
    register_schemas()
    cfg = compose_checked([word.replace(key, "data.root")])
    assert cfg.data.root == path


@pytest.mark.parametrize("path", ["/images/a.b-c_d", "/images/a b", "/images/a:b@c%d"])
def test_ordinary_paths_need_no_quotes(path: str) -> None:
    assert understood([f"data.root={path}"]) == [f"data.root={path}"]


def test_the_home_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/jo")
    assert understood(["data.root=~/images"]) == ["data.root=/home/jo/images"]
    monkeypatch.setenv("HOME", "/home/josé")
    with pytest.raises(UserError, match="'data.root=\"/home/josé/images\"'"):
        understood(["data.root=~/images"])


@pytest.mark.parametrize(
    "word",
    ["data.n_ways=[5,20]", "data.options={split: lake}", "~logger", "+trainer.x=1", "job", "seed="],
)
def test_what_is_no_path_is_left_to_hydra(word: str) -> None:
    assert understood([word]) == [word]


def test_commas_are_for_sweeps() -> None:
    assert understood(["seed=1,2"], sweeps=True) == ["seed=1,2"]
    with pytest.raises(UserError, match="seed=1,2 cannot be read"):
        understood(["seed=1,2"])


@pytest.mark.parametrize("group", ["data", "space", "nas", "meta", "trainer"])
def test_a_group_that_a_run_needs(group: str) -> None:
    with pytest.raises(UserError, match=rf"^{group}=null: .*choose one of \w+"):
        compose_checked([f"{group}=null"])


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["data.n_wayz=5"], "data.n_wayz: .*did you mean data.n_ways"),
        (["seed"], "seed cannot be read: write KEY=VALUE"),
        (["data=cifar1000"], "data/cifar1000.* Available: .*omniglot"),
        (["seed=ten"], "ten.*Integer"),
        (["hydra/sweeper=nothing"], r"hydra/sweeper/nothing.*metanas_pl\[sweep\]"),
        (["hydra.searchpath=[pkg://nowhere.configs]"], "there is no nowhere.configs"),
        (["data.root=/a,b"], "cannot be read: quote its value twice"),
    ],
)
def test_what_cannot_be_composed_is_answered(words: list[str], told: str) -> None:
    register_schemas()
    with pytest.raises(UserError, match=told):
        compose_checked(words)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("# @package _global_\ndata: {n_wayz: 3}\n", "mine.yaml.*did you mean n_ways|n_wayz"),
        ("data: [", "a file of the configuration cannot be read: while parsing"),
    ],
)
def test_a_file_of_the_user(text: str, told: str, tmp_path: Path) -> None:
    (tmp_path / "experiment").mkdir()
    (tmp_path / "experiment" / "mine.yaml").write_text(text)
    register_schemas()
    with pytest.raises(UserError, match=told):
        compose_checked([f"hydra.searchpath=[file://{tmp_path}]", "experiment=mine"])


def test_folders_of_the_command_line_are_listed_in_the_help(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    words = ["--help", "hydra.searchpath=[file:///a,pkg://b]", "seed=1"]
    monkeypatch.setattr("sys.argv", ["metanas-train", *words])
    search_path = ConfigSearchPathImpl()
    OutsideConfigs().manipulate_search_path(search_path)
    assert [found.path for found in search_path.get_path()] == ["file:///a", "pkg://b"]
