"""A separate package brings a space, a NAS method and a meta-learner; nothing here is edited for it."""

from __future__ import annotations

import cProfile
import json
import pstats
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from metanas_pl.cli import train
from tests.runs import SMALL_CELLS, tiny

PACKAGE = Path(__file__).parent / "outside_package"
SEARCH_PATH = "hydra.searchpath=[pkg://kernel_search.configs]"
CHOICES = ["space=kernels", "nas=both_batches", "meta=equal_tasks"]
USED = {"space.py": "build", "nas.py": "both_batches", "meta.py": "equal_tasks"}


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder into which pip installed the package, offline; building leaves the checkout alone."""
    place = tmp_path_factory.mktemp("outside")
    source = shutil.copytree(
        PACKAGE, place / "source", ignore=shutil.ignore_patterns("__pycache__")
    )
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "install", "-q"]
    offline = ["--no-deps", "--no-build-isolation", "--no-index"]
    target = place / "site"
    subprocess.run([*pip, *offline, "--target", str(target), str(source)], check=True)
    return target


Command = Callable[..., int]


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Command:
    """``metanas-train`` in this process, with a package folder on the path; returns the exit code."""

    def run(site: Path, *words: str) -> int:
        for name in [name for name in sys.modules if name.partition(".")[0] == "kernel_search"]:
            monkeypatch.delitem(sys.modules, name)
        monkeypatch.syspath_prepend(site)
        monkeypatch.chdir(tmp_path)
        monkeypatch.setenv("HYDRA_FULL_ERROR", "0")
        monkeypatch.setattr(sys, "argv", ["metanas-train", SEARCH_PATH, *CHOICES, *words])
        try:
            train.main()
        except SystemExit as stopped:
            assert isinstance(stopped.code, int)
            return stopped.code
        return 0

    return run


def calls(profile: cProfile.Profile, installed: Path) -> dict[str, tuple[str, int]]:
    """Functions of the package that ran: by file their names and how often."""
    stats: Any = pstats.Stats(profile)
    found: dict[tuple[str, str], int] = {
        (Path(file).name, name): numbers[1]
        for (file, _, name), numbers in stats.stats.items()
        if Path(file).parent == installed / "kernel_search"
    }
    return {file: (name, found.get((file, name), 0)) for file, name in USED.items()}


@pytest.mark.slow
def test_a_run_uses_all_three(
    command: Command,
    images: Path,
    installed: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    options = [o for o in tiny(images) if o not in SMALL_CELLS]
    profile = cProfile.Profile()
    place = f"hydra.run.dir={tmp_path / 'run'}"
    assert profile.runcall(command, installed, *options, place) == 0
    results = json.loads((tmp_path / "run" / "results.json").read_text())
    assert results["test/n_episodes"] == 5 and results["train/outer_steps"] == 2
    fixed = 3 * 4 + 3  # four channels: the head, and below the smallest and largest kernels
    assert fixed + 4 * 1 + 4 * 4 < results["test/parameters_min"]
    assert results["test/parameters_max"] < fixed + 4 * 25 + 4 * 4 * 25 + 17
    for file, (name, times) in calls(profile, installed).items():
        assert times > 0, f"{file}: {name} never ran"
    printed = capsys.readouterr().out
    told = "space     kernels", "nas       both_batches", "meta      equal_tasks"
    assert all(line in printed for line in told)


def test_a_mistake_in_its_files_gets_the_short_message(
    command: Command, installed: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    site = shutil.copytree(installed, tmp_path / "site")
    with (site / "kernel_search" / "configs" / "nas" / "both_batches.yaml").open("a") as file:
        file.write("tresholt: 0.1\n")
    assert command(site) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: In 'nas/both_batches': nas.tresholt: there is no such")
    assert "did you mean nas.threshold?" in error
    assert len(error.splitlines()) == 1


@pytest.mark.slow
def test_its_keys_and_choices_are_named(
    command: Command, installed: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """By a message about a misspelt key, and by ``--help``."""
    assert command(installed, "space.kernel=[3]") == 2
    error = capsys.readouterr().err
    assert "did you mean space.kernels?" in error
    assert "allowed: name, builder, channels, n_blocks, kernels)" in error
    assert command(installed, "--help") == 0
    lines = capsys.readouterr().out.splitlines()
    for group, name in (choice.split("=") for choice in CHOICES):
        (options,) = [line for line in lines if line.startswith(f"{group}: ")]
        assert name in options.partition(": ")[2].split(", ")
    assert "  builder: kernel_search.space.build" in lines
