"""Judge NAS methods by the known table: what they choose, and how their supernet ranks all networks.

    python -m benchmarks.search judge --nas darts_first_order path --seeds 0 1 2 --seconds 120

trains a supernet with each method for the same CPU time, and reads from the table: the *regret* (accuracy
of the best network less that of the chosen one), the *rank* of the chosen one, and Kendall's tau between
the accuracies of the 49 networks within the supernet, on validation episodes, and their accuracies when
trained alone. Random search with the same CPU time trains the networks that fit in it, and takes the best
on validation.
"""

from __future__ import annotations

import itertools
import json
import statistics
import warnings
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from torchmetrics.functional.regression import kendall_rank_corrcoef

from benchmarks.controls import from_file
from benchmarks.cpu_time import CPUTime
from benchmarks.search import known_table
from metanas_pl import MetaNASModule
from metanas_pl.config import EvaluationConfig, NASConfig
from metanas_pl.search_spaces.ops.names import PRIMITIVES

Judgement = dict[str, Any]
WARM_UP, PRUNE_INTERVAL = 10, 10
"""Outer steps; the search is short."""


def searched(nas: str, data: str, seed: int, seconds: float) -> MetaNASModule:
    """Returns the supernet that a NAS method has trained for so many seconds of CPU time."""
    pl.seed_everything(seed, verbose=False)
    outer = {**known_table.OUTER, "warm_up_steps": WARM_UP}
    shape = known_table.shape_of(data)
    nas_of_file = replace(from_file(NASConfig, "nas", nas), meta_prune_interval=PRUNE_INTERVAL)
    module = MetaNASModule(
        known_table.SPACE,
        nas_of_file,
        {"outer": outer},
        image_shape=shape,
        n_ways=5,
        seed=seed,
    )
    trainer = known_table.trainer(-1, [CPUTime(seconds)])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        trainer.fit(module, known_table.episodes_of(data, seed))
    return module


def chosen(module: MetaNASModule) -> str:
    """Returns the network of the meta-genotype, as the table names it."""
    mixing = module.space.prune(module.probabilities(module.nas.t_min))
    names = {cell: PRIMITIVES[int(weight.argmax())] for cell, weight in mixing.items()}
    return f"{names['reduce']}/{names['normal']}"


def scores_within(module: MetaNASModule, data: str, n_episodes: int) -> dict[str, float]:
    """Returns the validation accuracy of each network with the weights of the supernet."""
    episodes = known_table.episodes_of(data, 0, n_episodes)
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
    return judged(max(tried, key=lambda n: tried[n]), truth) | {"networks": len(tried)}


def judge(
    data: str, methods: Sequence[str], seeds: Sequence[int], seconds: float, n_episodes: int
) -> None:
    """Judges methods that the file does not hold yet, writes and prints what came of it."""
    torch.set_num_threads(1)
    truth, path = truth_of(data), known_table.RESULTS / f"judged_{data}.json"
    rows: dict[str, dict[str, Judgement]] = {}
    if path.exists():
        rows = json.loads(path.read_text(encoding="utf-8"))["methods"]
    for nas, seed in itertools.product([*methods, "random search"], seeds):
        of_method = rows.setdefault(nas, {})
        if str(seed) in of_method:
            continue
        if nas == "random search":
            of_method[str(seed)] = random_search(data, seed, seconds, truth)
        else:
            module = searched(nas, data, seed, seconds)
            ranks = tau(scores_within(module, data, n_episodes), truth)
            steps = {"tau": ranks, "outer_steps": module.trainer.global_step}
            of_method[str(seed)] = judged(chosen(module), truth) | steps
        print(f"{nas}  seed {seed}  {of_method[str(seed)]}", flush=True)
        text = json.dumps({"cpu_seconds": seconds, "methods": rows}, indent=1)
        path.write_text(text + "\n", encoding="utf-8")
