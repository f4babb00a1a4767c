"""``prepare``: what metanas-train would build, once, whatever happens in between."""

from __future__ import annotations

import shutil
import signal
import time
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from metanas_pl.cli.app import to_config
from metanas_pl.cli.data.names import data_config, data_request
from metanas_pl.cli.factories import make_datamodule
from metanas_pl.data import datamodule
from metanas_pl.data.datasets import SOURCES, DataRequest, checked_options
from metanas_pl.data.store.cache import default_cache_dir, source_info, stores_in
from tests.cli.data.conftest import Command
from tests.data.datasets.test_datasets import write_images
from tests.runs import HANGS_S, compose, execute, make_images, start

PROGRAM = "data.main"
SLOW = "tests.cli.data.slow_source.prepare"


def test_a_folder_and_a_second_time(command: Command, cache: Path, tmp_path: Path) -> None:
    images = make_images(tmp_path / "images")
    answer = command("prepare", "folder", f"root={images}", "image_size=12")
    assert answer.code == 0 and "prepared in" in answer.out
    (cached,) = stores_in(cache)
    assert cached.store is not None
    for told in ("4/4/4 (train/val/test)", "72 of 12x12 colour", cached.store.checksum, cached.key):
        assert told in answer.out
    again = command("prepare", "folder", f"data.root={images}", "data.image_size=12")
    assert again.code == 0 and "is there already" in again.out
    assert len(stores_in(cache)) == 1


def test_options_of_images_are_taken_as_they_are_written(
    command: Command, cache: Path, tmp_path: Path
) -> None:
    for name in "abc":
        (tmp_path / "images" / name).mkdir(parents=True)
        picture = Image.new("RGBA", (8, 6), (200, 0, 0, 0))
        picture.save(tmp_path / "images" / name / "0.png")
    prepare = ("prepare", "folder", f"root={tmp_path / 'images'}", "image_size=8")
    for settings, pixel in ((), 255), (("options.background=black",), 0):
        assert command(*prepare, *settings).code == 0
        (new,) = (c for c in stores_in(cache) if c.store and c.store.images.max() == pixel)
        assert new.store is not None and (new.store.images == pixel).all()
    refused = command(*prepare, "data.options.background=black", "data.options.max_pixels=47")
    assert refused.code == 0, "the store is there, no image is read again"
    refused = command(*prepare[:3], "image_size=4", "data.options.max_pixels=47")
    assert refused.code == 2
    assert "0.png (it has 8 x 6 pixels, more than data.options.max_pixels=47)" in refused.err
    unknown = command(*prepare, "data.options.backgruond=black")
    assert unknown.code == 2
    assert "data.options.backgruond: there is no such key" in unknown.err
    assert "did you mean data.options.background?" in unknown.err


@pytest.mark.parametrize("name", ["glyphs", "omniglot", "folder"])
def test_it_asks_for_what_training_asks_for(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = [f"root={tmp_path}", "image_size=20"]
    config = compose([f"data={name}", "run_dir=.", *(f"data.{setting}" for setting in settings)])
    asked: list[tuple[str, DataRequest]] = []
    monkeypatch.setattr(datamodule, "prepare_source", lambda *pair: asked.append(pair))
    make_datamodule(to_config(config)).prepare_data()
    assert asked == [(name, data_request(data_config(name, settings)))]
    assert asked[0][1].cache_dir == default_cache_dir()


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["omniglt"], "there is no data set omniglt; did you mean omniglot? (allowed: "),
        (["omniglot", "rooot=x"], "no key rooot; did you mean root?"),
        (["omniglot", "/data"], "/data: expected KEY=VALUE, such as root=/data"),
        (["omniglot", "image_size=big"], "'big'"),
        (["omniglot", "channels=2"], "data.channels=2 makes no sense: must be 1 or 3"),
        (["omniglot", "root=/nowhere"], "/nowhere is neither"),
        (["folder"], "data.root=None must be an existing folder"),
        (["no.such.source"], "data.source='no.such.source' is unknown"),
    ],
)
def test_mistakes_end_in_one_line(words: list[str], told: str, command: Command) -> None:
    answer = command("prepare", *words)
    assert answer.code == 2 and answer.out == ""
    error = answer.err.splitlines()[-1]
    assert error.startswith("error: ") and told in error


def test_a_warning_is_one_line(cache: Path, tmp_path: Path) -> None:
    write_images(tmp_path / "few", ["images_background/a/1", "images_background/b/1"])
    for file in (tmp_path / "few").rglob("*.bmp"):
        file.unlink()
    done = execute(PROGRAM, ["prepare", "omniglot", f"root={tmp_path / 'few'}"], tmp_path)
    assert done.returncode == 0
    (warning,) = [row for row in done.stderr.splitlines() if "warn" in row.lower()]
    assert warning.startswith("warning: Omniglot in ") and "not the whole data set" in warning


def wait_for(file: Path, process: Any) -> None:
    while not file.exists():
        assert process.poll() is None, process.communicate()
        time.sleep(0.02)


def scratch(cache: Path) -> list[Path]:
    return list(cache.glob(".*.tmp"))


@pytest.mark.slow
def test_kill_and_run_again(cache: Path, tmp_path: Path) -> None:
    process = start(PROGRAM, ["prepare", SLOW, f"root={tmp_path}"], tmp_path)
    wait_for(tmp_path / "log", process)
    process.kill()
    process.communicate()
    assert len(scratch(cache)) == 1 and stores_in(cache) == []
    (tmp_path / "go").touch()
    done = execute(PROGRAM, ["prepare", SLOW, f"root={tmp_path}"], tmp_path)
    assert done.returncode == 0 and "prepared in" in done.stdout, done.stderr
    assert scratch(cache) == []
    (cached,) = stores_in(cache)
    assert cached.store is not None
    cached.store.verify()


@pytest.mark.slow
def test_ctrl_c_leaves_nothing(cache: Path, tmp_path: Path) -> None:
    process = start(PROGRAM, ["prepare", SLOW, f"root={tmp_path}"], tmp_path)
    wait_for(tmp_path / "log", process)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=HANGS_S)
    assert process.returncode == 130 and out == ""
    assert err.split("\n") == ["", "interrupted: no half-built store is left behind", ""]
    assert [path.name for path in cache.iterdir()] == [".slow.lock"]


@pytest.mark.slow
def test_two_at_a_time_build_once(cache: Path, tmp_path: Path) -> None:
    words = ["prepare", SLOW, f"root={tmp_path}"]
    processes = [start(PROGRAM, words, tmp_path) for _ in range(2)]
    wait_for(tmp_path / "log", processes[0])
    (tmp_path / "go").touch()
    answers = [process.communicate(timeout=HANGS_S) for process in processes]
    assert [process.returncode for process in processes] == [0, 0], answers
    assert (tmp_path / "log").read_text() == "half\n"
    assert all("6/5/5" in out for out, _ in answers)


def test_one_syntax_for_all_commands(command: Command, tmp_path: Path) -> None:
    """KEY=VALUE as of ``prepare``; what is not there yet is built."""
    for k in range(9):
        (tmp_path / f"own/c{k}").mkdir(parents=True)
        for i in range(3):
            Image.new("L", (8, 8), 20 * k + i).save(tmp_path / f"own/c{k}/{i}.png")
    place = f"root={tmp_path / 'own'}"
    shown = command(
        "show", "folder", place, "--ways", "3", "--queries", "1", "--output", f"{tmp_path}/e.png"
    )
    assert (shown.code, shown.err) == (0, "Reading images (once) …\n"), shown
    assert (tmp_path / "e.png").is_file()
    for name in ("stats", "verify", "prepare"):
        answer = command(name, "folder", place, "image_size=28")
        assert answer.code == 0 and "28x28" in answer.out, answer
    wrong = command("verify", "folder", f"rot={tmp_path}")
    assert wrong.code == 2 and "did you mean root?" in wrong.err


def test_a_cache_folder_that_cannot_be_made(
    command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("METANAS_DATA", "/dev/null/cache")
    answer = command("prepare", "glyphs", "image_size=8")
    assert answer.code == 2
    assert answer.err.startswith(
        "error: nothing can be kept in /dev/null/cache (Not a directory): set "
    )
    assert len(answer.err.splitlines()) == 1


def test_settings_stand_anywhere(command: Command, tmp_path: Path) -> None:
    images = make_images(tmp_path / "images")
    words = ["--ways", "3", f"root={images}", "--queries", "1", "image_size=12"]
    answer = command("show", "folder", *words, "--output", str(tmp_path / "a=b.png"))
    assert answer.code == 0 and (tmp_path / "a=b.png").is_file(), answer.err
    assert command("show", "folder", "--ways", "3", "again").code == 2
    assert command("stats", "folder", "--split=val").code == 2
    assert "unrecognized arguments: root=x" in command("remove", "folder", "root=x").err


@pytest.mark.parametrize("name", ["a=b, (c) #[d] 'e' ${f}", "\u0416 \u732b", "100%"])
def test_any_path_is_taken_as_it_is(name: str, command: Command, tmp_path: Path) -> None:
    images = make_images(tmp_path / name)
    for word in (f"root={images}", f"data.root='{images}'"):
        answer = command("stats", "folder", word, "image_size=12")
        assert answer.code == 0 and "12x12 colour" in answer.out, answer.err


@pytest.mark.parametrize("source", SOURCES)
def test_options_can_be_given_on_the_command_line(source: str) -> None:
    """The file of the data set must name them, or Hydra takes ``data.options.KEY`` for a mistake."""
    options = source_info(source).options
    chosen = [f"options.{name}={str(kind[-1])}" for name, kind in options.items()]
    config = data_config(source, ["root=x", *chosen])
    found = checked_options(source, source_info(source), config.options)
    assert found == {name: str(kind[-1]) for name, kind in options.items()}
    default = data_config(source, ["root=x"]).options
    assert default == {name: str(kind[0]) for name, kind in options.items()}


def test_the_layout_of_ordinary_classification(command: Command, tmp_path: Path) -> None:
    """The same classes in train and test: what the message offers can be typed as it stands."""
    images = make_images(tmp_path / "images")
    shutil.rmtree(images / "val")
    shutil.rmtree(images / "test")
    shutil.copytree(images / "train", images / "test")
    answer = command("prepare", "folder", f"root={images}", "image_size=12")
    assert answer.code == 2 and "data.options.pool=true" in answer.err
    pooled = command(
        "prepare", "folder", f"root={images}", "image_size=12", "data.options.pool=true"
    )
    assert pooled.code == 0 and "2/1/1 (train/val/test)" in pooled.out, pooled.err
