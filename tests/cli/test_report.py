"""What is reported of the rows of test episodes: figures by hand, and the lines of the table."""

from __future__ import annotations

from typing import Any

import pytest

from metanas_pl.cli.report import print_table, summarize

ROW = {
    "accuracy": 0.5,
    "accuracy_transductive": 0.5,
    "accuracy_pruned": 0.5,
    "accuracy_before_adaptation": 0.25,
    "seconds": 0.1,
}
ROWS = [
    {**ROW, "parameters": 1_000, "flops": 2_000_000, "genotype": "a"},
    {**ROW, "parameters": 2_000, "flops": 5_000_000, "genotype": "b", "accuracy": 1.0},
]


def test_costs_are_mean_least_and_most() -> None:
    results = summarize(ROWS)
    for kind, numbers in {"parameters": (1500, 1000, 2000), "flops": (35e5, 2e6, 5e6)}.items():
        names = [f"test/{kind}_{which}" for which in ("mean", "min", "max")]
        assert tuple(results[name] for name in names) == numbers


def test_accuracies_and_pairs_by_hand() -> None:
    results = summarize(ROWS)
    assert results["test/accuracy"] == 0.75
    assert results["test/adaptation_gain"] == 0.5
    assert results["test/pruning_loss"] == 0.25
    assert results["test/adaptation_gain_ci95"] == pytest.approx(12.7062 * 0.25, rel=1e-3)
    assert results["test/distinct_genotypes"] == 2


def test_the_table_has_a_line_for_each_cost(capsys: Any, monkeypatch: Any) -> None:
    monkeypatch.setenv("COLUMNS", "120")
    print_table(summarize(ROWS), "a run")
    lines = capsys.readouterr().out.splitlines()
    for label, value in (
        ("parameters after pruning", "1,500 (1,000–2,000)"),
        ("FLOPs an image after pruning", "3,500,000 (2,000,000–5,000,000)"),
    ):
        (line,) = [line for line in lines if label in line]
        assert value in line
