"""Who may import whom, and how little ``import metanas_pl`` loads."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import metanas_pl

ROOT = Path(metanas_pl.__file__).parent
# room -> parts of metanas_pl that it may import beside itself
ALLOWED = {
    "utils": (),
    "algorithms": ("metanas_pl.types",),
    "search_spaces": (
        "metanas_pl.types",
        "metanas_pl.algorithms.nas.relaxations",
        "metanas_pl.utils",
    ),
    "data": ("metanas_pl.utils",),
    "config": ("metanas_pl.utils",),
    "engine": (
        "metanas_pl.types",
        "metanas_pl.algorithms",
        "metanas_pl.search_spaces",
        "metanas_pl.config",
        "metanas_pl.utils",
    ),
    "plotting": ("metanas_pl.search_spaces.genotypes.genotype",),
    "training": (
        "metanas_pl.types",
        "metanas_pl.algorithms",
        "metanas_pl.search_spaces",
        "metanas_pl.config",
        "metanas_pl.engine",
        "metanas_pl.plotting",
        "metanas_pl.utils",
    ),
}


def imports(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            found.add(node.module or "")
    return found


@pytest.mark.parametrize("room", ALLOWED)
def test_no_import_points_upward(room: str) -> None:
    allowed = (f"metanas_pl.{room}", "metanas_pl.errors", *ALLOWED[room])
    for path in (ROOT / room).rglob("*.py"):
        ours = {name for name in imports(path) if name.startswith("metanas_pl")}
        assert not {name for name in ours if not name.startswith(allowed)}, path


def test_the_algorithms_need_torch_only() -> None:
    for path in (ROOT / "algorithms").rglob("*.py"):
        foreign = {n.split(".")[0] for n in imports(path)} - {"metanas_pl", "torch"}
        assert foreign <= set(sys.stdlib_module_names), path


def test_the_module_does_not_know_the_entry_points() -> None:
    names = imports(ROOT / "module.py")
    assert names and not {name for name in names if name.startswith("metanas_pl.cli")}


def test_command_lines_check_and_explain_without_torch() -> None:
    code = "import sys, metanas_pl.cli.app, metanas_pl.cli.train; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


def test_import_is_light_and_names_load_on_use() -> None:
    code = (
        "import sys, metanas_pl; heavy = {'torch', 'matplotlib', 'pytorch_lightning', 'wandb'};"
        "assert not heavy & set(sys.modules), heavy & set(sys.modules);"
        "assert metanas_pl.Genotype.load('auto_meta').n_nodes == 5"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT.parent)
