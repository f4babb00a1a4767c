"""Sweeps, profilers and determinism, as the command line starts them."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from pytorch_lightning.plugins.environments import SLURMEnvironment

from metanas_pl.cli import app
from metanas_pl.cli.train import run
from metanas_pl.cli.trainer import make_trainer
from metanas_pl.config.compatibility import check_strategy
from tests.runs import (
    assert_same_training,
    compose,
    execute,
    tiny,
)

LAUNCH = Path(app.CONFIG_DIR) / "launch"


def multirun(folder: Path, *options: str) -> list[Path]:
    """Folders of the results of a sweep."""
    done = execute("train", options, folder)
    assert done.returncode == 0, done.stderr[-2000:]
    return list(folder.glob("sweeps/**/results.json"))


@pytest.mark.nightly
def test_submitit_runs_a_sweep_on_this_machine(images: Path, tmp_path: Path) -> None:
    pytest.importorskip("submitit")
    options = ["-m", *tiny(images), "hydra/launcher=submitit_local", "hydra.sweep.dir=sweeps"]
    assert len(multirun(tmp_path, *options, "seed=1")) == 1


def test_submitit_on_slurm_is_composed() -> None:
    pytest.importorskip("submitit")
    compose(["hydra/launcher=submitit_slurm"])


@pytest.mark.nightly
def test_optuna_goes_on_with_its_study(images: Path, tmp_path: Path) -> None:
    pytest.importorskip("optuna")
    options = [*tiny(images), "hparams_search=optuna", "hydra.sweeper.study_name=rates"]
    assert len(multirun(tmp_path, *options, "hydra.sweeper.n_trials=1")) == 1
    assert len(multirun(tmp_path, *options, "hydra.sweeper.n_trials=1")) == 2
    with sqlite3.connect(tmp_path / "rates.db") as study:
        trials = study.execute(
            "select state, value from trials natural join trial_values"
        ).fetchall()
        chosen = study.execute("select trial_id, param_name, param_value from trial_params")
        values = {(name, value) for _, name, value in chosen}
    assert len(values) == 2 * 3, "a trial repeats another"
    assert [state for state, _ in trials] == ["COMPLETE"] * 2
    assert all(0 <= accuracy <= 1 for _, accuracy in trials)


@pytest.mark.parametrize("end", [0, -1])
def test_the_sweep_of_wandb_passes_what_there_is(end: int) -> None:
    sweep = yaml.safe_load((LAUNCH / "wandb_sweep.yml").read_text(encoding="utf-8"))
    chosen = []
    for name, about in sweep["parameters"].items():
        values = about.get("values") or [
            about.get(k) for k in ("value", "min", "max") if k in about
        ]
        chosen.append(f"{name}={values[end]}")
    words = sweep["command"]
    assert words[:2] == ["${env}", sweep["program"]] and words[-1] == "${args_no_hyphens}"
    config = app.to_config(compose([*words[2:-1], *chosen, "run_dir=here"]))
    assert config.logger["_target_"].endswith("WandbLogger")
    assert sweep["metric"]["name"] == config.callbacks["best"]["monitor"]


@pytest.mark.filterwarnings("ignore:The PyTorch Profiler default schedule")
@pytest.mark.parametrize(
    "name", ["simple", "advanced", pytest.param("pytorch", marks=pytest.mark.nightly)]
)
def test_profilers_write_into_the_run_folder(
    name: str, images: Path, tmp_path: Path, capsys: Any
) -> None:
    run(compose([*tiny(images, tmp_path / "run"), f"trainer.profiler={name}"]))
    assert f"{tmp_path / 'run'}/*-profile*.txt" in capsys.readouterr().out
    reports = sorted(path.name for path in (tmp_path / "run").glob("*-profile*.txt"))
    assert reports == ["fit-profile.txt", "test-profile.txt"]
    said = "Self CPU time total" if name == "pytorch" else "optimizer_step"
    assert said in (tmp_path / "run" / "fit-profile.txt").read_text()


@pytest.mark.slow
def test_deterministic_runs_are_equal_bit_for_bit(
    images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[bool] = []
    switch = torch.use_deterministic_algorithms

    def noted(mode: bool, **more: Any) -> None:
        asked.append(mode)
        switch(mode, **more)

    monkeypatch.setattr(torch, "use_deterministic_algorithms", noted)
    folders = [tmp_path / name for name in ("a", "b")]
    for folder in folders:
        run(compose([*tiny(images, folder), "trainer.deterministic=true"]))
    assert asked == [True, False] * 2, "on for the run, and off after it"
    assert_same_training(*(folder / "checkpoints" / "last.ckpt" for folder in folders))


@pytest.mark.parametrize(
    "name",
    ["fsdp", "deepspeed_stage_3", "FSDPStrategy", "ddp_spawn", "ddp_find_unused_parameters_true"],
)
def test_strategies_that_cannot_be_exact_are_refused(name: str) -> None:
    with pytest.raises(ValueError, match=rf"trainer\.strategy={name}: .*strategy=ddp"):
        check_strategy(name)


def test_torchrun_inside_a_job_of_slurm_names_the_ranks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {"SLURM_NTASKS": "1", "SLURM_JOB_ID": "1", "SLURM_PROCID": "0"}.items():
        monkeypatch.setenv(name, value)
    config = app.to_config(compose([f"run_dir={tmp_path}"]))
    for within_torchrun in (False, True):
        if within_torchrun:
            monkeypatch.setenv("TORCHELASTIC_RUN_ID", "x")
        with make_trainer(config, tmp_path) as trainer:
            environment = trainer._accelerator_connector.cluster_environment
            assert isinstance(environment, SLURMEnvironment) != within_torchrun
