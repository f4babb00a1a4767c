"""What architectures exist: primitives, supernet, derived networks, fixed backbones."""

from metanas_pl.spaces.backbones import Conv4
from metanas_pl.spaces.base import Context, SearchSpace
from metanas_pl.spaces.derived import DerivedNetwork
from metanas_pl.spaces.genotype import Genotype
from metanas_pl.spaces.supernet import Supernet

__all__ = ["Context", "Conv4", "DerivedNetwork", "Genotype", "SearchSpace", "Supernet"]
