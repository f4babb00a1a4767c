"""Command lines of runs: from the words of the user to a checked configuration and its run folder."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import hydra
from hydra.core.plugins import Plugins
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from metanas_pl.cli.composing import (
    CONFIG_DIR,
    OutsideConfigs,
    explained,
    in_short,
    register_schemas,
    understood,
)
from metanas_pl.cli.console import make_printable
from metanas_pl.cli.devices import resolve_devices
from metanas_pl.cli.errors import SHOW_TRACE, versions, with_short_errors
from metanas_pl.config import Config
from metanas_pl.config.compatibility import check_strategy
from metanas_pl.errors import UserError
from metanas_pl.training.ranks import is_first_process
from metanas_pl.utils.files import write_whole
from metanas_pl.utils.malloc import keep_freed_memory

if TYPE_CHECKING:
    from metanas_pl.cli.report import Results
    from metanas_pl.types import Checkpoint

HELP = {"--help", "-h"}
SWEEP = {"--multirun", "-m"}
OBJECTIVE = "val/best_accuracy"  # the result that a sweep maximises


def to_config(cfg: DictConfig, trains: bool = True) -> Config:
    """Returns typed, validated configuration of a training, or of something that needs no meta-batch.

    Raises:
        UserError: a value that makes no sense; the message names key, value and what is allowed.
    """
    try:
        config = OmegaConf.to_object(cfg)
    except OmegaConfBaseException as error:  # as of data.root: ??? in a file
        raise UserError(in_short(error)) from error
    assert isinstance(config, Config)
    if trains:
        check_strategy(str(config.trainer.get("strategy", "auto")))
        resolve_devices(config)
    return config


def read_checkpoint(path: str) -> Checkpoint:
    """Returns a checkpoint of ``metanas-train`` (see ``checkpoint.read``), loading torch only now.

    Raises:
        UserError: there is no such file, or it is something else, damaged, or too new.
    """
    from metanas_pl.training.checkpointing import checkpoint

    return checkpoint.read(path)


def make_run_dir(config: Config) -> Path:
    """Returns the run folder, in which the first process leaves ``config.yaml``.

    Raises:
        UserError: it cannot be made or written to.
        RunFailed: there is no space left.
    """
    run_dir = Path(config.run_dir).resolve()
    if is_first_process():
        written = OmegaConf.to_yaml(OmegaConf.create(asdict(config)))
        try:
            write_whole(run_dir / "config.yaml", written.encode())
        except OSError as error:
            raise UserError(f"nothing can be written to the run folder: {error}") from error
    return run_dir


def check_run_dir(arguments: list[str]) -> None:
    """Processes that a cluster starts must be told their run folder: by default the clock names it.

    Raises:
        UserError: they are not.
    """
    n_processes = max(int(os.environ.get(name) or 1) for name in ("WORLD_SIZE", "SLURM_NTASKS"))
    if n_processes > 1 and not any(
        a.startswith(("hydra.run.dir=", "hydra.sweep.dir=")) for a in arguments
    ):
        raise UserError(
            f"{n_processes} processes were started, and each would name a run folder by its own clock: "
            "set hydra.run.dir=…, on a disk that all of them see"
        )


def main(run: Callable[[DictConfig], Results]) -> None:
    """Console-script wrapper around ``run(cfg)``."""
    make_printable()
    with_short_errors(lambda: launch(run))


def launch(run: Callable[[DictConfig], Results]) -> None:
    """Composes what the command line asks for and hands it to ``run``, or shows it.

    Raises:
        UserError: there is no such configuration.
    """
    flags = {a for a in sys.argv[1:] if a.startswith("-")}
    if "--version" in flags:
        print(versions())
        return
    register_schemas()
    sweeps = bool(flags & SWEEP) or "hydra.mode=MULTIRUN" in sys.argv
    sys.argv[1:] = [a if a in flags else understood([a], sweeps)[0] for a in sys.argv[1:]]
    words = [a for a in sys.argv[1:] if not a.startswith("-")]
    if not flags:
        check_run_dir(words)
    if flags & HELP:
        Plugins.instance().register(OutsideConfigs)
    asked = os.environ.get(SHOW_TRACE, "0")

    def job(cfg: DictConfig) -> float | None:
        keep_freed_memory()  # the process is ours
        with variable(SHOW_TRACE, asked):
            results = with_short_errors(lambda: run(cfg), cfg.run_dir)
        return results.get(OBJECTIVE)

    entry = hydra.main(version_base="1.3", config_path=CONFIG_DIR, config_name="config")(job)
    with variable(SHOW_TRACE, "1"):  # Hydra hands its errors on instead of printing them
        if asked == "1":  # an error may be of the job
            entry()
            return
        try:
            with explained(words):
                entry()
        except OSError as error:
            raise UserError(f"the run folder (hydra.run.dir) cannot be made: {error}") from error


@contextmanager
def variable(name: str, value: str) -> Iterator[None]:
    """Gives an environment variable ``value`` for the block."""
    before = os.environ.get(name)
    os.environ[name] = value
    try:
        yield
    finally:
        if before is None:
            del os.environ[name]
        else:
            os.environ[name] = before
