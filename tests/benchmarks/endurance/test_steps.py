"""A short one of the long trial: nothing leaks from validation to validation."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.endurance import steps


@pytest.mark.nightly
def test_a_run_holds_no_more_in_the_end(tmp_path: Path) -> None:
    seen = steps.observed(18, tmp_path, n_looks=9)
    assert [look.step for look in seen] == list(range(2, 19, 2))
    assert all(look.seconds > 0 for look in seen)
    early, late = seen[3].held, seen[-1].held
    assert (late.files, late.threads) == (early.files, early.threads)
    assert late.megabytes - early.megabytes < 20
    assert late.objects - early.objects < 5 * 60  # a row of metrics and of history a validation
