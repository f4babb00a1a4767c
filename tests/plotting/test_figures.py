"""Files are reproducible, and matplotlib is loaded late and without pyplot."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from metanas_pl.plotting import draw_cell, save_figure
from metanas_pl.search_spaces.genotypes.genotype import PUBLISHED


@pytest.mark.parametrize("suffix", [".svg", ".png"])
def test_files_are_reproducible(suffix: str, tmp_path: Path) -> None:
    paths = [tmp_path / "new" / f"{i}{suffix}" for i in range(2)]
    for path in paths:
        save_figure(draw_cell(PUBLISHED["metanas_v1"]), path)
    first, second = (path.read_bytes() for path in paths)
    assert first == second
    assert (b"<svg" in first) == (suffix == ".svg")


def test_another_suffix_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=".svg or .png"):
        save_figure(draw_cell(PUBLISHED["metanas_v1"]), tmp_path / "cell.bmp")


@pytest.mark.slow
def test_matplotlib_is_imported_on_first_use_and_pyplot_never() -> None:
    code = (
        "import sys, metanas_pl.plotting as p;"
        "from metanas_pl.search_spaces.genotypes.genotype import PUBLISHED;"
        "assert 'matplotlib.figure' not in sys.modules; p.draw_cell(PUBLISHED['auto_meta']);"
        "assert 'matplotlib.pyplot' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
