"""Loaders of run folders, and of the configuration that a user gives."""

from __future__ import annotations

import json
from pathlib import Path
from random import Random

from benchmarks import controls, run_folder
from benchmarks.endurance._checkpoint_loaders import Attempt, finished_run
from benchmarks.endurance._mutations import altered, damaged, odd_value
from metanas_pl.cli import app
from metanas_pl.cli.composing import compose_checked


def run_folders(folder: Path) -> Attempt:
    """Results, test rows and configuration of a finished run, as the benchmarks read them."""
    finished = finished_run(folder)
    names = ("results.json", "episodes_test.csv", "config.yaml")
    files = {name: (finished / name).read_bytes() for name in names}
    results = json.loads(files["results.json"])

    def attempt(rng: Random) -> None:
        name = rng.choice(names)
        content = damaged(rng, files[name])
        if name == "results.json" and rng.random() < 0.5:
            content = json.dumps(altered(rng, results)).encode()
        (folder / name).write_bytes(content)
        if name == "results.json":
            run_folder.figure(folder, rng.choice(list(results)))
        elif name == "config.yaml":
            controls.typed(folder)
        else:
            run_folder.accuracies(folder)

    return attempt


def overrides(folder: Path) -> Attempt:
    """Command lines and a YAML file of the user, composed and checked."""
    app.register_schemas()
    (folder / "experiment").mkdir(exist_ok=True)
    file = folder / "experiment" / "mine.yaml"

    def attempt(rng: Random) -> None:
        chosen = rng.choice(OVERRIDES)
        if rng.random() < 0.5:
            file.write_bytes(damaged(rng, YAML.encode()))
            given = [f"hydra.searchpath=[file://{folder}]", "experiment=mine"]
        elif rng.random() < 0.5:
            given = [f"{chosen.partition('=')[0]}={json.dumps(odd_value(rng))[:2000]}"]
        else:
            given = [damaged(rng, chosen.encode()).decode("latin1")]
        app.to_config(compose_checked([*given, f"run_dir={folder}"]))

    return attempt


OVERRIDES = (
    "data.n_ways=5 data.n_shots=[1,5] data.source=glyphs data.weights=[1,2] data.root=/tmp nas=gdas "
    "nas.t_max=0.5 meta.inner.steps=3 space.channels=8 space.reductions=[0] trainer.max_steps=5 "
    "trainer.devices=2 seed=3 data.augment.shift=1 data.options={} +data.options.split=lake "
    "space.primitives=[conv_3x3] callbacks.progress=null logger=csv ckpt_path=null num_threads=1"
).split()
YAML = """# @package _global_
defaults:
  - override /nas: gdas
data: {n_ways: 5, n_shots: [1, 5], source: glyphs}
meta:
  inner:
    steps: 3
    weight_lr: 0.1
"""
