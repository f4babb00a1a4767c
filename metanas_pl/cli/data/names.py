"""What NAME on the command line means: a data set, or a store in the cache."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path

from metanas_pl.config import DataConfig
from metanas_pl.config.validation import did_you_mean
from metanas_pl.data.datasets import SOURCES, DataRequest, prepare_source
from metanas_pl.data.store.cache import CachedStore, stores_in
from metanas_pl.data.store.cache_folder import default_cache_dir, expanded
from metanas_pl.data.store.class_store import ClassStore
from metanas_pl.errors import UserError

PATHS = ("root", "cache_dir")
KEYS = [field.name for field in fields(DataRequest)]


def add_store_argument(parser: argparse.ArgumentParser) -> None:
    """Adds NAME, of one or several stores."""
    parser.add_argument(
        "name", metavar="NAME", help="a data set, or a store as `metanas-data list` shows it"
    )


def add_settings(parser: argparse.ArgumentParser) -> None:
    """Adds KEY=VALUE of a data set."""
    parser.add_argument(
        "settings",
        metavar="KEY=VALUE",
        nargs="*",
        help=f"as data.KEY=VALUE of metanas-train: {', '.join(KEYS)}",
    )


def chosen_stores(name: str, settings: Sequence[str]) -> list[CachedStore]:
    """Returns stores called ``name``; with settings the one that they describe, built if it is not there.

    Raises:
        UserError: there are none, or a setting makes no sense.
    """
    if not settings:
        return find_stores(name)
    config = data_config(name, settings)
    store = prepare_source(config.source, data_request(config))
    return [CachedStore(store.path, store)]


def find_stores(name: str) -> list[CachedStore]:
    """Returns the stores of the data set ``name``, or the one with this key.

    Raises:
        UserError: there are none.
    """
    stores = stores_in(default_cache_dir())
    if found := [cached for cached in stores if name in (cached.key, cached.source)]:
        return found
    if name in SOURCES:
        raise UserError(f"{name} is not there yet: metanas-data prepare {name}")
    known = [*SOURCES, *(cached.key for cached in stores)]
    raise UserError(f"{name} is no store in {default_cache_dir()}{did_you_mean(name, known)}")


def open_store(cached: CachedStore) -> ClassStore:
    """Returns the store, or raises a ValueError that says why it cannot be opened."""
    if cached.store is None:
        raise UserError(cached.problem)
    return cached.store


def data_config(name: str, settings: Sequence[str]) -> DataConfig:
    """Returns the data group of a configuration with ``data=name`` and these settings.

    Raises:
        UserError: an unknown name or key, or a value that makes no sense.
    """
    from omegaconf import OmegaConf

    from metanas_pl.cli import app
    from metanas_pl.cli.composing import compose_checked

    if name not in SOURCES and "." not in name:
        raise UserError(f"there is no data set {name}{did_you_mean(name, list(SOURCES))}")
    has_file = Path(app.CONFIG_DIR, "data", f"{name}.yaml").is_file()
    chosen = f"data={name}" if has_file else f"data.source={name}"
    app.register_schemas()
    given = dict(map(_key_and_value, settings))
    # Paths may hold whatever Hydra's grammar reads, so they do not go through it.
    paths = {key: _path(given.pop(key)) for key in PATHS if key in given}
    overrides = [f"data.{key}={value}" for key, value in given.items()]
    absent = [f"data.{key}=null" for key in paths]
    config = OmegaConf.to_object(compose_checked([chosen, *overrides, *absent]).data)
    assert isinstance(config, DataConfig)
    for key, path in paths.items():
        setattr(config, key, path)
    return config


def default_sampling(source: str) -> str:
    """Returns ``data.sampling`` of the file of a data set; ``uniform`` if it does not set it.

    >>> default_sampling("attributes"), default_sampling("glyphs")
    ('group', 'uniform')
    """
    from omegaconf import OmegaConf

    from metanas_pl.cli import app

    file = Path(app.CONFIG_DIR, "data", f"{source}.yaml")
    sampling = OmegaConf.select(OmegaConf.load(file), "sampling") if file.is_file() else None
    return sampling or "uniform"


def _key_and_value(setting: str) -> tuple[str, str]:
    key, equals, value = setting.removeprefix("data.").partition("=")
    if not equals:
        raise UserError(f"{setting}: expected KEY=VALUE, such as root={setting}")
    if key.partition(".")[0] not in KEYS:
        raise UserError(f"there is no key {key}{did_you_mean(key, KEYS)}")
    return key, value


def _path(text: str) -> str | None:
    """Returns a path as it was typed, without the quotes that ``metanas-train`` may need around it.

    >>> _path("a=b"), _path("'a=b'"), _path("null")
    ('a=b', 'a=b', None)
    """
    if text == "null":
        return None
    quoted = len(text) > 1 and text[0] == text[-1] and text[0] in "\"'"
    return text[1:-1] if quoted else text


def data_request(config: DataConfig) -> DataRequest:
    """Returns what the data module would ask of the source."""
    values = {key: getattr(config, key) for key in KEYS}
    paths = {key: expanded(values[key], f"data.{key}") for key in PATHS if values[key]}
    return DataRequest(**{**values, "cache_dir": default_cache_dir(), **paths})
