"""The search space that a configuration names, with what a NAS method asks of it."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import is_dataclass
from typing import Any

from metanas_pl.conf import (
    CellSpaceConfig,
    Conv4Config,
    Nasbench201Config,
    NASConfig,
    ResNet12Config,
    check,
    from_plain,
    plain,
)
from metanas_pl.resolve import resolve
from metanas_pl.spaces.base import SearchSpace

SCHEMAS = (CellSpaceConfig, Conv4Config, Nasbench201Config, ResNet12Config)


def build_space(
    config: Any, nas: NASConfig, image_shape: tuple[int, int, int], n_ways: int
) -> SearchSpace:
    """The search space that the builder of a complete configuration makes for these images and ways.

    Raises:
        ValueError: it cannot be imported, or has not what the NAS method needs.
    """
    values = plain(config)
    builder = resolve(values["builder"], "space.builder")
    in_channels, image_size, _ = image_shape
    asked = {"partial_channels": nas.partial_channels, "auxiliary_skip": nas.auxiliary_skip > 0}
    default = {"partial_channels": 1, "auxiliary_skip": False}
    takes = set(inspect.signature(builder).parameters)
    if not {"in_channels", "image_size", "n_ways", "search"} <= takes:  # not written for this place
        raise ValueError(f"space.builder={values['builder']} is no builder of a search space")
    extra = {k: v for k, v in asked.items() if nas.search and v != default[k]}
    unknown = sorted(set(extra) - takes)
    if unknown:
        raise ValueError(f"nas={nas.name} needs {unknown[0]}, which space={values['name']} has not")
    return builder(
        values,
        in_channels=in_channels,
        image_size=image_size,
        n_ways=n_ways,
        search=nas.search,
        **extra,
    )


def is_known(config: Mapping[str, Any]) -> bool:
    """Whether a space with a ``builder`` is one of this package."""
    return any(schema.builder == config["builder"] for schema in SCHEMAS)


def complete(config: Any) -> dict[str, Any]:
    """A space's settings with defaults for what is not named; without ``builder``, a space of cells.

    A space from another package is its own authority and stays as it is.

    >>> complete({"builder": "metanas_pl.spaces.build.conv4", "channels": 64})["strided"]
    False
    """
    mapping = isinstance(config, Mapping) or is_dataclass(config)
    check(mapping, "space", config, "give a mapping or one of its schemas")
    values: dict[str, Any] = plain(config)
    builder = values.get("builder", CellSpaceConfig.builder)
    schema = next((schema for schema in SCHEMAS if schema.builder == builder), None)
    return values if schema is None else plain(from_plain(schema, values))
