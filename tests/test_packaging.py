"""The wheel: complete, and working away from the checkout."""

from __future__ import annotations

import configparser
import os
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

import pytest

import metanas_pl

CHECKOUT = Path(metanas_pl.__file__).resolve().parent.parent


def test_every_package_is_listed() -> None:
    setup = configparser.ConfigParser()
    setup.read(CHECKOUT / "setup.cfg")
    listed = set(setup["options"]["packages"].split())
    found = {
        ".".join(path.parent.relative_to(CHECKOUT).parts)
        for path in (CHECKOUT / "metanas_pl").rglob("__init__.py")
    }
    assert listed == found | {"metanas_pl.configs"}


@pytest.mark.slow
def test_installed_wheel_works_from_another_folder(tmp_path: Path) -> None:
    options = ["--no-deps", "--no-build-isolation", "-q", "-w", str(tmp_path)]
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check"]
    subprocess.run([*pip, "wheel", str(CHECKOUT), *options], check=True)
    (wheel,) = tmp_path.glob("metanas_pl-*.whl")
    venv.create(tmp_path / "env", with_pip=False)
    python = tmp_path / "env" / "bin" / "python"
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    site = tmp_path / "env" / "lib" / version / "site-packages"
    target = ["--target", str(site), "--no-deps", "-q"]
    subprocess.run([*pip, "install", str(wheel), *target], check=True)
    # The dependencies come from the environment of the tests; its editable install does not.
    (site / "dependencies.pth").write_text(sysconfig.get_paths()["purelib"] + "\n")
    env = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    code = "import metanas_pl; print(metanas_pl.__file__)"
    place = subprocess.run(
        [python, "-c", code], cwd=tmp_path, env=env, capture_output=True, text=True, check=True
    )
    assert place.stdout.startswith(str(site))
    assert (site / "metanas_pl" / "configs" / "launch" / "slurm.sbatch").is_file()
    assert (site / "metanas_pl" / "py.typed").is_file()
    shown = subprocess.run(
        [python, "-m", "metanas_pl.cli.train", "--cfg", "job", "experiment=omniglot_20way_1shot"],
        cwd=tmp_path,
        env=env,
        capture_output=True,
        text=True,
    )
    assert shown.returncode == 0, shown.stderr
    assert "n_ways: 20" in shown.stdout
