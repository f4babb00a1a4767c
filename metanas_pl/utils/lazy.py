"""Public names of a package that load on first use, so that importing the package stays fast."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping


def lazy_names(package: str, homes: Mapping[str, str]) -> Callable[[str], object]:
    """Returns the ``__getattr__`` of a package (PEP 562).

    Args:
        package: name of the package, for messages.
        homes: the module that each public name is from.

    >>> lazy_names("shapes", {"sqrt": "math"})("sqrt")(4.0)
    2.0
    """

    def get(name: str) -> object:
        if name not in homes:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        return getattr(importlib.import_module(homes[name]), name)

    return get
