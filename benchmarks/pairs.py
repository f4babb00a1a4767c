"""Every meta-learner with one NAS method, every NAS method with one meta-learner, for equal CPU time.

    python -m benchmarks.pairs [--seconds 300] [--out outputs/pairs] [--only gdas,maml] [--seeds 0]

trains each pair of ``experiment=glyphs_5way_1shot`` for so many seconds of CPU time, tests it on
the same episodes and prints a table: accuracy, what hard pruning loses, and the paired differences to
two controls: ``nas=random``, a fresh random architecture for every task, and ``nas=fixed``, one random
genotype. A pair whose folder holds results is not trained again.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks import run_folder
from benchmarks.controls import from_file, random_genotype
from benchmarks.cpu_time import callback
from benchmarks.run_folder import accuracies
from metanas_pl.cli import app
from metanas_pl.cli.app import CONFIG_DIR
from metanas_pl.config import CellSpaceConfig
from metanas_pl.engine.metrics import mean_interval95, paired_gain95

NAS, META, SPACE = "darts_first_order", "fomaml", "metanas_compact"
CONTROLS = ("random", "fixed")
Pair = tuple[str, str]


def methods(group: str) -> list[str]:
    """Names of a configuration group."""
    return sorted(path.stem for path in Path(CONFIG_DIR, group).glob("*.yaml"))


def pairs() -> list[Pair]:
    """(meta, nas): the controls first, then each meta-learner and each NAS method once."""
    metas = [(meta, NAS) for meta in methods("meta")]
    nases = [(META, nas) for nas in methods("nas")]
    controls = [(META, nas) for nas in CONTROLS]
    return list(dict.fromkeys([*controls, (META, NAS), *metas, *nases]))


def chosen(wanted: set[str]) -> list[Pair]:
    """The controls, the reference, and the pairs that a wanted method is in; all if none is named."""
    listed = pairs()
    if not wanted:
        return listed
    always = (*((META, nas) for nas in CONTROLS), (META, NAS))
    return [p for p in listed if p in always or wanted & (set(p) - {NAS, META})]


def folder_of(out: Path, pair: Pair, seed: int) -> Path:
    """Where the run of a pair lies."""
    return out / f"{pair[0]}-{pair[1]}-{seed}"


def command(out: Path, pair: Pair, seed: int, seconds: float) -> list[str]:
    """The command line of one pair."""
    meta, nas = pair
    folder = folder_of(out, pair, seed)
    clock = f"+callbacks.cpu_time={callback(seconds)}".replace("'", "")
    options = [f"meta={meta}", f"nas={nas}", f"seed={seed}", clock, f"hydra.run.dir={folder}"]
    if nas == "fixed":
        genotype = out / f"random_genotype_{seed}.json"
        random_genotype(from_file(CellSpaceConfig, "space", SPACE), seed).save(genotype)
        options.append(f"space.genotype={genotype}")
    options += ["trainer.max_steps=-1", "trainer.devices=1"]  # the clock of one process ends a run
    return [sys.executable, "-m", "metanas_pl.cli.train", *options]


def train(out: Path, pair: Pair, seed: int, seconds: float) -> bool:
    """Train and test a pair unless it is there; False if it failed."""
    folder = folder_of(out, pair, seed)
    if (folder / "results.json").exists():
        return True
    folder.mkdir(parents=True, exist_ok=True)
    print(f"training meta={pair[0]} nas={pair[1]} seed={seed} …", flush=True)
    with (folder / "log.txt").open("w") as log:
        done = subprocess.run(
            command(out, pair, seed, seconds),
            stdout=log,
            stderr=subprocess.STDOUT,
            env={**os.environ, "COLUMNS": "120"},
        )
    if done.returncode:
        print(f"failed: see {folder / 'log.txt'}", flush=True)
    return done.returncode == 0


def row(out: Path, pair: Pair, seed: int) -> dict[str, Any]:
    """Figures of one pair, with the paired differences to the controls."""
    folder = folder_of(out, pair, seed)
    ours = accuracies(folder)
    figures = {"meta": pair[0], "nas": pair[1], "seed": seed}
    figures |= dict(zip(("accuracy", "accuracy_ci95"), mean_interval95(ours), strict=True))
    for nas in CONTROLS:
        gain = paired_gain95(accuracies(folder_of(out, (META, nas), seed)), ours)
        figures |= dict(zip((f"minus_{nas}", f"minus_{nas}_ci95"), gain, strict=True))
    keys = ("pruning_loss", "pruning_loss_ci95", "parameters_mean", "distinct_genotypes")
    figures |= {key: run_folder.figure(folder, f"test/{key}") for key in keys}
    spent = ("outer_steps", "cpu_seconds")
    return figures | {key: run_folder.figure(folder, f"train/{key}") for key in spent}


def print_table(rows: Sequence[dict[str, Any]]) -> None:
    """The table in Markdown, in percent."""
    heads = ["meta", "nas", "accuracy", "lost by pruning", *(f"minus {nas}" for nas in CONTROLS)]
    heads += ["outer steps", "parameters", "genotypes"]
    print(f"| {' | '.join(heads)} |\n|{'---|' * len(heads)}")
    keys = [("accuracy", ""), ("pruning_loss", ""), *((f"minus_{nas}", "+") for nas in CONTROLS)]
    for r in rows:
        cells = [f"{100 * r[key]:{sign}.2f} ± {100 * r[key + '_ci95']:.2f}" for key, sign in keys]
        sizes = (
            f"{r['outer_steps']:.0f} | {r['parameters_mean']:,.0f} | {r['distinct_genotypes']:.0f}"
        )
        print(f"| {r['meta']} | {r['nas']} | {' | '.join(cells)} | {sizes} |")


def main(argv: Sequence[str] | None = None) -> None:
    """Train what is missing, print the table and write it."""
    parser = argparse.ArgumentParser("python -m benchmarks.pairs", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument(
        "--seconds", type=float, default=300, help="CPU time of the training of each pair"
    )
    parser.add_argument("--out", type=Path, default=Path("outputs/pairs"), help="run folders")
    parser.add_argument("--only", default="", help="methods whose pairs to run, by comma")
    parser.add_argument("--seeds", default="0", help="seeds, by comma")
    options = parser.parse_args(argv)
    out, wanted = options.out.resolve(), {n for n in options.only.split(",") if n}
    unknown = sorted(wanted - set(methods("meta")) - set(methods("nas")))
    if unknown:
        parser.error(f"--only {unknown[0]}: there is no such meta-learner or NAS method")
    trained = [
        (pair, seed)
        for seed in (int(s) for s in options.seeds.split(","))
        for pair in chosen(wanted)
        if train(out, pair, seed, options.seconds)
    ]
    rows = app.with_short_errors(lambda: [row(out, pair, seed) for pair, seed in trained])
    print_table(rows)
    (out / "pairs.json").write_text(json.dumps(rows, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
