"""The list of pairs, their command lines, and the table from finished runs."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest

from benchmarks import pairs


def finished(out: Path, pair: pairs.Pair, accuracies: np.ndarray) -> None:
    """A run folder as metanas-train leaves it, as far as the benchmark reads it."""
    folder = pairs.folder_of(out, pair, 0)
    folder.mkdir()
    test = {"pruning_loss": 0.01, "pruning_loss_ci95": 0.002, "parameters_mean": 1000.0}
    results = {f"test/{k}": v for k, v in (test | {"distinct_genotypes": 3}).items()}
    results |= {"train/outer_steps": 77, "train/cpu_seconds": 5.0}
    (folder / "results.json").write_text(json.dumps(results))
    with (folder / "episodes_test.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerows([["accuracy"], *([value] for value in accuracies)])


def test_every_method_is_in_a_pair_and_controls_come_first() -> None:
    listed = pairs.pairs()
    assert len(listed) == len(set(listed)) == 10 + 15 - 1
    assert {meta for meta, _ in listed} == set(pairs.methods("meta"))
    assert {nas for _, nas in listed} == set(pairs.methods("nas"))
    assert [nas for _, nas in listed[:2]] == ["random", "fixed"]


def test_a_pair_is_trained_by_the_clock_of_one_process(tmp_path: Path) -> None:
    words = pairs.command(tmp_path, (pairs.META, "gdas"), 3, 20.0)
    assert {"meta=fomaml", "nas=gdas", "seed=3", "trainer.devices=1"} < set(words)
    assert any("seconds: 20.0" in word for word in words)


def test_finished_pairs_are_read_and_compared_in_pairs_of_episodes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rng = np.random.default_rng(0)
    random, fixed, maml, darts = rng.uniform(0, 1, (4, 50))
    for nas, values in (("random", random), ("fixed", fixed), (pairs.NAS, darts)):
        finished(tmp_path, (pairs.META, nas), values)
    finished(tmp_path, ("maml", pairs.NAS), maml)
    pairs.main(["--out", str(tmp_path), "--only", "maml"])
    rows = json.loads((tmp_path / "pairs.json").read_text())
    assert [(r["meta"], r["nas"]) for r in rows][2:] == [
        (pairs.META, pairs.NAS),
        ("maml", pairs.NAS),
    ]
    difference = maml - fixed
    assert rows[3]["minus_fixed"] == pytest.approx(difference.mean())
    spread = 1.96 * difference.std(ddof=1) / 50**0.5
    assert rows[3]["minus_fixed_ci95"] == pytest.approx(spread, rel=1e-3)
    assert f"| maml | darts_first_order | {100 * maml.mean():.2f} ±" in capsys.readouterr().out


def test_all_are_trained_before_any_is_compared(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first pair of the list is compared with a control that is trained after it."""

    def quick(out: Path, pair: pairs.Pair, seed: int, seconds: float) -> bool:
        finished(out, pair, np.full(3, 0.5))
        return pair[1] != "gdas"

    monkeypatch.setattr(pairs, "train", quick)
    pairs.main(["--out", str(tmp_path), "--only", "gdas,snas"])
    rows = json.loads((tmp_path / "pairs.json").read_text())
    assert [r["nas"] for r in rows] == ["random", "fixed", pairs.NAS, "snas"]


def test_the_clock_ends_a_pair(tmp_path: Path) -> None:
    assert "seconds: 9" in " ".join(pairs.command(tmp_path, ("maml", pairs.NAS), 0, 9))


def test_an_unknown_method_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        pairs.main(["--only", "mamll"])
    assert "--only mamll: there is no such meta-learner or NAS method" in capsys.readouterr().err
