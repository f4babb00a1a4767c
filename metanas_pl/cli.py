"""Command lines: compose the configuration, check it, and turn a user's mistake into a short message."""

from __future__ import annotations

import difflib
import os
import re
import sys
import warnings
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any, NoReturn

import hydra
from hydra import compose, initialize_config_dir
from hydra.core.config_search_path import ConfigSearchPath
from hydra.core.config_store import ConfigStore
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.plugins import Plugins
from hydra.errors import HydraException
from hydra.plugins.search_path_plugin import SearchPathPlugin
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import ConfigAttributeError, ConfigKeyError, OmegaConfBaseException
from yaml import YAMLError

from metanas_pl import conf
from metanas_pl.compatibility import check_strategy
from metanas_pl.errors import RunFailed
from metanas_pl.survival.disk import write_whole
from metanas_pl.survival.resume import LAST

CONFIG_DIR = str(
    next(
        folder
        for folder in (Path(__file__).parent / "configs", Path(__file__).parent.parent / "configs")
        if (folder / "config.yaml").exists()
    )
)
HELP = {"--help", "-h"}
SEARCH_PATH = "hydra.searchpath="
UNAVAILABLE = r"provider=.*, path=(.*) is not available\."  # Hydra's warning of a missing folder
RANKS = ("RANK", "LOCAL_RANK", "NODE_RANK", "GROUP_RANK", "SLURM_PROCID")
OBJECTIVE = "val/best_accuracy"  # the result that a sweep maximises


def register_schemas() -> None:
    """Make the dataclasses of ``metanas_pl.conf`` known to Hydra."""
    schema = OmegaConf.structured(conf.Config)
    for group in (
        schema.data,
        schema.nas,
        schema.meta,
    ):  # whose options are checked by what they name
        OmegaConf.set_struct(group.options, False)
    store = ConfigStore.instance()
    store.store(name="config_schema", node=schema)
    store.store(group="space", name="cells_schema", node=conf.CellSpaceConfig)
    store.store(group="space", name="conv4_schema", node=conf.Conv4Config)
    store.store(group="space", name="resnet12_schema", node=conf.ResNet12Config)
    store.store(group="space", name="nasbench201_schema", node=conf.Nasbench201Config)


def to_config(cfg: DictConfig, trains: bool = True) -> conf.Config:
    """Typed, validated configuration of a training, or of something that needs no meta-batch.

    Raises:
        ValueError: a value that makes no sense; the message names key, value and what is allowed.
    """
    config = OmegaConf.to_object(cfg)
    assert isinstance(config, conf.Config)
    if trains:
        check_devices(config)
    if config.ckpt_path is not None and config.ckpt_path != LAST:
        read_checkpoint(config.ckpt_path)
    return config


def read_checkpoint(path: str) -> dict[str, Any]:
    """A checkpoint of ``metanas-train`` (see ``checkpoint.read``), loading torch only now.

    Raises:
        ValueError: there is no such file, or it is something else, damaged, or too new.
    """
    from metanas_pl.survival import checkpoint

    return checkpoint.read(path)


def check_devices(config: conf.Config) -> None:
    """Every device must hold all parameters and get the same number of tasks."""
    check_strategy(str(config.trainer.get("strategy", "auto")))
    devices, nodes = config.trainer.get("devices", 1), config.trainer.get("num_nodes", 1)
    if isinstance(devices, int) and devices > 0:
        tasks = config.data.meta_batch_size
        conf.check(
            tasks % (devices * nodes) == 0,
            "trainer.devices",
            devices,
            f"data.meta_batch_size={tasks} tasks must divide evenly among {devices * nodes} devices",
        )


def make_run_dir(config: conf.Config) -> Path:
    """The run folder, in which the first process leaves ``config.yaml``.

    Raises:
        RunFailed: there is no space left.
    """
    run_dir = Path(config.run_dir).resolve()
    if is_first_process():
        written = OmegaConf.to_yaml(OmegaConf.create(asdict(config)))
        write_whole(run_dir / "config.yaml", written.encode())
    return run_dir


def is_first_process() -> bool:
    """Whether this is rank 0, by the environment in which Lightning, torchrun or srun started it."""
    return all(int(os.environ.get(name) or 0) == 0 for name in RANKS)


def check_run_dir(arguments: list[str]) -> None:
    """Processes that a cluster starts must be told their run folder: by default the clock names it."""
    n_processes = max(int(os.environ.get(name) or 1) for name in ("WORLD_SIZE", "SLURM_NTASKS"))
    if n_processes > 1 and not any(
        a.startswith(("hydra.run.dir=", "hydra.sweep.dir=")) for a in arguments
    ):
        fail(
            f"{n_processes} processes were started, and each would name a run folder by its own clock: "
            "set hydra.run.dir=…, on a disk that all of them see"
        )


def main(run: Callable[[DictConfig], Any]) -> None:
    """Console-script wrapper around ``run(cfg)``."""
    os.environ.setdefault("HYDRA_FULL_ERROR", "0")
    register_schemas()
    flags = {a for a in sys.argv[1:] if a.startswith("-")}
    if flags <= HELP:
        compose_checked([a for a in sys.argv[1:] if a not in flags])
    if not flags:
        check_run_dir(sys.argv[1:])
    if flags & HELP:
        Plugins.instance().register(OutsideConfigs)

    def job(cfg: DictConfig) -> float | None:
        results = with_short_errors(lambda: run(cfg))
        return results.get(OBJECTIVE)

    hydra.main(version_base="1.3", config_path=CONFIG_DIR, config_name="config")(job)()


class OutsideConfigs(SearchPathPlugin):
    """Folders of ``hydra.searchpath=[…]`` on the command line, which Hydra's ``--help`` leaves unlisted."""

    def manipulate_search_path(self, search_path: ConfigSearchPath) -> None:
        """Add them."""
        given = [a for a in sys.argv[1:] if a.startswith(SEARCH_PATH)]
        for override in OverridesParser.create().parse_overrides(given):
            folders = override.value()
            for folder in folders if isinstance(folders, list) else []:
                search_path.append("hydra.searchpath", folder)


def with_short_errors(action: Callable[[], Any]) -> Any:
    """Run ``action``; a user's mistake becomes one line and exit code 2, a failed run code 1."""
    try:
        return action()
    except RunFailed as failure:
        fail(str(failure), code=1)
    except Exception as error:
        if os.environ.get("HYDRA_FULL_ERROR") == "1" or not is_mistake(error):
            raise
        fail(str(error).split("\n")[0])


def is_mistake(error: Exception) -> bool:
    """Whether ``error`` tells a user's mistake, which its first line explains."""
    from pytorch_lightning.utilities.exceptions import MisconfigurationException

    return isinstance(error, ValueError | OmegaConfBaseException | MisconfigurationException)


def fail(message: str, code: int = 2) -> NoReturn:
    """Print what is wrong and exit."""
    print(f"error: {message}", file=sys.stderr)
    raise SystemExit(code)


def compose_checked(overrides: list[str]) -> DictConfig:
    """The configuration of these overrides; a mistake is answered in one or two lines."""
    with initialize_config_dir(CONFIG_DIR, version_base="1.3"), warnings.catch_warnings():
        warnings.filterwarnings("error", UNAVAILABLE)
        try:
            return compose("config", overrides=overrides)
        except UserWarning as warning:
            missing = re.sub(UNAVAILABLE, r"\1", str(warning))
            fail(f"{SEARCH_PATH}[…]: there is no {missing} (in a package it needs an __init__.py)")
        except (HydraException, OmegaConfBaseException) as error:
            if os.environ.get("HYDRA_FULL_ERROR") == "1":
                raise
            fail(_advice(error, _choices(overrides)))
        except (YAMLError, ValueError, TypeError, AttributeError) as error:  # in a user's file
            if os.environ.get("HYDRA_FULL_ERROR") == "1":
                raise
            fail(f"a file of the configuration cannot be read: {' '.join(str(error).split())}")


def _choices(overrides: list[str]) -> DictConfig:
    """What the chosen files alone compose to; without a mistaken choice, the default ones."""
    chosen = [o for o in overrides if o.startswith(SEARCH_PATH) or "." not in o.partition("=")[0]]
    try:
        return compose("config", overrides=chosen)
    except (HydraException, OmegaConfBaseException):
        return compose("config")


def _advice(error: Exception, defaults: DictConfig) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    cause: BaseException = error
    while cause.__cause__ is not None:
        cause = cause.__cause__
    override = re.match(r"Could not override '([^']+)'", lines[0])
    if override and isinstance(cause, ConfigKeyError | ConfigAttributeError):
        return _unknown_key(override[1], defaults)
    plugin = re.search(r"'hydra/(sweeper|launcher)/\w+'", lines[0])
    if plugin:
        extra = {"sweeper": "sweep", "launcher": "cluster"}[plugin[1]]
        return f"{lines[0]} It needs pip install 'metanas_pl[{extra}]'"
    in_a_file = re.search(r"full_key: (\S+)", str(error))
    if in_a_file and "ConfigKeyError raised while composing" in lines[0]:
        return f"{lines[0].partition(':')[0]}: {_unknown_key(in_a_file[1], defaults)}"
    if any("Available options" in line for line in lines):  # an unknown choice of a group
        options = [line for line in lines[2:] if " " not in line]
        return f"{lines[0]} Available: {', '.join(options)}"
    reason = str(cause).splitlines()[0]
    return lines[0] if reason in lines[0] else f"{lines[0]} {reason}"


def _unknown_key(key: str, defaults: DictConfig) -> str:
    group, _, name = key.rpartition(".")
    node = OmegaConf.select(defaults, group) if group else defaults
    known = [str(k) for k in node] if isinstance(node, DictConfig) else []
    close = difflib.get_close_matches(name, known, n=1)
    hint = f"; did you mean {group + '.' if group else ''}{close[0]}?" if close else ""
    return f"{key}: there is no such key{hint} (allowed: {', '.join(known)})"
