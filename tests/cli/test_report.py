"""What is reported of the rows of test episodes: figures by hand, and the lines of the table."""

from __future__ import annotations

from typing import Any

import pytest

from metanas_pl.cli.report import by_construction, of_the_module, print_table, summarize
from metanas_pl.module import MetaNASModule

ROW = {
    "accuracy": 0.5,
    "accuracy_transductive": 0.5,
    "accuracy_pruned": 0.5,
    "accuracy_before_adaptation": 0.25,
    "accuracy_arm_frozen": 0.25,
    "choices_changed": 0.5,
    "choices_in_reach": 1.0,
    "set_of_alphas": 0,
    "options_pruned": 1,
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
    assert results["test/options_pruned_mean"] == 1


def lines_of_table(results: dict[str, Any], capsys: Any, monkeypatch: Any) -> str:
    monkeypatch.setenv("COLUMNS", "120")
    print_table(results, "a run")
    return str(capsys.readouterr().out)


def test_the_gain_is_over_the_same_network_with_its_alphas_held(
    capsys: Any, monkeypatch: Any
) -> None:
    shown = lines_of_table(summarize(ROWS), capsys, monkeypatch)
    (line,) = [line for line in shown.splitlines() if "gain of adapting the alphas" in line]
    assert "50.00" in line
    without = [{k: v for k, v in row.items() if k != "accuracy_arm_frozen"} for row in ROWS]
    shown = lines_of_table(summarize(without), capsys, monkeypatch)
    assert "alphas" not in shown


@pytest.mark.parametrize(
    ("changes", "facts", "known"),
    [
        ({}, {"head": "learned", "test/open_choices": 2}, set()),
        ({}, {"head": "zero", "test/open_choices": 2}, {"accuracy_before_adaptation"}),
        ({"options_pruned": 0}, {"head": "learned"}, {"pruning_loss"}),
        ({"genotype": "a"}, {"head": "learned", "test/open_choices": 2}, set()),
        ({"genotype": "a"}, {"head": "learned", "test/open_choices": 0}, {"distinct_genotypes"}),
    ],
)
def test_rows_that_are_true_by_construction_are_not_shown(
    changes: dict[str, Any], facts: dict[str, Any], known: set[str], capsys: Any, monkeypatch: Any
) -> None:
    results = summarize([{**row, **changes} for row in ROWS]) | facts
    assert by_construction(results) == {f"test/{name}" for name in known}
    shown = lines_of_table(results, capsys, monkeypatch)
    labels = {
        "accuracy_before_adaptation": "before adaptation",
        "pruning_loss": "lost by hard pruning",
        "distinct_genotypes": "distinct genotypes",
    }
    for name, label in labels.items():
        assert (label in shown) == (name not in known)


def test_one_genotype_means_nothing_where_no_alpha_adapts() -> None:
    rows = [{**row, "genotype": "a"} for row in ROWS]
    for row in rows:
        del row["accuracy_arm_frozen"]
    assert "test/distinct_genotypes" in by_construction(summarize(rows))


def test_open_choices_are_those_with_more_than_one_option_left() -> None:
    module = MetaNASModule(space={"channels": 4, "n_cells": 2, "n_nodes": 2, "reductions": [1]})
    facts = of_the_module(module)
    # 2 + 3 edges and one choice of inputs (the second node's) in each of two cell types
    assert (facts["test/choices"], facts["test/open_choices"]) == (12, 12)
    alive = module.mask()["normal_0"]
    alive[0, 1:] = False
    assert of_the_module(module)["test/open_choices"] == 11


def test_the_table_has_a_line_for_each_cost(capsys: Any, monkeypatch: Any) -> None:
    monkeypatch.setenv("COLUMNS", "120")
    print_table(summarize(ROWS), "a run")
    lines = capsys.readouterr().out.splitlines()
    for label, value in (
        ("parameters after pruning", "1,500 (1,000–2,000)"),
        ("FLOPs per image after pruning", "3,500,000 (2,000,000–5,000,000)"),
    ):
        (line,) = [line for line in lines if label in line]
        assert value in line
