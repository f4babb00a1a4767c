"""``metanas-train``: the run folder, the experiment files, the Trainer's arguments."""

from __future__ import annotations

import inspect
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import yaml
from omegaconf import OmegaConf

from metanas_pl import Genotype, MetaNASModule
from metanas_pl.cli import app, train
from metanas_pl.cli.evaluate import as_trained, load
from metanas_pl.config import Config
from tests import runs

EXPERIMENTS = sorted(p.stem for p in Path(app.CONFIG_DIR, "experiment").glob("*.yaml"))
FILES = {
    "results.json",
    "config.yaml",
    "genotype.json",
    "cell_normal.svg",
    "cell_normal.png",
    "cell_reduce.svg",
    "cell_reduce.png",
    "metrics.csv",
    "episodes_test.csv",
    "checkpoints/last.ckpt",
    "checkpoints/best.ckpt",
}
PLAIN_FILES = {name for name in FILES if not name.startswith(("genotype", "cell"))}
RESULTS = """
test/accuracy test/accuracy_ci95 test/accuracy_transductive test/accuracy_pruned
test/accuracy_pruned_ci95 test/accuracy_before_adaptation test/accuracy_arm_frozen
test/adaptation_gain test/adaptation_gain_ci95 test/choices test/open_choices
test/n_episodes test/parameters_mean test/parameters_min
test/parameters_max test/flops_mean test/flops_min test/flops_max train/seconds
train/episodes_per_second seed versions
""".split()


def run(images: Path, run_dir: Path, *overrides: str) -> dict[str, Any]:
    return train.run(runs.compose([*runs.tiny(images, run_dir), *overrides]))


def present(folder: Path) -> set[str]:
    return {str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file()}


def test_a_run_writes_every_file(finished: Path) -> None:
    assert FILES <= present(finished)
    assert all((finished / name).stat().st_size > 0 for name in FILES)


def test_results_have_every_key(finished: Path) -> None:
    results = json.loads((finished / "results.json").read_text())
    assert set(RESULTS) <= set(results)
    assert results["test/n_episodes"] == 5
    assert results["seed"] == 0
    assert {"python", "torch", "pytorch-lightning"} <= set(results["versions"])
    gain = results["test/accuracy"] - results["test/accuracy_arm_frozen"]
    assert results["test/adaptation_gain"] == pytest.approx(gain)


def test_episodes_are_a_line_each(finished: Path) -> None:
    rows = runs.read_rows(finished / "episodes_test.csv", ignore=())
    assert [int(row["episode"]) for row in rows] == [0, 1, 2, 3, 4]
    columns = (
        "accuracy accuracy_transductive accuracy_pruned accuracy_arm_frozen loss options_pruned"
        " parameters flops genotype seconds"
    )
    assert set(columns.split()) <= set(rows[0])
    results = json.loads((finished / "results.json").read_text())
    mean = sum(float(row["accuracy"]) for row in rows) / len(rows)
    assert mean == pytest.approx(results["test/accuracy"])
    for row in rows:
        parts = row["genotype"].replace("; ", "\n")
        assert parts.startswith("normal: ") and "\nreduce: " in parts


def test_runs_of_two_seeds_are_tested_on_the_same_episodes(
    images: Path, finished: Path, tmp_path: Path
) -> None:
    run(images, tmp_path, "seed=1")
    rows = [runs.read_rows(folder / "episodes_test.csv") for folder in (finished, tmp_path)]
    for column, same in (("pixel_nn", True), ("loss", False)):
        first, second = ([row[column] for row in of_run] for of_run in rows)
        assert (first == second) == same, column


def test_metrics_hold_training_validation_and_test(finished: Path) -> None:
    rows = runs.read_rows(finished / "metrics.csv", ignore=())
    filled = {key for row in rows for key, value in row.items() if value}
    assert {"step", "val/accuracy", "test/accuracy", "test/adaptation_gain"} <= filled


def test_config_is_resolved_and_composes_the_same_run(finished: Path) -> None:
    text = (finished / "config.yaml").read_text()
    assert "${" not in text
    again = app.to_config(OmegaConf.merge(OmegaConf.structured(Config), OmegaConf.create(text)))
    assert again.data.n_ways == 3 and again.run_dir == str(finished)


def test_a_validation_in_warm_up_scores_what_a_test_would(images: Path, tmp_path: Path) -> None:
    """Checkpoints of warm-up and of later compete for the best, so one protocol must score both."""
    shipped = OmegaConf.load(Path(app.CONFIG_DIR, "experiment", "glyphs_5way_1shot.yaml"))
    warm_up = shipped.meta.outer.warm_up_steps
    options = [f"meta.outer.warm_up_steps={warm_up}", "meta.inner.test_arch_steps=null"]
    options += ["meta.inner.test_anneal_steps=null", "data.n_val_episodes=4"]
    results = run(images, tmp_path, *options)
    assert results["train/outer_steps"] < warm_up
    best = tmp_path / "checkpoints" / "best.ckpt"
    config = as_trained(Config(ckpt_path=str(best), run_dir=str(tmp_path)), [])
    module, datamodule = load(config)
    batches = [datamodule.batch_of("val", i) for i in range(4)]
    fixed = {"seed": 0, "mask": module.mask(), "plan": module.evaluation}
    tested = [module.learner.evaluate(module.theta(), batch, **fixed) for batch in batches]
    losses, accuracies = (
        sum(float(getattr(t, k)) for t in tested) / 4 for k in ("loss", "accuracy")
    )
    (row,) = (row for row in runs.read_rows(tmp_path / "metrics.csv") if row["val/loss"])
    assert float(row["val/loss"]) == pytest.approx(losses, rel=1e-5)
    assert results["val/best_accuracy"] == pytest.approx(accuracies)


def test_genotype_is_that_of_the_best_checkpoint(finished: Path) -> None:
    module = MetaNASModule.load_from_checkpoint(
        finished / "checkpoints" / "best.ckpt", weights_only=True, map_location="cpu"
    )
    assert str(Genotype.load(str(finished / "genotype.json"))) == str(module.genotype())


@pytest.mark.parametrize("name", ["last", "best"])
def test_checkpoints_hold_plain_values_only(finished: Path, name: str) -> None:
    checkpoint = runs.load(finished / "checkpoints" / f"{name}.ckpt")
    assert checkpoint["global_step"] == 2


@pytest.mark.slow
def test_a_finished_run_that_is_resumed_says_the_same(images: Path, tmp_path: Path) -> None:
    config = app.to_config(runs.compose(runs.tiny(images, tmp_path)))
    assert isinstance(config, Config)
    first, second = train.run(config), run(images, tmp_path, "resume=auto")
    assert first["test/accuracy"] == second["test/accuracy"]
    assert {name for name in present(tmp_path) if name.endswith(".ckpt")} == {
        "checkpoints/best.ckpt",
        "checkpoints/last.ckpt",
    }
    steps = [int(r["step"]) for r in runs.read_rows(tmp_path / "metrics.csv")]
    assert steps == sorted(steps), "rows of the first run are there twice"


def test_a_run_that_ends_in_mid_epoch_is_validated_and_saved(images: Path, tmp_path: Path) -> None:
    run(images, tmp_path, "trainer.max_steps=3", "trainer.log_every_n_steps=1")
    assert PLAIN_FILES <= present(tmp_path)
    assert runs.load(tmp_path / "checkpoints" / "last.ckpt")["global_step"] == 3
    rows = runs.read_rows(tmp_path / "metrics.csv")
    assert {r["step"] for r in rows if r["val/accuracy"]} == {"1", "2"}
    trained = [r for r in rows if r["train/loss"]]
    assert [r["step"] for r in trained] == ["0", "1", "2"], "one at each interval"
    assert all(r["train/accuracy"] and r["alpha/entropy"] for r in trained)


def test_cpu_time_is_that_of_all_processes(
    images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else a control that runs in one process would get half the time of a run in two."""
    monkeypatch.setattr(train, "of_all_ranks", lambda own: [*own, 1000.0])
    results = train.run(runs.compose(runs.tiny(images, tmp_path)))
    assert 1000 < results["train/cpu_seconds"] < 1000 + 60


def test_a_fixed_genotype(images: Path, finished: Path, tmp_path: Path) -> None:
    genotype = finished / "genotype.json"
    options = [*runs.tiny(images, tmp_path, draws=True), "nas=fixed"]
    results = train.run(runs.compose([*options, f"space.genotype={genotype}"]))
    state = runs.load(tmp_path / "checkpoints" / "best.ckpt")["state_dict"]
    assert not [name for name in state if name.startswith("alphas")]
    assert results["test/distinct_genotypes"] == 1
    assert json.loads((tmp_path / "genotype.json").read_text()) == json.loads(genotype.read_text())
    assert results["test/accuracy"] == results["test/accuracy_pruned"]


def test_conv4(images: Path, tmp_path: Path) -> None:
    options = [o for o in runs.tiny(images, tmp_path, draws=True) if o not in runs.SMALL_CELLS]
    options += ["space=conv4", "data.image_size=16"]
    results = train.run(runs.compose(options))
    assert FILES - present(tmp_path) == FILES - PLAIN_FILES
    assert results["test/parameters_min"] == results["test/parameters_max"]


@pytest.mark.slow
def test_run_folder_gets_no_log_of_hydra(images: Path, tmp_path: Path) -> None:
    options = [*runs.tiny(images, draws=True), f"hydra.run.dir={tmp_path / 'run'}"]
    done = runs.execute("train", options, tmp_path)
    assert done.returncode == 0, done.stderr
    assert FILES <= present(tmp_path / "run")
    assert [n for n in present(tmp_path / "run") if n.endswith(".log")] == []
    said = done.stderr.splitlines()
    assert [line for line in said if not line.startswith("Reading images")] == []
    assert "INFO" not in done.stdout and "Warning" not in done.stdout
    assert "accuracy, inductive, relaxed" in done.stdout
    assert str(tmp_path / "run") in done.stdout


# -- experiment files -------------------------------------------------------------------------


def experiment(name: str, *overrides: str) -> Config:
    return app.to_config(runs.compose([f"experiment={name}", "run_dir=.", *overrides]))


@pytest.mark.parametrize("name", [e for e in EXPERIMENTS if e.startswith("glyphs")])
def test_glyph_experiments_run(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("builtins.print", lambda *args, **kwargs: None)
    small: Sequence[str] = (
        "trainer.fast_dev_run=true",
        "space.channels=4",
        *runs.SMALL_CELLS,
        "data.meta_batch_size=2",
        "data.eval_batch_size=2",
        "meta.inner.steps=1",
        "meta.inner.test_steps=1",
        "meta.chunk_size=1",
        "callbacks.progress=null",
        f"run_dir={tmp_path}",
    )
    results = train.run(experiment(name, *small))
    assert results["test/n_episodes"] == 2


# -- the Trainer's arguments ------------------------------------------------------------------


def test_trainer_file_names_every_argument_of_the_trainer() -> None:
    parameters = set(inspect.signature(pl.Trainer).parameters)
    set_by_us = {"logger", "callbacks", "default_root_dir", "plugins", "model_registry"}
    named = yaml.safe_load(Path(app.CONFIG_DIR, "trainer", "default.yaml").read_text())
    assert set(named) == parameters - set_by_us


@pytest.mark.parametrize("name", ["cpu", "gpu", "ddp"])
def test_trainer_choices(name: str) -> None:
    config = experiment("glyphs_5way_1shot", f"trainer={name}")
    assert config.trainer["devices"] == (2 if name == "ddp" else 1)


def test_a_logger_that_fails_at_the_end_loses_no_results(
    images: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    from pytorch_lightning.loggers import TensorBoardLogger

    from metanas_pl.errors import RunFailed

    def log_metrics(self: Any, metrics: dict[str, Any], step: int | None = None) -> None:
        if "test/accuracy" in metrics:
            raise ConnectionError("the network is gone")

    monkeypatch.setattr(TensorBoardLogger, "log_metrics", log_metrics)
    with pytest.raises(RunFailed, match="the network is gone.*the results are in"):
        run(images, tmp_path, "logger=tensorboard")
    assert json.loads((tmp_path / "results.json").read_text())["test/n_episodes"] == 5
    assert "accuracy, inductive, relaxed" in capsys.readouterr().out
