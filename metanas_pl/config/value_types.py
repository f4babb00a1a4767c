"""Types of a configuration's values: what OmegaConf enforces, for values that did not come through it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

from metanas_pl.config.validation import check


def check_types(schema: type, values: Mapping[str, object]) -> None:
    """Check that ``values`` have the types that the fields of ``schema`` name.

    Raises:
        ValueError: one has not; the message names the field.
    """
    hints = get_type_hints(schema)
    for name, value in values.items():
        shown = getattr(hints[name], "__name__", str(hints[name]))
        check(fits(value, hints[name]), f"{schema.__name__}.{name}", value, f"must be {shown}")


def fits(value: object, hint: Any) -> bool:
    """Whether ``value`` is of a type that a schema uses: a plain one, a union, ``list[...]`` or ``dict``.

    >>> fits([1, 2], list[int]), fits(1, float), fits(True, int), fits(None, str | None)
    (True, True, False, True)
    """
    origin, arguments = get_origin(hint), get_args(hint)
    if hint is Any:
        return True
    if origin in (UnionType, Union):
        return any(fits(value, argument) for argument in arguments)
    if origin is list:
        if not isinstance(value, Sequence) or isinstance(value, str | bytes):
            return False
        return all(fits(item, arguments[0]) for item in value)
    if origin is dict:
        return isinstance(value, Mapping)
    if isinstance(value, bool):
        return hint is bool
    return isinstance(value, int | float if hint is float else hint)
