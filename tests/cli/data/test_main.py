"""The console script: quick, and short about mistakes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from metanas_pl.cli.data.main import COMMANDS
from tests.cli.data.conftest import Command
from tests.runs import environment


def test_help_names_every_command(command: Command) -> None:
    answer = command("--help")
    assert answer.code == 0
    assert all(f"\n    {name} " in answer.out for name in COMMANDS)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help(name: str, command: Command) -> None:
    answer = command(name, "--help")
    assert answer.code == 0 and "METANAS_DATA" in answer.out


@pytest.mark.parametrize("words", [[], ["lst"], ["verify"]])
def test_wrong_words_end_with_code_2(words: list[str], command: Command) -> None:
    answer = command(*words)
    assert answer.code == 2 and "usage: metanas-data" in answer.err


def test_list_and_help_start_without_torch(tmp_path: Path) -> None:
    code = (
        "import sys; from metanas_pl.cli.data.main import main\n"
        "try: main(['list'])\n"
        "except SystemExit: pass\n"
        "print(*{'torch', 'hydra', 'matplotlib', 'PIL'} & set(sys.modules))"
    )
    env = environment(METANAS_DATA=str(tmp_path))
    done = subprocess.run(
        [sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True
    )
    assert done.stdout.endswith("\n\n")
