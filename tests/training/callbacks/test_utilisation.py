"""Figures of speed agree with delays that are planted."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from metanas_pl.cli.train import run
from metanas_pl.data.episodes.dataset import EpisodeDataset
from tests.runs import compose, read_rows, tiny

DELAY = 0.05


@pytest.mark.slow
def test_slow_episodes_are_seen(
    images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    draw = EpisodeDataset.__getitem__

    def slowly(self: EpisodeDataset, key: Any) -> Any:
        time.sleep(DELAY)
        return draw(self, key)

    monkeypatch.setattr(EpisodeDataset, "__getitem__", slowly)
    options = tiny(images, tmp_path / "run")
    run(compose([*options, "trainer.max_steps=4", "trainer.log_every_n_steps=2"]))
    rows = [row for row in read_rows(tmp_path / "run" / "metrics.csv") if row["speed/data_seconds"]]
    assert [row["step"] for row in rows] == ["1", "3"]  # Lightning counts the steps from 0
    for row in rows:
        data, rate = (float(row[f"speed/{k}"]) for k in ("data_seconds", "episodes_per_second"))
        assert data >= 2 * DELAY  # two tasks a step
        assert rate <= 2 / data
        assert float(row["speed/communication_seconds"]) == 0
