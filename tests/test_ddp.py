"""Two processes give what one gives: parameters over several outer steps, and test rows."""

from __future__ import annotations

from pathlib import Path

import pytest

from metanas_pl.train import run
from tests.runs import assert_same_training, compose, execute, make_images, read_rows, tiny

LONG = ["trainer.max_steps=5", "data.n_train_episodes=12", "data.meta_batch_size=4"]
DDP = ["trainer=ddp", "trainer.accelerator=cpu", "trainer.devices=2"]


@pytest.mark.slow
@pytest.mark.parametrize("meta", ["fomaml", "reptile"])
def test_two_ranks_equal_one_process_with_warm_up_ending_in_between(
    tmp_path: Path, meta: str
) -> None:
    """Fault 10, and gradients that stay unsynchronised when parameters join later."""
    images = make_images(tmp_path / "images")
    options = [*tiny(images), *LONG, f"meta={meta}", "meta.outer.warm_up_steps=2"]
    options += ["meta.outer.optimizer=sgd", "meta.outer.weight_lr=0.05"]
    options += ["trainer.precision=64-true"]  # in 32 bits the order of sums can shift a threshold
    run(compose([*options, f"run_dir={tmp_path / 'one'}"]))
    two = [*options, *DDP, "trainer.max_steps=5", f"hydra.run.dir={tmp_path / 'two'}"]
    done = execute("train", two, tmp_path)
    assert done.returncode == 0, done.stderr[-2000:]
    last = "checkpoints/last.ckpt"
    assert_same_training(tmp_path / "one" / last, tmp_path / "two" / last, tolerance=1e-9)
    rows = [read_rows(tmp_path / name / "episodes_test.csv") for name in ("one", "two")]
    assert [row["episode"] for row in rows[0]] == [str(i) for i in range(5)]
    for one, two in zip(*rows, strict=True):
        assert one["genotype"] == two["genotype"]
        for key in ("episode", "accuracy", "accuracy_pruned", "parameters"):
            assert float(one[key]) == pytest.approx(float(two[key]), abs=1e-5), key


def test_test_episodes_are_the_same_for_any_number_of_workers(tmp_path: Path) -> None:
    images = make_images(tmp_path / "images")
    for workers in (0, 2):
        options = [*tiny(images, tmp_path / str(workers)), f"data.num_workers={workers}"]
        run(compose(options))
    rows = [read_rows(tmp_path / str(workers) / "episodes_test.csv") for workers in (0, 2)]
    assert rows[0] == rows[1]


def test_carried_states_refuse_two_processes(tmp_path: Path) -> None:
    images = make_images(tmp_path / "images")
    options = [*tiny(images), *DDP, "meta.inner.state=carried"]
    done = execute("train", [*options, f"hydra.run.dir={tmp_path / 'run'}"], tmp_path)
    assert done.returncode != 0
    assert "meta.inner.state=carried" in done.stderr
