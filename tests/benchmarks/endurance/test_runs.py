"""A short one of the long trial: runs in one process leave nothing behind."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.endurance import runs


@pytest.mark.nightly
def test_a_run_leaves_nothing_behind(tmp_path: Path) -> None:
    _, second, third, fourth = runs.looks(4, tmp_path)
    assert second.files == third.files == fourth.files
    assert second.threads == third.threads == fourth.threads
    assert fourth.megabytes - second.megabytes < 20
    assert fourth.objects - second.objects < 2000
