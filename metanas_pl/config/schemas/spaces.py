"""Schemas of the search spaces that come with the package."""

from __future__ import annotations

from dataclasses import dataclass, field

from metanas_pl.config.validation import check, check_choice, check_most, check_numbers
from metanas_pl.search_spaces.ops.names import ALL_PRIMITIVES, NONE, PRIMITIVES

MOST_CELLS = 100  # and nodes: far more than any network has that was ever published


@dataclass
class CellSpaceConfig:
    """A network of stacked cells: a supernet, or with ``nas=fixed`` the network of ``genotype``.

    ``pool_norm``: pooling in the network of a genotype is followed by batch norm (in a supernet it is).
    ``affine``: batch norm in its cells has scales and shifts (in a supernet it has none), so ``false`` is
    the control of a search in the search's own form. ``tied``: one primitive for all edges of a cell type.
    """

    name: str = "metanas"
    builder: str = "metanas_pl.search_spaces.builders.cells"
    channels: int = 28
    n_cells: int = 4
    n_nodes: int = 3
    reductions: list[int] = field(default_factory=lambda: [1, 3])
    stem_stride: int = 1
    channel_factor: int = 1
    pair_inputs: bool = True
    tied: bool = False
    primitives: list[str] = field(default_factory=lambda: list(PRIMITIVES))
    pool_norm: bool = True
    affine: bool = True
    genotype: str | None = None

    def __post_init__(self) -> None:
        check_numbers("space", self, "channels n_cells n_nodes stem_stride channel_factor", 1)
        check_most("space", self, "n_cells n_nodes", MOST_CELLS)
        for index in self.reductions:
            inside = 0 <= index < self.n_cells
            check(inside, "space.reductions", self.reductions, f"cells are 0..{self.n_cells - 1}")
        for name in self.primitives:
            check_choice("space.primitives", name, ALL_PRIMITIVES)
        some = any(name != NONE for name in self.primitives)
        check(
            some, "space.primitives", self.primitives, f"name at least one primitive beside {NONE}"
        )


@dataclass
class Conv4Config:
    """The Conv4 backbone; ``strided`` convolutions and a pooled feature map, or max pooling."""

    name: str = "conv4"
    builder: str = "metanas_pl.search_spaces.builders.conv4"
    channels: int = 32
    strided: bool = False

    def __post_init__(self) -> None:
        check_numbers("space", self, "channels", 1)


@dataclass
class ResNet12Config:
    """The ResNet-12 backbone: channels of its four blocks."""

    name: str = "resnet12"
    builder: str = "metanas_pl.search_spaces.builders.resnet12"
    channels: list[int] = field(default_factory=lambda: [64, 128, 256, 512])

    def __post_init__(self) -> None:
        fits = len(self.channels) == 4 and all(width > 0 for width in self.channels)
        check(fits, "space.channels", self.channels, "give four numbers, each at least 1")


@dataclass
class Nasbench201Config:
    """NAS-Bench-201: a supernet, or with ``nas=fixed`` the network of ``genotype``."""

    name: str = "nasbench201"
    builder: str = "metanas_pl.search_spaces.builders.nasbench201"
    channels: int = 16
    cells_per_stage: int = 5
    genotype: str | None = None

    def __post_init__(self) -> None:
        check_numbers("space", self, "channels cells_per_stage", 1)
        check_most("space", self, "cells_per_stage", MOST_CELLS)
