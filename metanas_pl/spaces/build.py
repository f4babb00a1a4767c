"""From a plain configuration to a search space.

A builder is ``build(config, *, in_channels, image_size, n_ways, search) -> SearchSpace``. The ``builder``
key of a ``configs/space/*.yaml`` names one by its dotted path, so a space can come from anywhere.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from metanas_pl.spaces.backbones import Conv4
from metanas_pl.spaces.base import SearchSpace
from metanas_pl.spaces.derived import DerivedNetwork
from metanas_pl.spaces.genotype import Genotype
from metanas_pl.spaces.supernet import Supernet


def cells(
    config: Mapping[str, Any], *, in_channels: int, image_size: int, n_ways: int, search: bool
) -> SearchSpace:
    """The supernet of MetaNAS, or with ``search=False`` the network of ``config["genotype"]``."""
    shape = {
        key: config[key]
        for key in ("channels", "n_cells", "reductions", "stem_stride", "channel_factor")
    }
    shape |= {"in_channels": in_channels, "n_ways": n_ways}
    if search:
        chosen = {key: config[key] for key in ("n_nodes", "pair_inputs", "primitives")}
        return Supernet(**shape, **chosen)
    if config["genotype"] is None:
        raise ValueError("nas=fixed needs space.genotype=<name or JSON file>")
    try:
        genotype = Genotype.load(config["genotype"])
    except ValueError as error:
        raise ValueError(f"space.genotype={config['genotype']}: {error}") from error
    return DerivedNetwork(genotype, **shape)


def conv4(
    config: Mapping[str, Any], *, in_channels: int, image_size: int, n_ways: int, search: bool
) -> SearchSpace:
    """The Conv4 backbone: nothing to search in it, whatever ``search`` says."""
    return Conv4(
        in_channels=in_channels, n_ways=n_ways, channels=config["channels"], image_size=image_size
    )
