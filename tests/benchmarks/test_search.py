"""NAS methods are judged by a table of networks that were all trained."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks.search import judge, known_table
from metanas_pl.errors import UserError
from metanas_pl.search_spaces.ops.names import PRIMITIVES

TRUTH = {"a": 0.5, "b": 0.4, "c": 0.3, "d": 0.2}


def write_table(folder: Path, cpu_seconds: float) -> None:
    """A known table of four networks whose accuracies are ``TRUTH``."""
    rows = {n: {"0": {"val": v, "test": v, "cpu_seconds": cpu_seconds}} for n, v in TRUTH.items()}
    (folder / "table_glyphs.json").write_text(json.dumps({"networks": rows}))


def test_a_choice_costs_what_the_best_network_has_more() -> None:
    assert judge.judged("a", TRUTH) == {"chosen": "a", "regret": 0.0, "rank": 1}
    assert judge.judged("c", TRUTH) == {"chosen": "c", "regret": 20.0, "rank": 3}


def test_kendalls_tau_counts_pairs_in_the_same_order() -> None:
    """One of six pairs is the other way round: (5 - 1) / 6."""
    assert judge.tau(TRUTH, TRUTH) == 1
    assert judge.tau({k: -v for k, v in TRUTH.items()}, TRUTH) == -1
    assert judge.tau({**TRUTH, "a": 0.35, "b": 0.6}, TRUTH) == pytest.approx(4 / 6, abs=1e-3)


def test_searches_are_judged_when_the_table_is_printed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(known_table, "RESULTS", tmp_path)
    write_table(tmp_path, cpu_seconds=9.0)
    runs = {
        "0": {"chosen": "a", "within": TRUTH},
        "1": {"chosen": "c", "within": {**TRUTH, "b": 0.6}},
    }
    found = {"cpu_seconds": 36.0, "methods": {"path": runs}}
    (tmp_path / "searched_glyphs.json").write_text(json.dumps(found))
    lines = judge.table("glyphs").splitlines()
    assert lines[0] == "4 networks, 20.0 to 50.0 %"
    assert lines[-2:] == [
        "| path | 2 | 10.00 | 2.0 | 0.83 | 5.00 |",
        "| random search | 100 | 0.00 | 1.0 |  |  |",
    ]
    with pytest.raises(UserError, match="of searches of 36.0 s"):
        judge.search(known_table.Images(), [], [0], 20.0, 1)


def test_random_search_tries_what_fits_in_the_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(known_table, "RESULTS", tmp_path)
    write_table(tmp_path, cpu_seconds=10.0)
    truth = judge.truth_of("glyphs")
    assert truth == TRUTH
    assert judge.random_search("glyphs", 0, 25.0, truth)["networks"] == 2
    everything = judge.random_search("glyphs", 0, 1000.0, truth)
    assert (everything["chosen"], everything["networks"]) == ("a", 4)


def test_the_choice_of_a_supernet_is_one_of_the_table() -> None:
    module = known_table.MetaNASModule(known_table.SPACE, image_shape=(1, 28, 28), n_ways=5)
    module.alphas["reduce"].data[0, 2] = module.alphas["normal"].data[0, 5] = 9.0
    assert judge.chosen(module) == f"{PRIMITIVES[2]}/{PRIMITIVES[5]}"
    fixed = known_table.network(PRIMITIVES[2], PRIMITIVES[5], known_table.Images(), 0)
    assert not fixed.alphas
