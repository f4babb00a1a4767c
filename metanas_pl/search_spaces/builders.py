"""From a plain configuration to a search space.

A builder is ``build(config, *, in_channels, image_size, n_ways, search) -> SearchSpace``; it takes
``partial_channels`` and ``auxiliary_skip`` too if its space has them for NAS methods. The ``builder`` key
of a ``configs/space/*.yaml`` names one by its dotted path, so a space can come from anywhere.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

from metanas_pl.errors import UserError
from metanas_pl.search_spaces.backbones import Conv4, ResNet12
from metanas_pl.search_spaces.base import CellNetwork
from metanas_pl.search_spaces.cells.derived import DerivedNetwork
from metanas_pl.search_spaces.cells.supernet import Supernet
from metanas_pl.search_spaces.cells.tied import TiedSupernet
from metanas_pl.search_spaces.genotypes.genotype import Genotype
from metanas_pl.search_spaces.nasbench201.genotype import Nasbench201Genotype
from metanas_pl.search_spaces.nasbench201.networks import (
    Nasbench201Network,
    Nasbench201Supernet,
    Skeleton201,
)

if TYPE_CHECKING:
    from metanas_pl.types import Settings

T = TypeVar("T")


def cells(
    config: Settings,
    *,
    in_channels: int,
    image_size: int,
    n_ways: int,
    search: bool,
    partial_channels: int = 1,
    auxiliary_skip: bool = False,
) -> CellNetwork:
    """Returns the supernet of MetaNAS, or with ``search=False`` the network of ``config["genotype"]``."""
    shape = {
        key: config[key]
        for key in ("channels", "n_cells", "reductions", "stem_stride", "channel_factor")
    }
    shape |= {"in_channels": in_channels, "n_ways": n_ways}
    if search:
        chosen = {key: config[key] for key in ("n_nodes", "pair_inputs", "primitives")}
        chosen |= {"partial_channels": partial_channels, "auxiliary_skip": auxiliary_skip}
        return (TiedSupernet if config["tied"] else Supernet)(**shape, **chosen)
    genotype = chosen_genotype(config, Genotype.load, "name or JSON file")
    return DerivedNetwork(genotype, **shape, pool_norm=config["pool_norm"], affine=config["affine"])


def chosen_genotype(config: Settings, load: Callable[[str], T], form: str) -> T:
    """Returns what ``load`` makes of ``config["genotype"]``, which has the ``form`` that users are told.

    Raises:
        UserError: there is no genotype, or ``load`` refuses it.
    """
    if config["genotype"] is None:
        raise UserError(f"nas=fixed needs space.genotype=<{form}>")
    try:
        return load(config["genotype"])
    except ValueError as error:
        raise UserError(f"space.genotype={config['genotype']}: {error}") from error


def nasbench201(
    config: Settings, *, in_channels: int, image_size: int, n_ways: int, search: bool
) -> Skeleton201:
    """Returns the supernet of NAS-Bench-201, or with ``search=False`` one of its architectures."""
    shape = {key: config[key] for key in ("channels", "cells_per_stage")}
    shape |= {"in_channels": in_channels, "n_ways": n_ways}
    if search:
        return Nasbench201Supernet(**shape)
    form = "architecture string or JSON file"
    return Nasbench201Network(chosen_genotype(config, Nasbench201Genotype.load, form), **shape)


def conv4(
    config: Settings, *, in_channels: int, image_size: int, n_ways: int, search: bool
) -> Conv4:
    """Returns the Conv4 backbone: nothing to search in it, whatever ``search`` says."""
    shape = {"in_channels": in_channels, "n_ways": n_ways, "image_size": image_size}
    return Conv4(**shape, channels=config["channels"], strided=config["strided"])


def resnet12(
    config: Settings, *, in_channels: int, image_size: int, n_ways: int, search: bool
) -> ResNet12:
    """Returns the ResNet-12 backbone: nothing to search in it, whatever ``search`` says."""
    return ResNet12(
        in_channels=in_channels, n_ways=n_ways, channels=config["channels"], image_size=image_size
    )
