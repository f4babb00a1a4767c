"""Does search beat networks that were never searched? The controls beside a run of ``metanas-train``.

    python -m benchmarks.controls RUN_FOLDER [--genotypes 3]

trains, each as long as the run was trained and on the same episodes: random genotypes of the run's space
(``nas=fixed``) and Conv4-32; then prints accuracy and the paired difference to the run, with 95 %
intervals over episodes. Folders ``RUN_FOLDER/controls/*`` that are there already are not trained again.
"""

from __future__ import annotations

import argparse
import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from omegaconf import OmegaConf

from metanas_pl.conf import (
    CellSpaceConfig,
    Config,
    Conv4Config,
    DataConfig,
    EvaluationConfig,
    MetaConfig,
    NASConfig,
    from_plain,
)
from metanas_pl.metrics import mean_interval95, paired_gain95
from metanas_pl.spaces.genotype import Genotype
from metanas_pl.train import run

FIXED = NASConfig(
    name="fixed", search=False, alpha_gradient="metanas_pl.functional.architecture_steps.frozen"
)


def random_genotype(space: CellSpaceConfig, seed: int) -> Genotype:
    """Uniform primitives on two different uniform inputs of each node."""
    rng = np.random.default_rng(seed)

    def cell() -> tuple[tuple[tuple[str, int], ...], ...]:
        nodes = []
        for i in range(space.n_nodes):
            inputs = sorted(rng.choice(i + 2, 2, replace=False).tolist())
            nodes.append(tuple((str(rng.choice(space.primitives)), k) for k in inputs))
        return tuple(nodes)

    return Genotype(normal=cell(), reduce=cell())


def typed(values: dict[str, Any]) -> Config:
    """The configuration of a finished run, from its ``config.yaml``."""
    schemas = {
        "data": DataConfig,
        "space": CellSpaceConfig,
        "nas": NASConfig,
        "meta": MetaConfig,
        "evaluation": EvaluationConfig,
    }
    return Config(
        **{k: from_plain(schemas[k], v) if k in schemas else v for k, v in values.items()}
    )


def control(folder: Path, name: str, seconds: float, space: Any) -> Path:
    """Train and test one control for ``seconds``, unless it is there."""
    place = folder / "controls" / name
    if not (place / "results.json").exists():
        text = (folder / "config.yaml").read_text().replace(str(folder), str(place))
        config = typed(OmegaConf.to_container(OmegaConf.create(text)))  # type: ignore[arg-type]
        config.space, config.nas, config.run_dir, config.ckpt_path = space, FIXED, str(place), None
        minutes, rest = divmod(int(seconds), 60)
        config.trainer |= {"max_steps": -1, "max_time": f"00:00:{minutes:02d}:{rest:02d}"}
        run(config)
    return place


def accuracies(folder: Path, column: str = "accuracy") -> torch.Tensor:
    """A column of ``episodes_test.csv``."""
    with (folder / "episodes_test.csv").open() as file:
        return torch.tensor([float(row[column]) for row in csv.DictReader(file)]).double()


def main() -> None:
    """Train the controls and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("run", type=Path, help="run folder of metanas-train")
    parser.add_argument("--genotypes", type=int, default=3, help="number of random genotypes")
    options = parser.parse_args()
    folder = options.run.resolve()
    seconds = json.loads((folder / "results.json").read_text())["train/seconds"]
    space = from_plain(
        CellSpaceConfig, OmegaConf.to_container(OmegaConf.load(folder / "config.yaml"))["space"]
    )
    rows = {"this run": accuracies(folder), "pixel neighbour": accuracies(folder, "pixel_nn")}
    for seed in range(options.genotypes):
        path = folder / "controls" / f"random_{seed}.json"
        path.parent.mkdir(exist_ok=True)
        random_genotype(space, seed).save(path)
        fixed = from_plain(CellSpaceConfig, {**vars(space), "genotype": str(path)})
        rows[f"random genotype {seed}"] = accuracies(
            control(folder, f"random_{seed}", seconds, fixed)
        )
    rows["Conv4-32"] = accuracies(control(folder, "conv4", seconds, Conv4Config()))
    print(f"{'':20} accuracy, %        this run minus it, %   (training: {seconds:.0f} s each)")
    for name, values in rows.items():
        mean, interval = mean_interval95(values)
        gain, spread = paired_gain95(values, rows["this run"])
        difference = "" if name == "this run" else f"{100 * gain:+.2f} ± {100 * spread:.2f}"
        print(f"{name:20} {100 * mean:.2f} ± {100 * interval:.2f}       {difference}")


if __name__ == "__main__":
    main()
