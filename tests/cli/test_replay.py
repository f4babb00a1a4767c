"""``metanas-replay`` shows what the run did."""

from __future__ import annotations

from pathlib import Path

import pytest

from metanas_pl.cli import replay, train
from tests import runs


@pytest.fixture(scope="module")
def run_dir(images: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run whose training images are augmented."""
    folder = tmp_path_factory.mktemp("replayed")
    options = runs.tiny(images, folder / "run")
    train.run(runs.compose([*options, "data.augment={crop: 1}", "trainer.max_steps=3"]))
    return folder / "run"


def test_a_test_episode_ends_where_the_test_ended(
    run_dir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tested = runs.read_rows(run_dir / "episodes_test.csv")[2]
    best = f"ckpt_path={run_dir / 'checkpoints' / 'best.ckpt'}"
    replay.main([best, "episode=2", "split=test"])
    table = capsys.readouterr().out
    assert "episode 2 of test, darts_first_order + fomaml" in table
    rows = replay.run([best, "episode=2", "split=test"])
    assert [row["step"] for row in rows] == [0, 1, 2, 3]
    before, after = (float(tested[f"accuracy{end}"]) for end in ("_before_adaptation", ""))
    assert rows[0]["query_accuracy"] == pytest.approx(before)
    assert rows[-1]["query_accuracy"] == pytest.approx(after)
    assert rows[-1]["query_loss"] == pytest.approx(float(tested["loss"]), rel=1e-3)
    assert rows[1]["temperature"] >= rows[2]["temperature"] and 0 <= rows[-1]["entropy"] <= 1
    assert "alpha_norm" not in rows[1]  # the head is empty
    assert rows[2]["alpha_norm"] > 0 and "alpha_norm" not in rows[3]  # alphas move until step 2
    assert all(row["weight_norm"] > 0 for row in rows[1:])


def test_a_training_episode_of_any_epoch(run_dir: Path) -> None:
    last = f"ckpt_path={run_dir / 'checkpoints' / 'last.ckpt'}"
    rows = replay.run([last, "episode=5"])  # the second of the second epoch
    assert [row["step"] for row in rows] == [0, 1, 2]
    assert rows != replay.run([last, "episode=1"])


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("episode=1", "ckpt_path is missing"),
        ("ckpt_path=nowhere.ckpt", "episode is missing"),
        ("ckpt_path=nowhere.ckpt episode=1", "no such file"),
        ("ckpt_path=x episode=-1", "episode=-1"),
        ("ckpt_path=x episode=1 split=tests", "split=tests"),
        ("ckpt_path=x episode=1 data.n_wayz=2", "data.n_ways"),
        ("ckpt_path=x episode=1 meta.name=2", "meta.name=2: metanas-replay takes"),
        ("ckpt_path={run} episode=5 split=val", "val has episodes 0 to 1"),
    ],
)
def test_mistakes_are_one_line(
    words: str, told: str, run_dir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as exit:
        replay.main(words.format(run=run_dir / "checkpoints" / "last.ckpt").split())
    error = capsys.readouterr().err
    assert exit.value.code == 2 and told in error and len(error.strip().splitlines()) == 1


def test_help(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as exit:
        replay.main(["--help"])
    assert exit.value.code == 0 and "ckpt_path=FILE" in capsys.readouterr().out
