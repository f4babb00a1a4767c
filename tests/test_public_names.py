"""The public names: all load, and the notebooks use no others."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

import metanas_pl

CHECKOUT = Path(__file__).resolve().parent.parent
NOTEBOOKS = sorted((CHECKOUT / "notebooks").glob("*.ipynb"))


@pytest.mark.parametrize("name", metanas_pl.__all__)
def test_each_loads_and_is_documented(name: str) -> None:
    assert getattr(metanas_pl, name).__doc__


def test_homes_and_names_agree() -> None:
    assert sorted(metanas_pl._HOMES) == sorted(metanas_pl.__all__)


def test_another_name_is_refused() -> None:
    with pytest.raises(AttributeError, match="no attribute 'MetaNasModule'"):
        _ = metanas_pl.MetaNasModule


@pytest.mark.slow
def test_a_star_import_gives_all_of_them() -> None:
    code = "from metanas_pl import *; print(MetaNASModule.__name__, Genotype.__name__)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["MetaNASModule", "Genotype"]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebooks_take_public_names_only(path: Path) -> None:
    cells = [
        cell.source for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "code"
    ]
    code = "\n".join(line for line in "\n".join(cells).splitlines() if not line.startswith("%"))
    found = [node for node in ast.walk(ast.parse(code)) if isinstance(node, ast.ImportFrom)]
    ours = {n.module: {a.name for a in n.names} for n in found if "metanas_pl" in str(n.module)}
    assert list(ours) == ["metanas_pl"] and ours["metanas_pl"] <= set(metanas_pl.__all__)
