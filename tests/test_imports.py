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
    "algorithms": ("metanas_pl.types",),
    "search_spaces": (
        "metanas_pl.types",
        "metanas_pl.algorithms.nas.relaxations",
        "metanas_pl.survival.tensor_file",
        "metanas_pl.utils",
    ),
    "engine": (
        "metanas_pl.types",
        "metanas_pl.algorithms",
        "metanas_pl.search_spaces",
        "metanas_pl.conf",
        "metanas_pl.compatibility",
        "metanas_pl.resolve",
    ),
    "data": ("metanas_pl.ranges", "metanas_pl.utils"),
    "survival": ("metanas_pl.conf", "metanas_pl.engine.space_factory"),
    "plotting": ("metanas_pl.search_spaces.genotypes.genotype",),
    "callbacks": (
        "metanas_pl.algorithms",
        "metanas_pl.plotting",
        "metanas_pl.survival.disk",
        "metanas_pl.survival.resume",
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


@pytest.mark.parametrize("module", ["module", "engine", "conf"])
def test_the_middle_does_not_know_the_entry_points(module: str) -> None:
    files = [*ROOT.glob(f"{module}.py"), *ROOT.glob(f"{module}/*.py")]
    names = {name for path in files for name in imports(path)}
    assert names
    upper = ("train", "evaluate", "assembly", "cli", "report", "callbacks", "data_command")
    assert not names & {f"metanas_pl.{name}" for name in upper}


def test_command_lines_check_and_explain_without_torch() -> None:
    code = "import sys, metanas_pl.cli, metanas_pl.train; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


def test_import_is_light_and_names_load_on_use() -> None:
    code = (
        "import sys, metanas_pl; heavy = {'torch', 'matplotlib', 'pytorch_lightning', 'wandb'};"
        "assert not heavy & set(sys.modules), heavy & set(sys.modules);"
        "assert metanas_pl.Genotype.load('auto_meta').n_nodes == 5"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT.parent)
