"""Whether adapted alphas know their task is read off the same episodes in several arms."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks.search import known_need
from metanas_pl.errors import RunFailed

COLUMNS = {
    "accuracy": (0.4, 0.6),
    "accuracy_pruned": (0.35, 0.55),
    "accuracy_arm_frozen": (0.3, 0.5),
    "accuracy_arm_own": (0.4, 0.5),
    "accuracy_arm_same_group": (0.4, 0.5),
    "accuracy_arm_other_group": (0.2, 0.5),
    "accuracy_arm_shuffled": (0.2, 0.2),
}


def finished(folder: Path, columns: dict[str, tuple[float, float]]) -> None:
    """What a run leaves that tested two episodes."""
    folder.mkdir(parents=True)
    rows = [
        ",".join(columns),
        *(",".join(map(str, row)) for row in zip(*columns.values(), strict=True)),
    ]
    (folder / "episodes_test.csv").write_text("\n".join(rows) + "\n")
    (folder / "results.json").write_text(json.dumps({"train/outer_steps": 7}))


def test_differences_are_paired_and_pooled_over_seeds(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for seed in (0, 1):
        finished(known_need.folder_of(tmp_path, True, seed), COLUMNS)
        finished(known_need.folder_of(tmp_path, False, seed), {"accuracy": (0.3 + seed / 10, 0.5)})
    known_need.run(tmp_path, [0, 1], 1.0, [])
    lines = capsys.readouterr().out.splitlines()
    assert "4 episodes of 2 seeds; outer steps, with and without alpha-steps: [[7.0, 7.0], " in str(
        lines
    )
    (held,) = [line for line in lines[-9:] if line.startswith("| adapting - held still")]
    assert held == "| adapting - held still | +10.00 ± 0.00 | +10.0, +10.0 |"
    (without,) = [line for line in lines[-9:] if "adapting - without" in line]
    assert without.startswith("| adapting - without alpha-steps | +7.50 ±")
    assert without.endswith("| +10.0, +5.0 |")
    (other,) = [line for line in lines[-9:] if "of another attribute" in line]
    assert other.startswith("| own alphas - another task's of another attribute | +10.00 ±")


def test_a_run_that_fails_is_told_with_its_log(tmp_path: Path) -> None:
    with pytest.raises(RunFailed, match=r"adapting-0 failed: see .*log\.txt"):
        known_need.train(tmp_path, True, 0, 1.0, ["data.n_wayz=5"])
    assert "did you mean data.n_ways" in (tmp_path / "adapting-0" / "log.txt").read_text()
