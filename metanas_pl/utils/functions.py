"""Functions named in a configuration by their dotted path, and their options.

Not by Hydra: its ``get_method`` prints lines of its own before it fails, and its ``instantiate`` calls
whatever an option names as ``_target_``, in a stranger's checkpoint, too.
"""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable
from functools import partial
from typing import Any, Protocol

from metanas_pl.errors import UserError


class Options(Protocol):
    """A configuration that names functions."""

    name: str
    options: dict[str, Any]


def resolve(path: str, key: str) -> Callable[..., Any]:
    """Returns the function at dotted ``path``.

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
    """Returns the functions that ``config`` names, each with those of ``config.options`` that it takes.

    Args:
        config: a configuration with ``options`` and an attribute (a dotted path or None) for each name.
        group: the configuration group, for messages.
        names: attributes to resolve.

    Raises:
        UserError: a function cannot be imported, or no function takes one of the options.
    """
    functions: dict[str, Callable[..., Any] | None] = dict.fromkeys(names)
    options = dict(config.options)
    known: set[str] = set()
    for name in names:
        if (path := getattr(config, name)) is not None:
            functions[name] = function = resolve(path, f"{group}.{name}")
            takes = keyword_only(function)
            known.update(takes)
            if chosen := {k: options[k] for k in takes if k in options}:
                functions[name] = partial(function, **chosen)
    for option in sorted(set(options) - known):
        raise UserError(
            f"{group}.options.{option}={options[option]}: {group}={config.name} has the options "
            f"{', '.join(sorted(known)) or 'none'}"
        )
    return functions


def keyword_only(function: Callable[..., object]) -> tuple[str, ...]:
    """Returns names of the keyword-only arguments: the options of a method.

    >>> keyword_only(sorted)
    ('key', 'reverse')
    """
    parameters = inspect.signature(function).parameters.values()
    return tuple(p.name for p in parameters if p.kind is p.KEYWORD_ONLY)
