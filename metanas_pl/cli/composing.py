"""The configuration that a command line asks for, and answers to what cannot be composed."""

from __future__ import annotations

import re
import shlex
import sys
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from hydra import compose, initialize_config_dir
from hydra.core.config_search_path import ConfigSearchPath
from hydra.core.config_store import ConfigStore
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException, OverrideParseException
from hydra.plugins.search_path_plugin import SearchPathPlugin
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import ConfigAttributeError, ConfigKeyError, OmegaConfBaseException
from yaml import YAMLError

from metanas_pl.config import (
    CellSpaceConfig,
    Config,
    Conv4Config,
    Nasbench201Config,
    ResNet12Config,
)
from metanas_pl.config.validation import did_you_mean
from metanas_pl.errors import UserError

CONFIG_DIR = str(
    next(
        folder
        for folder in (Path(__file__).parents[n] / "configs" for n in (1, 2))
        if (folder / "config.yaml").exists()
    )
)
SEARCH_PATH = "hydra.searchpath="
UNAVAILABLE = r"provider=.*, path=(.*) is not available\."  # Hydra's warning of a missing folder
CANNOT_COMPOSE = (HydraException, OmegaConfBaseException)
CAN_BE_LEFT_OUT = ("logger", "callbacks", "experiment")
NEEDED = ("data", "space", "nas", "meta", "trainer")


def register_schemas() -> None:
    """Makes the dataclasses of ``metanas_pl.config`` known to Hydra."""
    store = ConfigStore.instance()
    store.store(name="config_schema", node=Config)
    store.store(group="space", name="cells_schema", node=CellSpaceConfig)
    store.store(group="space", name="conv4_schema", node=Conv4Config)
    store.store(group="space", name="resnet12_schema", node=ResNet12Config)
    store.store(group="space", name="nasbench201_schema", node=Nasbench201Config)


def compose_checked(overrides: Sequence[str]) -> DictConfig:
    """Returns the configuration of these overrides.

    Raises:
        UserError: there is none; the message says what to change.
    """
    words = understood(overrides)
    with explained(words), initialize_config_dir(CONFIG_DIR, version_base="1.3"):
        return compose("config", overrides=words)


@contextmanager
def explained(words: Sequence[str]) -> Iterator[None]:
    """Turns what Hydra raises about these overrides into an answer to the user.

    Raises:
        UserError: the overrides, or a file of the user, cannot be composed; says what to change.
    """
    with warnings.catch_warnings():
        warnings.filterwarnings("error", UNAVAILABLE)
        try:
            yield
        except UserError:
            raise
        except UserWarning as warning:
            missing = re.sub(UNAVAILABLE, r"\1", str(warning))
            raise UserError(
                f"{SEARCH_PATH}[…]: there is no {missing} (in a package it needs an __init__.py)"
            ) from warning
        except CANNOT_COMPOSE as error:
            raise UserError(_advice(error, words)) from error
        except (YAMLError, ValueError, TypeError, AttributeError) as error:  # in a user's file
            reason = " ".join(str(error).split())
            raise UserError(f"a file of the configuration cannot be read: {reason}") from error


def understood(overrides: Sequence[str], sweeps: bool = False) -> list[str]:
    """Returns overrides as Hydra reads them: ``logger=null`` becomes ``~logger``, and ``~/`` is expanded.

    Args:
        overrides: of a command line, without its flags.
        sweeps: a comma separates the values of a sweep.

    Raises:
        UserError: one has characters that must be quoted, or leaves out what is needed.

    >>> understood(["seed=1", "logger=null"])
    ['seed=1', '~logger']
    """
    words = []
    for word in overrides:
        key, equals, value = word.partition("=")
        if value.startswith("~/"):  # which a shell does at the beginning of a word only
            value = str(Path(value).expanduser())
            word = f"{key}={value}"
        if value == "null" and key in NEEDED:
            raise UserError(f"{word}: a run needs one; choose one of {', '.join(_options(key))}")
        left_out = value == "null" and key in CAN_BE_LEFT_OUT
        words.append(f"~{key}" if left_out else word)
        if equals and not _is_plain(word, sweeps):
            raise UserError(
                f"{word} cannot be read: quote its value twice, once for the shell: {quoted(key, value)}"
            )
    return words


def _options(group: str) -> list[str]:
    return sorted(path.stem for path in Path(CONFIG_DIR, group).glob("*.yaml"))


def _is_plain(word: str, sweeps: bool) -> bool:
    """Returns whether Hydra reads an override as it stands; lists and mappings are left to it."""
    if word.partition("=")[2].startswith(("[", "{")):
        return True
    try:
        (override,) = OverridesParser.create().parse_overrides([word])
    except OverrideParseException:
        return False
    return sweeps or not override.is_sweep_override()


def quoted(key: str, value: str) -> str:
    r"""Returns an override for the shell, with any text as its value.

    >>> print(quoted("data.root", "/images/a=b, 'c'"))
    'data.root="/images/a=b, '"'"'c'"'"'"'
    >>> print(quoted("data.root", "/images/größe"))
    'data.root="/images/größe"'
    """
    return shlex.quote('{}="{}"'.format(key, value.replace('"', r"\"")))


class OutsideConfigs(SearchPathPlugin):
    """Folders of ``hydra.searchpath=[…]`` on the command line, which Hydra's ``--help`` leaves unlisted."""

    def manipulate_search_path(self, search_path: ConfigSearchPath) -> None:
        """Adds them."""
        given = [a for a in sys.argv[1:] if a.startswith(SEARCH_PATH)]
        for override in OverridesParser.create().parse_overrides(given):
            folders = override.value()
            for folder in folders if isinstance(folders, list) else []:
                search_path.append("hydra.searchpath", folder)


def _choices(overrides: Sequence[str]) -> DictConfig:
    """Returns what the chosen files alone compose to; without a mistaken choice, the default ones."""
    chosen = [o for o in overrides if o.startswith(SEARCH_PATH) or "." not in o.partition("=")[0]]
    with initialize_config_dir(CONFIG_DIR, version_base="1.3"):
        try:
            return compose("config", overrides=chosen)
        except CANNOT_COMPOSE:
            return compose("config")


def _advice(error: Exception, words: Sequence[str]) -> str:
    """Returns what to write instead of these overrides."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    cause = _root_cause(error)
    if isinstance(error, OverrideParseException):
        return f"{error.override} cannot be read: write KEY=VALUE"
    override = re.match(r"Could not override '([^']+)'", lines[0])
    if override and isinstance(cause, ConfigKeyError | ConfigAttributeError):
        return _unknown_key(override[1], _choices(words))
    plugin = re.search(r"'hydra/(sweeper|launcher)/\w+'", lines[0])
    if plugin:
        extra = {"sweeper": "sweep", "launcher": "cluster"}[plugin[1]]
        return f"{lines[0]} It needs pip install 'metanas_pl[{extra}]'"
    in_a_file = re.search(r"full_key: (\S+)", str(error))
    if in_a_file and "ConfigKeyError raised while composing" in lines[0]:
        return f"{lines[0].partition(':')[0]}: {_unknown_key(in_a_file[1], _choices(words))}"
    if any("Available options" in line for line in lines):  # an unknown choice of a group
        options = [line for line in lines[2:] if " " not in line]
        return f"{lines[0]} Available: {', '.join(options)}"
    return in_short(error)


def in_short(error: Exception) -> str:
    """Returns the first line of an error of Hydra or OmegaConf, and its reason.

    >>> in_short(ValueError("no such thing\\nat all"))
    'no such thing'
    """
    both = (error, _root_cause(error))
    first, reason = (next(iter(str(e).strip().splitlines()), "") for e in both)
    return first if reason in first else f"{first} {reason}"


def _root_cause(error: BaseException) -> BaseException:
    return error if error.__cause__ is None else _root_cause(error.__cause__)


def _unknown_key(key: str, defaults: DictConfig) -> str:
    group, _, name = key.rpartition(".")
    node = OmegaConf.select(defaults, group) if group else defaults
    known = [str(k) for k in node] if isinstance(node, DictConfig) else []
    hint = did_you_mean(name, known, f"{group}." if group else "")
    return f"{key}: there is no such key{hint}"
