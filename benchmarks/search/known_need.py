"""A known need: does the adapted architecture know its task, and does it beat not adapting it at all?

    python -m benchmarks.search need [--seconds 600] [--seeds 0 1 2] [--out outputs/need] [OVERRIDE …]

trains ``experiment=attributes_5way_3shot`` and, for the same CPU time, the same without alpha-steps, in
training and at test; both are tested on the same episodes, which ask about attributes and values that
training never saw. Then it prints the paired differences. What a folder holds already is not trained again.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import torch

from benchmarks.cpu_time import callback
from benchmarks.run_folder import accuracies, figure
from metanas_pl.engine.metrics import mean_interval95
from metanas_pl.errors import RunFailed
from metanas_pl.training.episode_records import ARM

EXPERIMENT = "attributes_5way_3shot"
WITHOUT = ("meta.inner.arch_steps=0", "meta.inner.test_arch_steps=0", "evaluation.arms=[]")
"""Overrides of the network that never takes an alpha-step."""
Differences = dict[str, torch.Tensor]


def folder_of(out: Path, adapts: bool, seed: int) -> Path:
    """Returns where a run is."""
    return out / f"{'adapting' if adapts else 'without'}-{seed}"


def train(out: Path, adapts: bool, seed: int, seconds: float, more: Sequence[str]) -> None:
    """Trains and tests a network, unless its results are there.

    Raises:
        RunFailed: the run did not end well; its log says why.
    """
    folder = folder_of(out, adapts, seed)
    if (folder / "results.json").exists():
        return
    folder.mkdir(parents=True, exist_ok=True)
    clock = f"+callbacks.cpu_time={callback(seconds)}".replace("'", "")
    options = [f"experiment={EXPERIMENT}", f"seed={seed}", clock, "trainer.max_steps=-1", *more]
    options += ["trainer.devices=1", f"hydra.run.dir={folder}", *(() if adapts else WITHOUT)]
    command = [sys.executable, "-m", "metanas_pl.cli.train", *options]
    print(f"training {folder.name} …", flush=True)
    with (folder / "log.txt").open("w") as log:
        env = {**os.environ, "COLUMNS": "120"}
        if subprocess.run(command, stdout=log, stderr=subprocess.STDOUT, env=env).returncode:
            raise RunFailed(f"{folder.name} failed: see {folder / 'log.txt'}")


def differences(adapting: Path, without: Path) -> Differences:
    """Returns accuracies and paired differences of the episodes of one seed, in points."""

    def arm(name: str) -> torch.Tensor:
        return accuracies(adapting, f"{ARM}{name}")

    ours, own, control = accuracies(adapting), arm("own"), accuracies(without)
    shares = {
        "accuracy, alphas adapting": ours,
        "accuracy, alphas held still": arm("frozen"),
        "accuracy, trained and tested without alpha-steps": control,
        "adapting - held still": ours - arm("frozen"),
        "adapting - without alpha-steps": ours - control,
        "own alphas - another task's of the same attribute": own - arm("same_group"),
        "own alphas - another task's of another attribute": own - arm("other_group"),
        "own alphas - shuffled options": own - arm("shuffled"),
        "soft - hard-pruned": ours - accuracies(adapting, "accuracy_pruned"),
    }
    return {name: 100 * values for name, values in shares.items()}


def table(out: Path, seeds: Sequence[int]) -> str:
    """Returns means with 95 % intervals over the episodes of all seeds, and the means of each seed."""
    folders = [(folder_of(out, True, seed), folder_of(out, False, seed)) for seed in seeds]
    steps = [[figure(f, "train/outer_steps") for f in pair] for pair in folders]
    found = [differences(*pair) for pair in folders]
    n = sum(len(next(iter(of_seed.values()))) for of_seed in found)
    lines = [
        f"{n} episodes of {len(seeds)} seeds; outer steps, with and without alpha-steps: {steps}"
    ]
    lines += ["", "| figure, points | all seeds | each seed |", "|---|---|---|"]
    for name in found[0]:
        values = [of_seed[name] for of_seed in found]
        mean, interval = mean_interval95(torch.cat(values))
        each = ", ".join(f"{float(v.mean()):+.1f}" for v in values)
        lines.append(f"| {name} | {mean:+.2f} ± {interval:.2f} | {each} |")
    return "\n".join(lines)


def run(out: Path, seeds: Sequence[int], seconds: float, more: Sequence[str]) -> None:
    """Trains what is missing, seed by seed, and prints the table of the seeds that are complete."""
    for n, seed in enumerate(seeds, 1):
        for adapts in (True, False):
            train(out, adapts, seed, seconds, more)
        print(table(out, seeds[:n]), flush=True)
