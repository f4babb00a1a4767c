"""A separate package brings a space, a NAS method and a meta-learner; nothing here is edited for it."""

from __future__ import annotations

import json
import os
import pstats
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.runs import environment, execute, make_images, tiny

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


def with_package(installed: Path) -> dict[str, str]:
    return {"PYTHONPATH": os.pathsep.join([environment()["PYTHONPATH"], str(installed)])}


def calls(profile: Path, installed: Path) -> dict[str, tuple[str, int]]:
    """Functions of the package that ran: by file their names and how often."""
    stats: Any = pstats.Stats(str(profile))
    found: dict[tuple[str, str], int] = {
        (Path(file).name, name): numbers[1]
        for (file, _, name), numbers in stats.stats.items()
        if Path(file).parent == installed / "kernel_search"
    }
    return {file: (name, found.get((file, name), 0)) for file, name in USED.items()}


@pytest.mark.slow
def test_a_run_uses_all_three(installed: Path, tmp_path: Path) -> None:
    options = [o for o in tiny(make_images(tmp_path / "images")) if o != "space.n_nodes=1"]
    options += [SEARCH_PATH, *CHOICES, f"hydra.run.dir={tmp_path / 'run'}"]
    profiler = ["-m", "cProfile", "-o", str(tmp_path / "profile")]
    done = subprocess.run(
        [sys.executable, *profiler, "-m", "metanas_pl.cli.train", *options],
        cwd=tmp_path,
        env=environment(**with_package(installed)),
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    results = json.loads((tmp_path / "run" / "results.json").read_text())
    assert results["test/n_episodes"] == 5 and results["train/outer_steps"] == 2
    fixed = 3 * 4 + 3  # four channels: the head, and below the smallest and largest kernels
    assert fixed + 4 * 1 + 4 * 4 < results["test/parameters_min"]
    assert results["test/parameters_max"] < fixed + 4 * 25 + 4 * 4 * 25 + 17
    for file, (name, times) in calls(tmp_path / "profile", installed).items():
        assert times > 0, f"{file}: {name} never ran"
    told = "space     kernels", "nas       both_batches", "meta      equal_tasks"
    assert all(line in done.stdout for line in told)


def test_a_mistake_in_its_files_gets_the_short_message(installed: Path, tmp_path: Path) -> None:
    site = shutil.copytree(installed, tmp_path / "site")
    with (site / "kernel_search" / "configs" / "nas" / "both_batches.yaml").open("a") as file:
        file.write("tresholt: 0.1\n")
    done = execute("train", [SEARCH_PATH, *CHOICES], tmp_path, **with_package(site))
    assert done.returncode == 2
    assert done.stderr.startswith("error: In 'nas/both_batches': nas.tresholt: there is no such")
    assert "did you mean nas.threshold?" in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_its_keys_and_choices_are_named(installed: Path, tmp_path: Path) -> None:
    """By a message about a misspelt key, and by ``--help``."""
    env = with_package(installed)
    done = execute("train", [SEARCH_PATH, *CHOICES, "space.kernel=[3]"], tmp_path, **env)
    assert done.returncode == 2 and "did you mean space.kernels?" in done.stderr
    assert "allowed: name, builder, channels, n_blocks, kernels)" in done.stderr
    shown = execute("train", ["--help", SEARCH_PATH, *CHOICES], tmp_path, **env)
    assert shown.returncode == 0, shown.stderr
    lines = shown.stdout.splitlines()
    for group, name in (choice.split("=") for choice in CHOICES):
        (options,) = [line for line in lines if line.startswith(f"{group}: ")]
        assert name in options.partition(": ")[2].split(", ")
    assert "  builder: kernel_search.space.build" in lines
