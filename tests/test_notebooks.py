"""The notebooks run from top to bottom; outputs, where they are committed, are of one whole run."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import nbformat
import pytest
from jupyter_client.kernelspec import KernelSpecManager
from jupyter_client.manager import AsyncKernelManager
from nbclient import NotebookClient

from tests.runs import HANGS_S

CHECKOUT = Path(__file__).resolve().parent.parent
NOTEBOOKS = sorted((CHECKOUT / "notebooks").glob("*.ipynb"))


class OwnInterpreter(AsyncKernelManager):
    """Starts kernels of the running interpreter, whatever kernels are installed.

    With no folder of installed kernels to look in, there is one left: ``python3``, this interpreter.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(kernel_spec_manager=KernelSpecManager(kernel_dirs=[]), **options)


def test_there_are_notebooks() -> None:
    assert NOTEBOOKS


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_committed_outputs_are_none_or_those_of_one_run(path: Path) -> None:
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    outputs = [output for cell in cells for output in cell.outputs]
    counts = [cell.execution_count for cell in cells]
    assert counts == (list(range(1, len(cells) + 1)) if outputs else [None] * len(cells))
    assert not [output for output in outputs if output.output_type == "error"]
    assert "/tmp/" not in str(outputs) and path.stat().st_size < 300_000


@pytest.mark.slow
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_runs(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    places = (str(CHECKOUT), os.environ.get("PYTHONPATH"))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, places)))
    monkeypatch.setenv("METANAS_SMOKE", "1")
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    work = tmp_path / "work"
    work.mkdir()
    for name in ("IPYTHONDIR", "JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR"):
        monkeypatch.setenv(name, str(tmp_path / name.lower()))
    client = NotebookClient(
        nbformat.read(path, as_version=4),
        kernel_name="python3",
        kernel_manager_class=OwnInterpreter,
        timeout=HANGS_S,
        resources={"metadata": {"path": str(work)}},
    )
    client.execute()
    assert not list(work.iterdir())
