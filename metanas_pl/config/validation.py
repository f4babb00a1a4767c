"""Checks that name the key, its value and what is allowed."""

from __future__ import annotations

import difflib
from collections.abc import Sequence

from metanas_pl.errors import UserError
from metanas_pl.utils.ranges import bounds


def check(condition: bool, key: str, value: object, allowed: str) -> None:
    """Raises a ``ValueError`` that names the key, its value and what is allowed."""
    if not condition:
        raise UserError(f"{key}={value} makes no sense: {allowed}")


def did_you_mean(name: str, known: Sequence[str], prefix: str = "") -> str:
    """Returns the end of a message on an unknown name: the closest of the ``known`` ones, and all of them.

    >>> did_you_mean("omniglt", ["glyphs", "omniglot"], "data=")
    '; did you mean data=omniglot? (allowed: glyphs, omniglot)'
    """
    close = difflib.get_close_matches(name, known, n=1)
    hint = f"; did you mean {prefix}{close[0]}?" if close else ""
    return f"{hint} (allowed: {', '.join(known)})"


def check_choice(key: str, value: str, choices: Sequence[str]) -> None:
    """Raises a ``ValueError`` unless ``value`` is one of ``choices``."""
    check(value in choices, key, value, f"choose one of {', '.join(choices)}")


def check_numbers(
    group: str, config: object, names: str, least: float, strict: bool = False
) -> None:
    """Checks that the attributes called ``names`` are at least ``least`` (above it if strict), or None."""
    for name in names.split():
        value = getattr(config, name)
        if value is not None:
            sign = "above" if strict else "at least"
            fits = value > least if strict else value >= least
            check(fits, f"{group}.{name}", value, f"must be {sign} {least:g}")


def check_most(group: str, config: object, names: str, most: int) -> None:
    """Checks that the attributes called ``names`` are at most ``most``, or None."""
    for name in names.split():
        value = getattr(config, name)
        check(value is None or value <= most, f"{group}.{name}", value, f"must be at most {most:,}")


def check_ranges(group: str, config: object, names: str, least: int) -> None:
    """Checks that attributes called ``names`` are whole numbers or ranges from ``least`` on, or None."""
    for name in names.split():
        value = getattr(config, name)
        if value is None:
            continue
        try:
            smallest = bounds(value)[0]
        except ValueError:
            allowed = "give a whole number, or a range [least, largest] of two"
            check(False, f"{group}.{name}", value, allowed)
        check(smallest >= least, f"{group}.{name}", value, f"must be at least {least}")
