"""The memory of processes that share a store: figures for each number of them."""

import pytest

from benchmarks.large_store import PROCESSES, Work, run


@pytest.mark.slow
def test_figures() -> None:
    found = run(Work(n_classes=600, n_images=20, side=4, episodes=4))
    assert found["gigabytes"] == 600 * 20 * 3 * 16 / 1e9
    assert [len(each["each"]) for each in found["runs"]] == list(PROCESSES)
    for each in found["runs"]:
        assert each["episodes_a_second"] > 0
        assert all(0 < m["after_mb"]["Pss"] <= m["after_mb"]["Rss"] for m in each["each"])
