"""What architectures exist: candidate operations, supernets, derived networks, fixed backbones.

The public names load on first use: the names of the operations must not wait for torch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from metanas_pl.utils.lazy import lazy_names

if TYPE_CHECKING:
    from metanas_pl.search_spaces.backbones import Conv4, ResNet12
    from metanas_pl.search_spaces.base import Context, SearchSpace
    from metanas_pl.search_spaces.cells.derived import DerivedNetwork
    from metanas_pl.search_spaces.cells.supernet import Supernet
    from metanas_pl.search_spaces.genotypes.architecture import Architecture
    from metanas_pl.search_spaces.genotypes.genotype import Genotype
    from metanas_pl.search_spaces.nasbench201.genotype import Nasbench201Genotype
    from metanas_pl.search_spaces.nasbench201.networks import (
        Nasbench201Network,
        Nasbench201Supernet,
    )

_HOMES = {
    "Architecture": "genotypes.architecture",
    "Context": "base",
    "Conv4": "backbones",
    "DerivedNetwork": "cells.derived",
    "Genotype": "genotypes.genotype",
    "Nasbench201Genotype": "nasbench201.genotype",
    "Nasbench201Network": "nasbench201.networks",
    "Nasbench201Supernet": "nasbench201.networks",
    "ResNet12": "backbones",
    "SearchSpace": "base",
    "Supernet": "cells.supernet",
}
__all__ = [
    "Architecture",
    "Context",
    "Conv4",
    "DerivedNetwork",
    "Genotype",
    "Nasbench201Genotype",
    "Nasbench201Network",
    "Nasbench201Supernet",
    "ResNet12",
    "SearchSpace",
    "Supernet",
]
__getattr__ = lazy_names(__name__, {k: f"{__name__}.{home}" for k, home in _HOMES.items()})
