"""``metanas-evaluate``: the test figures of a checkpoint, as trained or with other episodes or steps."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import DictConfig

from metanas_pl.cli import app
from metanas_pl.config import (
    Config,
    DataConfig,
    EvaluationConfig,
    MetaConfig,
    NASConfig,
    check,
    from_plain,
)
from metanas_pl.errors import UserError
from metanas_pl.training.checkpointing.resume import find
from metanas_pl.training.run_folder import check_free, has_checkpoints, held

if TYPE_CHECKING:
    from metanas_pl.cli.report import Results
    from metanas_pl.data.datamodule import EpisodeDataModule
    from metanas_pl.module import MetaNASModule

TAKES = ("data", "evaluation", "trainer", "logger", "callbacks", "ckpt_path", "run_dir", "seed")
CHANGES = {  # keys that an override changes here, where it is not the one that it names
    "data": ("source", "root", "weights", "options"),
    "data.source": ("source", "root", "weights", "options"),
}


def run(cfg: DictConfig) -> Results:
    """Tests ``ckpt_path``; returns the results.

    Everything is as trained, but for what the command line overrides.

    Raises:
        UserError: no checkpoint is named, it does not fit the overrides, or the data is not that of
            its training.
    """
    from metanas_pl.cli.train import test
    from metanas_pl.cli.trainer import begin_logging, make_trainer
    from metanas_pl.training.finite import naming

    if cfg.ckpt_path is None:
        raise UserError(
            "ckpt_path is missing: metanas-evaluate ckpt_path=<run folder> (or a file in it)"
        )
    named, cfg.ckpt_path = cfg.ckpt_path, None  # values are checked before files are looked for
    config = app.to_config(cfg, trains=False)
    config.ckpt_path = named_checkpoint(named, cfg.run_dir)
    if has_checkpoints(cfg.run_dir):  # a training, whose own results stay
        now = f"{datetime.now():%Y-%m-%d_%H-%M-%S-%f}"
        config.run_dir = str(Path(cfg.run_dir, "evaluations", now))
    config = as_trained(config, HydraConfig.get().overrides.task)
    with held(config.run_dir):
        check_free(config.run_dir, None)
        run_dir = app.make_run_dir(config)
        module, datamodule = load(config)
        with make_trainer(config, run_dir) as trainer:
            begin_logging(trainer, config)
            with naming(lambda: f"ckpt_path={config.ckpt_path}"):
                return test(trainer, module, datamodule, config, run_dir, None, {})


def named_checkpoint(named: str, run_dir: str) -> str:
    """Returns the file that ``ckpt_path`` names; printed, if it is a run that is named.

    Raises:
        UserError: there is none.
    """
    path = find(named, run_dir)
    if path != named:
        print(f"{'ckpt_path':<10}{path}")
    return path


def load(config: Config) -> tuple[MetaNASModule, EpisodeDataModule]:
    """Returns the trained module of ``ckpt_path``, and the data: by default that of the training."""
    from metanas_pl.cli.factories import make_datamodule, opened, trained_module
    from metanas_pl.data.store.identity import checked

    assert config.ckpt_path is not None
    checkpoint = app.read_checkpoint(config.ckpt_path)
    module = trained_module(checkpoint, config)
    datamodule = make_datamodule(config)
    known = checkpoint.get(type(datamodule).__qualname__, {})
    datamodule.trained_on = checked(known)
    datamodule.other_data = config.evaluation.other_data
    return module, opened(datamodule)


def as_trained(asked: Config, overrides: list[str]) -> Config:
    """Returns the configuration of the checkpoint's run, with the overrides of this command line on top.

    Raises:
        UserError: an override of something that a trained network cannot change.
    """
    assert asked.ckpt_path is not None
    checkpoint = app.read_checkpoint(asked.ckpt_path)
    known = checkpoint["hyper_parameters"]
    stored = {k: v for k, v in checkpoint["datamodule_hyper_parameters"].items() if k != "seed"}
    trained = {"data": stored, "evaluation": {**known["evaluation"], "other_data": False}}
    new = asdict(asked)
    for key in overridden(overrides):
        group, _, name = key.partition(".")
        check(group in TAKES, key, "...", f"metanas-evaluate takes {', '.join(TAKES)}")
        outer, _, inner = name.partition(".")  # data.options.split
        if inner and group in trained:
            value = new[group][outer][inner]
            trained[group][outer] = {**(trained[group][outer] or {}), inner: value}
        elif group in trained:
            names = CHANGES.get(key) or ((name,) if name else tuple(new[group]))
            trained[group] |= {n: new[group][n] for n in names}
    channels, size, _ = known["image_shape"]
    for name, value in (("channels", channels), ("image_size", size)):
        allowed = f"the network was trained with {value}"
        check(trained["data"][name] == value, f"data.{name}", trained["data"][name], allowed)
    asked.data = from_plain(DataConfig, trained["data"])
    asked.evaluation = from_plain(EvaluationConfig, trained["evaluation"])
    asked.space = known["space"]
    asked.seed = asked.seed if "seed" in overridden(overrides) else known["seed"]
    asked.nas = from_plain(NASConfig, known["nas"])
    asked.meta = from_plain(MetaConfig, known["meta"])
    return asked


def overridden(overrides: list[str]) -> list[str]:
    """Returns keys and groups that a command line sets, whole groups first.

    >>> overridden(["data.n_ways=3", "data=folder", "+trainer.x=1"])
    ['data', 'data.n_ways', 'trainer.x']
    """
    keys = [o.key_or_group for o in OverridesParser.create().parse_overrides(overrides)]
    return sorted(keys, key=lambda key: "." in key)


def main() -> None:
    """Console script."""
    app.main(run)


if __name__ == "__main__":
    main()
