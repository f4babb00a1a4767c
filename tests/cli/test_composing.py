"""What a shell hands over is understood, or answered with the words to write instead."""

from __future__ import annotations

import re
import shlex

import pytest

from metanas_pl.cli.composing import compose_checked, register_schemas, understood
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
