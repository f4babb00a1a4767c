"""The search space that a configuration names, with what a NAS method asks of it."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import is_dataclass

from metanas_pl.config import (
    CellSpaceConfig,
    Conv4Config,
    Nasbench201Config,
    NASConfig,
    ResNet12Config,
    check,
    from_plain,
    plain,
)
from metanas_pl.errors import UserError
from metanas_pl.search_spaces.base import SearchSpace
from metanas_pl.types import Settings
from metanas_pl.utils.functions import resolve

BUILDER_ARGUMENTS = {"in_channels", "image_size", "n_ways", "search"}
SCHEMAS = (CellSpaceConfig, Conv4Config, Nasbench201Config, ResNet12Config)
SpaceConfig = CellSpaceConfig | Conv4Config | Nasbench201Config | ResNet12Config


def build_space(
    config: SpaceConfig | Settings,
    nas: NASConfig,
    image_shape: tuple[int, int, int],
    n_ways: int,
) -> SearchSpace:
    """Returns the search space that the builder of a complete configuration makes.

    Args:
        config: settings of the space, ``builder`` among them.
        nas: the NAS method.
        image_shape: ``(C, H, W)`` of the images.
        n_ways: classes of an episode.

    Raises:
        UserError: it cannot be imported, or has not what the NAS method needs.
    """
    values = plain(config)
    builder = resolve(values["builder"], "space.builder")
    in_channels, image_size, _ = image_shape
    asked = {"partial_channels": nas.partial_channels, "auxiliary_skip": nas.auxiliary_skip > 0}
    default = {"partial_channels": 1, "auxiliary_skip": False}
    extra = {k: v for k, v in asked.items() if nas.search and v != default[k]}
    unknown = sorted(set(extra) - set(inspect.signature(builder).parameters))
    if unknown:
        raise UserError(f"nas={nas.name} needs {unknown[0]}, which space={values['name']} has not")
    return builder(
        values,
        in_channels=in_channels,
        image_size=image_size,
        n_ways=n_ways,
        search=nas.search,
        **extra,
    )


def is_ours(config: Settings) -> bool:
    """Returns whether a space's ``builder`` was written in this package."""
    builder = resolve(config["builder"], "space.builder")
    return str(getattr(builder, "__module__", "")).startswith("metanas_pl.search_spaces.")


def check_builder(config: Settings) -> None:
    """Refuses a builder that a stranger names, unless it was clearly written to be one.

    A function that takes whatever it is given may do whatever the rest of ``config`` says.

    Raises:
        UserError: it is from another package, and does not name the arguments of a builder.
    """
    builder = resolve(config["builder"], "space.builder")
    if not is_ours(config) and not BUILDER_ARGUMENTS <= set(inspect.signature(builder).parameters):
        names = ", ".join(sorted(BUILDER_ARGUMENTS))
        raise UserError(f"space.builder={config['builder']} does not name its arguments {names}")


def complete(config: object) -> Settings:
    """Returns a space's settings with defaults for what is missing; without ``builder``, a space of cells.

    A space from another package is its own authority and stays as it is.

    >>> complete({"builder": "metanas_pl.search_spaces.builders.conv4", "channels": 64})["strided"]
    False
    """
    mapping = isinstance(config, Mapping) or is_dataclass(config)
    check(mapping, "space", config, "give a mapping or one of its schemas")
    values = plain(config)
    builder = values.get("builder", CellSpaceConfig.builder)
    schema = next((schema for schema in SCHEMAS if schema.builder == builder), None)
    return values if schema is None else plain(from_plain(schema, values))
