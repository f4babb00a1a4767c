"""Checks that name the key, its value and what is allowed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


def check(condition: bool, key: str, value: Any, allowed: str) -> None:
    """Raise a ``ValueError`` that names the key, its value and what is allowed."""
    if not condition:
        raise ValueError(f"{key}={value} makes no sense: {allowed}")


def check_choice(key: str, value: str, choices: Sequence[str]) -> None:
    """Raise a ``ValueError`` unless ``value`` is one of ``choices``."""
    check(value in choices, key, value, f"choose one of {', '.join(choices)}")


def check_numbers(group: str, config: Any, names: str, least: float, strict: bool = False) -> None:
    """Check that the attributes called ``names`` are at least ``least`` (above it if strict), or None."""
    for name in names.split():
        value = getattr(config, name)
        if value is not None:
            sign = "above" if strict else "at least"
            fits = value > least if strict else value >= least
            check(fits, f"{group}.{name}", value, f"must be {sign} {least:g}")
