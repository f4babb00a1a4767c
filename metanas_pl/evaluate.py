"""``metanas-evaluate``: the test figures of a checkpoint, as trained or with other episodes or steps."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf

from metanas_pl import cli, conf

GROUPS = ("data", "evaluation", "trainer", "logger")


def run(cfg: DictConfig) -> dict[str, Any]:
    """Test ``ckpt_path``; returns the results.

    Data and evaluation are those of the training, but for what the command line overrides.

    Raises:
        ValueError: no checkpoint is named, or it does not fit the overrides.
    """
    from metanas_pl.assembly import make_datamodule, make_trainer
    from metanas_pl.module import MetaNASModule
    from metanas_pl.train import test

    if cfg.ckpt_path is None:
        raise ValueError(
            "ckpt_path is missing: metanas-evaluate ckpt_path=<run>/checkpoints/best.ckpt"
        )
    asked = cli.to_config(cfg)
    config = as_trained(asked, HydraConfig.get().overrides.task)
    run_dir = Path(asked.run_dir).resolve()
    assert config.ckpt_path is not None
    module = MetaNASModule.load_from_checkpoint(
        config.ckpt_path, map_location="cpu", weights_only=True, evaluation=config.evaluation
    )
    with make_trainer(config, run_dir) as trainer:
        return test(trainer, module, make_datamodule(config), config, run_dir, None, {})


def as_trained(asked: conf.Config, overrides: list[str]) -> conf.Config:
    """The configuration of the checkpoint's run, with the overrides of this command line on top."""
    import torch

    assert asked.ckpt_path is not None
    checkpoint = torch.load(asked.ckpt_path, map_location="cpu", weights_only=True)
    known = checkpoint.get("hyper_parameters", {})
    stored = checkpoint.get("datamodule_hyper_parameters")
    if not known or not stored:
        raise ValueError(f"ckpt_path={asked.ckpt_path} is not a checkpoint of metanas-train")
    seed = known["seed"]
    data = {k: v for k, v in stored.items() if k != "seed"}
    trained = OmegaConf.create({"data": data, "evaluation": known["evaluation"]})
    new = OmegaConf.create(cli.resolved(asked))
    for override in overrides:
        key = override.split("=")[0].lstrip("+~").split("@")[0]
        if key.partition(".")[0] in ("data", "evaluation"):
            OmegaConf.update(trained, key, OmegaConf.select(new, key), merge=False)
    plain: Any = OmegaConf.to_container(trained)
    asked.data = conf.from_plain(conf.DataConfig, plain["data"])
    asked.evaluation = conf.from_plain(conf.EvaluationConfig, plain["evaluation"])
    asked.seed = seed
    return asked


def main() -> None:
    """Console script."""
    cli.main(run)


if __name__ == "__main__":
    main()
