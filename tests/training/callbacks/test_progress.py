"""Without a terminal lines stand for the progress bar."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from metanas_pl.cli.train import run
from tests.runs import compose, tiny


@pytest.mark.parametrize(("seconds", "n_lines"), [(0, 2), (3600, 0)])
def test_heartbeat(images: Path, seconds: int, n_lines: int, tmp_path: Path, capsys: Any) -> None:
    bar = f"{{_target_: metanas_pl.training.callbacks.EpisodeProgressBar, heartbeat_s: {seconds}}}"
    options = tiny(images, tmp_path / "run")
    run(compose([*options, "trainer.enable_progress_bar=null", f"callbacks.progress={bar}"]))
    lines = capsys.readouterr().out.splitlines()
    steps = [line for line in lines if line.startswith("step ")]
    assert len(steps) == n_lines
    assert len([line for line in lines if line.startswith("test, batch 3/3")]) == (n_lines > 0)
    if steps:
        assert steps[-1].startswith("step 2/2  loss ")
        assert "episodes/s" in steps[-1]
