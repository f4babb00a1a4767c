"""What architectures exist: primitives, supernets, derived networks, fixed backbones."""

from metanas_pl.spaces.architecture import Architecture
from metanas_pl.spaces.backbones import Conv4, ResNet12
from metanas_pl.spaces.base import Context, SearchSpace
from metanas_pl.spaces.derived import DerivedNetwork
from metanas_pl.spaces.genotype import Genotype
from metanas_pl.spaces.nasbench201 import Nasbench201Network, Nasbench201Supernet
from metanas_pl.spaces.nasbench201_genotype import Nasbench201Genotype
from metanas_pl.spaces.supernet import Supernet

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
