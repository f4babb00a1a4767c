"""How little an import loads; who may import whom is checked by ``lint-imports`` (``pyproject.toml``)."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import metanas_pl

ROOT = Path(metanas_pl.__file__).parent


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
