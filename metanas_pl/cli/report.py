"""What a run found: test rows to results, files and one table."""

from __future__ import annotations

import json
import math
import platform
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import torch

from metanas_pl.config import ARMS
from metanas_pl.engine.metrics import mean_interval95, paired_gain95
from metanas_pl.training.episode_records import ACCURACIES, ARM, DECISIONS, gains
from metanas_pl.utils.files import csv_table, write_whole

if TYPE_CHECKING:
    import pytorch_lightning as pl

    from metanas_pl.data.store.class_store import ClassStore
    from metanas_pl.module import MetaNASModule
    from metanas_pl.training.episode_records import Rows

PACKAGES = ("torch", "pytorch-lightning", "torchmetrics", "hydra-core", "numpy")
COSTS = {"parameters": "parameters", "flops": "FLOPs per image"}
Results = dict[str, Any]

GAINS_IN_WORDS = {
    "adaptation_gain": "gain of adapting the alphas",
    "own_minus_frozen": "own alphas, held, over the meta-alphas",
    "own_minus_same_group": "own over those of the group",
    "own_minus_other_group": "own over those of another group",
    "own_minus_shuffled": "own over shuffled",
    "best_minus_frozen": "best arm by support loss over the meta-alphas",
}


def summarize(rows: Rows) -> Results:
    """Returns test figures from the rows of the test episodes, in the order of the episodes."""
    results: Results = {"test/n_episodes": len(rows)}
    arms = [name for name in rows[0] if name.startswith(ARM)]
    names = [*ACCURACIES, *arms]
    column = {n: torch.tensor([r[n] for r in rows], dtype=torch.float64) for n in names}
    for name, values in column.items():
        mean, interval = mean_interval95(values[values.isfinite()])
        results |= {f"test/{name}": mean, f"test/{name}_ci95": interval}
    for name, differences in gains(column).items():
        gain = mean_interval95(differences[differences.isfinite()])
        results[f"test/{name}"], results[f"test/{name}_ci95"] = gain
    loss = paired_gain95(column["accuracy_pruned"], column["accuracy"])
    results["test/pruning_loss"], results["test/pruning_loss_ci95"] = loss
    if "pixel_nn" in rows[0]:
        pixel = torch.tensor([r["pixel_nn"] for r in rows], dtype=torch.float64)
        floor = mean_interval95(pixel)
        results["test/pixel_nn_accuracy"], results["test/pixel_nn_accuracy_ci95"] = floor
    for name in COSTS:
        costs = [cast(float, r[name]) for r in rows]
        results |= {
            f"test/{name}_mean": sum(costs) / len(costs),
            f"test/{name}_min": min(costs),
            f"test/{name}_max": max(costs),
        }
    for name in DECISIONS:
        results[f"test/{name}"] = sum(float(r[name]) for r in rows) / len(rows)
    results |= {
        "test/options_pruned_mean": sum(float(r["options_pruned"]) for r in rows) / len(rows),
        "test/sets_of_alphas": len({r["set_of_alphas"] for r in rows}),
        "test/distinct_genotypes": len({r["genotype"] for r in rows}),
        "test/seconds_per_episode": sum(float(r["seconds"]) for r in rows) / len(rows),
    }
    return results


def of_the_module(module: MetaNASModule) -> Results:
    """Returns what can make figures true by construction: how heads start, and which choices are open."""
    options = [alive.sum(-1) for alive in module.mask().values() if alive.shape[-1] > 1]
    return {
        "head": module.meta.head,
        "test/choices": sum(n.numel() for n in options),
        "test/open_choices": sum(int((n > 1).sum()) for n in options),
    }


def of_the_data(store: ClassStore) -> Results:
    """Returns which images were used, and how they were converted (such as CUB's crop)."""
    return {"data": {"name": store.meta.name, "checksum": store.checksum, **store.meta.notes}}


def environment() -> Results:
    """Returns versions of Python and of the packages that decide the figures."""
    versions = {name: version(name) for name in PACKAGES}
    return {"versions": {"python": platform.python_version(), **versions}}


def write(run_dir: Path, results: Results, rows: Rows) -> None:
    """Writes ``results.json`` and ``episodes_test.csv``; what is there is whole."""
    write_whole(run_dir / "episodes_test.csv", csv_table(list(rows[0]), rows))
    write_whole(
        run_dir / "results.json", (json.dumps(_without_nan(results), indent=2) + "\n").encode()
    )


def _without_nan(results: Results) -> Results:
    """Replaces NaN, which JSON does not have, by null."""
    return {k: None if isinstance(v, float) and math.isnan(v) else v for k, v in results.items()}


def by_construction(results: Results) -> set[str]:
    """Returns the figures that say nothing about the run, because they could not be other ones.

    An empty head is at chance; where pruning removed nothing it costs nothing; and there is one genotype
    where the alphas do not adapt, unless each episode draws one, or where no choice is open.
    """
    known = set()
    if results.get("head") == "zero":
        known.add("test/accuracy_before_adaptation")
    if not results.get("test/options_pruned_mean", 1):
        known.add("test/pruning_loss")
    one = results["test/distinct_genotypes"] == 1
    if one and ("test/adaptation_gain" not in results or not results.get("test/open_choices", 1)):
        known.add("test/distinct_genotypes")
    return known


def log(trainer: pl.Trainer, results: Results) -> None:
    """Hands the loggers of the first process the numbers that the test has not given them."""
    if not trainer.is_global_zero:
        return
    numbers = {k: v for k, v in results.items() if isinstance(v, int | float)}
    news = {k: v for k, v in numbers.items() if k not in trainer.logged_metrics}
    for logger in trainer.loggers:
        logger.log_metrics(news, step=trainer.global_step)
        logger.save()


def print_table(results: Results, title: str) -> None:
    """Prints the results as one table, without rows that are true by construction."""
    from rich.console import Console
    from rich.table import Table

    table = Table(title=title, title_justify="left")
    table.add_column("test")
    table.add_column("result", justify="right")

    def percent(key: str) -> str:
        interval = results[key + "_ci95"]  # of one episode none is known
        known = "" if math.isnan(interval) else f" ± {100 * interval:.2f}"
        return f"{100 * results[key]:.2f}{known} %"

    lines = [
        ("accuracy, inductive, relaxed", "test/accuracy"),
        ("accuracy, inductive, hard-pruned", "test/accuracy_pruned"),
        ("accuracy, transductive, relaxed", "test/accuracy_transductive"),
        ("accuracy before adaptation (0 inner steps)", "test/accuracy_before_adaptation"),
        *((f"accuracy, {whose}", f"test/{ARM}{arm}") for arm, whose in ARMS.items()),
        *((f"{words} (paired)", f"test/{gain}") for gain, words in GAINS_IN_WORDS.items()),
        ("lost by hard pruning (paired)", "test/pruning_loss"),
        ("nearest neighbour on pixels", "test/pixel_nn_accuracy"),
    ]
    known = by_construction(results)
    for label, key in lines:
        if key in results and key not in known:
            table.add_row(label, percent(key))
    for name, label in COSTS.items():
        mean, low, high = (results[f"test/{name}_{which}"] for which in ("mean", "min", "max"))
        table.add_row(f"{label} after pruning, mean (min–max)", f"{mean:,.0f} ({low:,}–{high:,})")
    if results.get("test/choices"):
        left = f"{results['test/open_choices']} of {results['test/choices']}"
        table.add_row("choices with more than one option left", left)
    if "test/distinct_genotypes" not in known:
        table.add_row(
            "distinct genotypes / episodes",
            f"{results['test/distinct_genotypes']} / {results['test/n_episodes']}",
        )
    for label, key in (("training", "train/seconds"), ("test", "test/seconds")):
        if key in results:
            table.add_row(f"{label}, seconds", f"{results[key]:.0f}")
    if "train/episodes_per_second" in results:
        table.add_row("training, episodes/s", f"{results['train/episodes_per_second']:.1f}")
    Console(width=None).print(table)
