"""Functions named in a configuration by their dotted path, and their options."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Protocol

from metanas_pl.errors import UserError


class Options(Protocol):
    """A configuration that names functions."""

    name: str
    options: dict[str, Any]


def resolve(path: str, key: str) -> Callable[..., Any]:
    """The function at dotted ``path``.

    Raises:
        UserError: there is none; the message names the configuration ``key``.

    >>> resolve("math.sqrt", "nas.relaxation")(4.0)
    2.0
    """
    module, _, name = path.rpartition(".")
    try:
        function = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError, ValueError, TypeError) as error:
        raise UserError(f"{key}={path} cannot be imported: {error}") from None
    if not callable(function):
        raise UserError(f"{key}={path} is not a function")
    return function


def resolve_all(
    config: Options, group: str, names: tuple[str, ...]
) -> dict[str, Callable[..., Any] | None]:
    """The functions that ``config`` names, each with those of ``config.options`` that it takes.

    Args:
        config: a configuration with ``options`` and an attribute (a dotted path or None) for each name.
        group: the configuration group, for messages.
        names: attributes to resolve.

    Raises:
        UserError: a function cannot be imported, or no function takes one of the options.
    """
    paths = {name: getattr(config, name) for name in names}
    functions = {
        name: None if path is None else resolve(path, f"{group}.{name}")
        for name, path in paths.items()
    }
    takes = {name: keyword_only(f) for name, f in functions.items() if f is not None}
    known = sorted({option for options in takes.values() for option in options})
    for option, value in config.options.items():
        if option not in known:
            allowed = ", ".join(known) or "none"
            raise UserError(
                f"{group}.options.{option}={value}: {group}={config.name} has the options {allowed}"
            )
    return {
        name: f
        if f is None
        else _with(f, {k: config.options[k] for k in takes[name] if k in config.options})
        for name, f in functions.items()
    }


def keyword_only(function: Callable[..., object]) -> tuple[str, ...]:
    """Names of the keyword-only arguments: the options of a method.

    >>> keyword_only(sorted)
    ('key', 'reverse')
    """
    parameters = inspect.signature(function).parameters.values()
    return tuple(p.name for p in parameters if p.kind is p.KEYWORD_ONLY)


def _with(function: Callable[..., Any], options: Mapping[str, object]) -> Callable[..., Any]:
    return partial(function, **options) if options else function
