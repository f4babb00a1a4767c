"""Judge NAS methods by the known table: what they choose, and how their supernet ranks all networks.

    python -m benchmarks.search search --nas darts_first_order path --seeds 0 1 2 --seconds 120
    python -m benchmarks.search table

The first trains a supernet with each method for the same CPU time. It keeps what the search chose, and the
accuracies of the 49 networks within the supernet, on validation episodes. The second reads from the known
table: the *regret* (accuracy of the best network less that of the chosen one), the *rank* of that one,
and Kendall's tau between the accuracies within the supernet and those of the networks trained alone. It
also says what choosing by the accuracies within the supernet would cost; they take time of their own.
Random search with the same CPU time trains the networks that fit in it, and takes the best on validation.
"""

from __future__ import annotations

import itertools
import json
import statistics
import warnings
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from torchmetrics.functional.regression import kendall_rank_corrcoef

from benchmarks.controls import from_file
from benchmarks.cpu_time import CPUTime
from benchmarks.search import known_table
from benchmarks.search.known_table import Images
from metanas_pl import MetaNASModule
from metanas_pl.config import EvaluationConfig, NASConfig
from metanas_pl.errors import UserError
from metanas_pl.search_spaces.ops.names import PRIMITIVES

Judgement = dict[str, Any]
WARM_UP, PRUNE_INTERVAL = 10, 10
"""Outer steps; the search is short."""
RANDOM_SEARCHES = 100
"""Random search costs nothing with a table, so it is tried often."""


def searched(nas: str, images: Images, seed: int, seconds: float) -> MetaNASModule:
    """Returns the supernet that a NAS method has trained for so many seconds of CPU time."""
    pl.seed_everything(seed, verbose=False)
    outer = {**known_table.OUTER, "warm_up_steps": WARM_UP}
    nas_of_file = replace(from_file(NASConfig, "nas", nas), meta_prune_interval=PRUNE_INTERVAL)
    module = MetaNASModule(
        known_table.SPACE,
        nas_of_file,
        {"outer": outer},
        image_shape=images.shape,
        n_ways=5,
        seed=seed,
    )
    trainer = known_table.trainer(-1, [CPUTime(seconds)])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        trainer.fit(module, known_table.episodes_of(images, seed))
    return module


def chosen(module: MetaNASModule) -> str:
    """Returns the network of the meta-genotype, as the table names it."""
    mixing = module.space.prune(module.probabilities(module.nas.t_min))
    names = {cell: PRIMITIVES[int(weight.argmax())] for cell, weight in mixing.items()}
    return f"{names['reduce']}/{names['normal']}"


def scores_within(module: MetaNASModule, images: Images, n_episodes: int) -> dict[str, float]:
    """Returns the validation accuracy of each network with the weights of the supernet."""
    episodes = known_table.episodes_of(images, 0, n_episodes)
    episodes.prepare_data()
    episodes.setup()
    theta, plan, found = module.theta(), EvaluationConfig(arch_steps=0), {}
    everything = {name: torch.ones_like(alive) for name, alive in module.mask().items()}
    for reduce, normal in itertools.product(range(len(PRIMITIVES)), repeat=2):
        alphas = {name: torch.zeros_like(alpha) for name, alpha in theta.alphas.items()}
        alphas["reduce"][0, reduce] = alphas["normal"][0, normal] = 100 * module.nas.t_min
        point = theta._replace(alphas=alphas)
        parts = [
            module.learner.outcome(point, batch, seed=0, mask=everything, plan=plan).accuracy
            for batch in episodes.val_dataloader()
        ]
        found[f"{PRIMITIVES[reduce]}/{PRIMITIVES[normal]}"] = float(torch.cat(parts).mean())
    return found


def truth_of(data: str) -> dict[str, float]:
    """Returns the test accuracy of every network of the table, the mean over its seeds."""
    networks = known_table.read(data)["networks"]
    complete = {name: seeds for name, seeds in networks.items() if seeds}
    return {n: statistics.mean(r["test"] for r in seeds.values()) for n, seeds in complete.items()}


def judged(choice: str, truth: dict[str, float]) -> Judgement:
    """Returns regret, in points, and rank of a choice.

    >>> judged("b", {"a": 0.5, "b": 0.4})
    {'chosen': 'b', 'regret': 10.0, 'rank': 2}
    """
    rank = 1 + sum(value > truth[choice] for value in truth.values())
    regret = round(100 * (max(truth.values()) - truth[choice]), 2)
    return {"chosen": choice, "regret": regret, "rank": rank}


def best(scores: dict[str, float]) -> str:
    """Returns the network of the highest score; of several, the first.

    >>> best({"a": 0.5, "b": 0.6, "c": 0.6})
    'b'
    """
    return max(scores, key=lambda name: scores[name])


def tau(scores: dict[str, float], truth: dict[str, float]) -> float:
    """Returns Kendall's tau (b) of two scores of the same networks.

    >>> tau({"a": 1.0, "b": 2.0, "c": 3.0}, {"a": 0.1, "b": 0.2, "c": 0.3})
    1.0
    """
    pairs = [torch.tensor([of[name] for name in truth]) for of in (scores, truth)]
    return round(float(kendall_rank_corrcoef(*pairs)), 3)


def random_search(data: str, seed: int, seconds: float, truth: dict[str, float]) -> Judgement:
    """Returns what random search chooses, by the validation accuracies and CPU times of the table."""
    networks, left, tried = known_table.read(data)["networks"], seconds, dict[str, float]()
    for name in np.random.default_rng(seed).permutation(sorted(truth)):
        row = next(iter(networks[name].values()))
        if tried and row["cpu_seconds"] > left:
            break
        left -= row["cpu_seconds"]
        tried[str(name)] = row["val"]
    return judged(best(tried), truth) | {"networks": len(tried)}


def read(data: str) -> dict[str, Any]:
    """Returns the searches so far: ``methods[nas][seed] -> chosen, within, outer_steps``."""
    path = file_of(data)
    if not path.exists():
        return {"methods": {}}
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return found


def file_of(data: str) -> Path:
    """Returns the file of the searches on a data set."""
    return known_table.RESULTS / f"searched_{data}.json"


def search(
    images: Images, methods: Sequence[str], seeds: Sequence[int], seconds: float, n_episodes: int
) -> None:
    """Searches with the methods that the file does not hold yet, seed by seed, and writes after each."""
    torch.set_num_threads(1)
    file = file_of(images.name)
    found = read(images.name)
    if found.setdefault("cpu_seconds", seconds) != seconds:
        raise UserError(f"{file} is of searches of {found['cpu_seconds']} s: remove it")
    for seed, nas in itertools.product(seeds, methods):
        of_method = found["methods"].setdefault(nas, {})
        if str(seed) in of_method:
            continue
        module = searched(nas, images, seed, seconds)
        steps = module.trainer.global_step
        within = {n: round(v, 4) for n, v in scores_within(module, images, n_episodes).items()}
        of_method[str(seed)] = {"chosen": chosen(module), "outer_steps": steps, "within": within}
        print(f"seed {seed}  {nas}: {chosen(module)} after {steps} steps", flush=True)
        file.write_text(json.dumps(found) + "\n", encoding="utf-8")


def judgements(data: str) -> dict[str, list[Judgement]]:
    """Returns the judgements of every method, seed by seed, and of random search in the same CPU time."""
    found, truth = read(data), truth_of(data)
    of_methods = {
        nas: [
            judged(run["chosen"], truth)
            | {"tau": tau(run["within"], truth)}
            | {"regret_within": judged(best(run["within"]), truth)["regret"]}
            for run in seeds.values()
        ]
        for nas, seeds in found["methods"].items()
    }
    draws = [
        random_search(data, seed, found["cpu_seconds"], truth) for seed in range(RANDOM_SEARCHES)
    ]
    return of_methods | {"random search": draws}


def table(data: str) -> str:
    """Returns the judgements as a Markdown table, means over the seeds."""
    truth = truth_of(data)
    lines = [
        f"{len(truth)} networks, {100 * min(truth.values()):.1f} to {100 * max(truth.values()):.1f} %",
        "",
        "| method | seeds | regret, points | rank | tau | regret of the best within the supernet |",
        "|---|---|---|---|---|---|",
    ]
    for nas, runs in judgements(data).items():
        regret, rank = (statistics.mean(run[key] for run in runs) for key in ("regret", "rank"))
        of_supernet = " | "
        if all("tau" in run for run in runs):
            of_supernet = " | ".join(
                f"{statistics.mean(run[key] for run in runs):.2f}"
                for key in ("tau", "regret_within")
            )
        lines.append(f"| {nas} | {len(runs)} | {regret:.2f} | {rank:.1f} | {of_supernet} |")
    return "\n".join(lines)
