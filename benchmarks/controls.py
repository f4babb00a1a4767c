"""Does search beat networks that were never searched? The controls beside a run of ``metanas-train``.

    python -m benchmarks.controls RUN [--genotypes 3]

trains, each for the CPU time of the run and on the same episodes: random genotypes of the run's space
(``nas=fixed``) and Conv4-32; then prints accuracy and the paired difference to the run, with 95 %
intervals over episodes, and writes them to ``RUN/controls.json``. Controls that ``RUN/controls`` holds
already are not trained again.
"""

from __future__ import annotations

import argparse
import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from benchmarks import run_folder
from benchmarks.cpu_time import callback
from benchmarks.run_folder import accuracies
from metanas_pl.cli import app
from metanas_pl.cli.train import run
from metanas_pl.config import CellSpaceConfig, Config, Conv4Config, NASConfig, from_plain
from metanas_pl.engine.metrics import mean_interval95, paired_gain95
from metanas_pl.errors import UserError
from metanas_pl.search_spaces.genotypes.genotype import Cell, Genotype
from metanas_pl.search_spaces.ops.names import NONE
from metanas_pl.utils.malloc import keep_freed_memory

FILES_OF_A_RUN = ("config.yaml", "results.json", "episodes_test.csv")
Table = dict[str, dict[str, float]]
T = TypeVar("T")


def random_genotype(space: CellSpaceConfig, seed: int) -> Genotype:
    """Uniform primitives on two different uniform inputs of each node."""
    rng = np.random.default_rng(seed)
    primitives = [name for name in space.primitives if name != NONE]

    def cell() -> Cell:
        nodes = []
        for i in range(space.n_nodes):
            inputs = sorted(rng.choice(i + 2, 2, replace=False).tolist())
            nodes.append(tuple((str(rng.choice(primitives)), k) for k in inputs))
        return tuple(nodes)

    return Genotype(normal=cell(), reduce=cell())


def typed(folder: Path) -> Config:
    """The configuration of a finished run, from its ``config.yaml``, to be trained from the start."""
    stored = run_folder.configuration(folder)
    earlier = {"data": {"eval_seed": stored.get("seed", 0)}}  # of a run that did not know the key
    try:
        schema = OmegaConf.structured(Config)
        merged = OmegaConf.merge(schema, earlier, stored, {"ckpt_path": None})
    except OmegaConfBaseException as error:
        reason = str(error).splitlines()[0]
        raise UserError(f"{folder / 'config.yaml'} is damaged: {reason}") from error
    assert isinstance(merged, DictConfig)
    return app.to_config(merged)


def from_file(schema: type[T], group: str, name: str) -> T:
    """What ``group=name`` is, for a file that takes nothing but its schema from others."""
    values = OmegaConf.to_container(OmegaConf.load(Path(app.CONFIG_DIR, group, f"{name}.yaml")))
    assert isinstance(values, dict)
    return from_plain(schema, {k: v for k, v in values.items() if k != "defaults"})


def moved(values: Any, old: str, new: str) -> Any:
    """``values`` in which every path in the folder ``old`` leads into ``new``."""
    if isinstance(values, Mapping):
        return {key: moved(value, old, new) for key, value in values.items()}
    if isinstance(values, str) and f"{values}/".startswith(f"{old}/"):
        return new + values[len(old) :]
    return values


def control(folder: Path, name: str, seconds: float, space: Any) -> Path:
    """The folder of one control, trained for ``seconds`` of CPU time and tested unless it was before."""
    place = folder / "controls" / name
    if not (place / "results.json").exists():
        config = typed(folder)
        old, new = config.run_dir, str(place)
        config.callbacks = moved(config.callbacks, old, new)
        config.logger = moved(config.logger, old, new)
        config.run_dir, config.space = new, space
        config.nas = from_file(NASConfig, "nas", "fixed")
        config.callbacks["cpu_time"] = callback(seconds)
        config.trainer |= {"max_epochs": -1, "devices": 1}
        shutil.rmtree(place / "checkpoints", ignore_errors=True)  # of one that was stopped
        config.trainer |= {"max_steps": -1, "min_steps": None, "min_epochs": None}
        run(config)
    return place


def compare(ours: torch.Tensor, others: Mapping[str, torch.Tensor]) -> Table:
    """Accuracy of the run and of the others, and what the run has more than each, with intervals."""
    table: Table = {}
    for name, values in {"this run": ours, **others}.items():
        mean, interval = mean_interval95(values)
        table[name] = {"accuracy": mean, "accuracy_ci95": interval}
        if name in others:
            gain, spread = paired_gain95(values, ours)
            table[name] |= {"run_minus_it": gain, "run_minus_it_ci95": spread}
    return table


def print_table(table: Table, seconds: float) -> None:
    """Print the comparison, in percent."""
    from rich.console import Console
    from rich.table import Table as RichTable

    title = f"controls, trained for {seconds:.0f} s of CPU time each, as this run was"
    shown = RichTable("network", title=title, title_justify="left")
    keys = {"accuracy": "accuracy", "run_minus_it": "this run minus it (paired)"}
    for header in keys.values():
        shown.add_column(header, justify="right")
    for name, row in table.items():
        cells = [
            f"{100 * row[key]:{sign}.2f} ± {100 * row[key + '_ci95']:.2f} %" if key in row else ""
            for key, sign in zip(keys, ("", "+"), strict=True)
        ]
        shown.add_row(name, *cells)
    Console().print(shown)


def parse(argv: Sequence[str] | None) -> tuple[Path, int]:
    """Run folder and number of genotypes; a folder that has no controls ends the program."""
    parser = argparse.ArgumentParser("python -m benchmarks.controls", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("run", type=Path, help="run folder of metanas-train")
    parser.add_argument("--genotypes", type=int, default=3, help="number of random genotypes")
    options = parser.parse_args(argv)
    folder = options.run.resolve()
    missing = [name for name in FILES_OF_A_RUN if not (folder / name).is_file()]
    if missing:
        parser.error(f"{folder} is no folder of a finished run: {', '.join(missing)} missing")
    config = typed(folder)
    if not config.nas.search or config.space["builder"] != CellSpaceConfig.builder:
        parser.error(f"{folder} did not search a space of cells: there is nothing to draw from")
    return folder, options.genotypes


def main(argv: Sequence[str] | None = None) -> None:
    """Console script; what is wrong with the run folder is told in one line."""
    keep_freed_memory()  # as metanas-train does
    app.with_short_errors(lambda: train_and_compare(*parse(argv)))


def train_and_compare(folder: Path, n_genotypes: int) -> None:
    """Train the controls, print the table and write it."""
    seconds = run_folder.figure(folder, "train/cpu_seconds")
    space = from_plain(CellSpaceConfig, typed(folder).space)
    others = {"pixel neighbour": accuracies(folder, "pixel_nn")}
    (folder / "controls").mkdir(exist_ok=True)
    for seed in range(n_genotypes):
        path = folder / "controls" / f"random_{seed}.json"
        random_genotype(space, seed).save(path)
        fixed = replace(space, genotype=str(path), affine=False)
        place = control(folder, f"random_{seed}", seconds, fixed)
        others[f"random genotype {seed}, as in the supernet"] = accuracies(place)
    fixed = replace(space, genotype=str(folder / "controls" / "random_0.json"), affine=True)
    place = control(folder, "random_0_affine", seconds, fixed)
    others["random genotype 0, affine batch norms"] = accuracies(place)
    others["Conv4-32"] = accuracies(control(folder, "conv4", seconds, Conv4Config()))
    table = compare(accuracies(folder), others)
    text = json.dumps({"train/cpu_seconds": seconds, "networks": table}, indent=2)
    (folder / "controls.json").write_text(text + "\n", encoding="utf-8")
    print_table(table, seconds)


if __name__ == "__main__":
    main()
