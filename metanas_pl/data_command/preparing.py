"""``metanas-data prepare``: build the store of a data set, as ``metanas-train`` would."""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path

from metanas_pl.conf import DataConfig
from metanas_pl.data.cache import default_cache_dir, stores_in
from metanas_pl.data.sources import SOURCES, DataRequest, prepare_source
from metanas_pl.data_command.names import did_you_mean
from metanas_pl.data_command.tables import print_store
from metanas_pl.errors import UserError

HELP = "download and convert a data set; what is there already is not built again"
KEYS = [field.name for field in fields(DataRequest)]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """NAME and settings."""
    parser.add_argument(
        "name", metavar="NAME", help=f"{', '.join(SOURCES)}, or the dotted path of a source"
    )
    parser.add_argument(
        "settings",
        metavar="KEY=VALUE",
        nargs="*",
        help=f"as data.KEY=VALUE of metanas-train: {', '.join(KEYS)}",
    )


def run(args: argparse.Namespace) -> int:
    """Build or find the store and print what it holds."""
    from rich.console import Console

    config = data_config(args.name, args.settings)
    request = data_request(config)
    before = {cached.path for cached in stores_in(request.cache_dir) if cached.store}
    begin = time.perf_counter()
    store = prepare_source(config.source, request)
    there = store.path in before
    took = "is there already" if there else f"prepared in {time.perf_counter() - begin:.1f} s"
    console = Console()
    console.print(f"{store.meta.name} {took}", markup=False, highlight=False)
    print_store(console, store)
    return 0


def data_config(name: str, settings: Sequence[str]) -> DataConfig:
    """The data group of a configuration with ``data=name`` and these settings.

    Raises:
        UserError: an unknown name or key, or a value that makes no sense.
    """
    from omegaconf import OmegaConf

    from metanas_pl import cli

    if name not in SOURCES and "." not in name:
        raise UserError(f"there is no data set {name}{did_you_mean(name, list(SOURCES))}")
    has_file = Path(cli.CONFIG_DIR, "data", f"{name}.yaml").is_file()
    chosen = f"data={name}" if has_file else f"data.source={name}"
    cli.register_schemas()
    cfg = cli.compose_checked([chosen, *map(_override, settings)])
    config = OmegaConf.to_object(cfg.data)
    assert isinstance(config, DataConfig)
    return config


def _override(setting: str) -> str:
    key, equals, value = setting.removeprefix("data.").partition("=")
    if not equals:
        raise UserError(f"{setting}: expected KEY=VALUE, such as root={setting}")
    if key.partition(".")[0] not in KEYS:
        raise UserError(f"there is no key {key}{did_you_mean(key, KEYS)}")
    return f"data.{key}={value}"


def data_request(config: DataConfig) -> DataRequest:
    """What the data module would ask of the source."""
    values = {key: getattr(config, key) for key in KEYS}
    paths = {key: Path(values[key]).expanduser() for key in ("root", "cache_dir") if values[key]}
    return DataRequest(**{**values, "cache_dir": default_cache_dir(), **paths})
