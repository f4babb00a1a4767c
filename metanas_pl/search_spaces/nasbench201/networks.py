"""The search space of NAS-Bench-201: one cell type in a residual macro skeleton.

Dong & Yang 2020, arXiv 2001.00326; github.com/D-X-Y/NAS-Bench-201. A cell has an input and three nodes,
with an edge between every two of them. Mixing weights of node i are ``cell_{i}``, ``(i + 1, 5)``.

Shapes: E edges of a node, O operations.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch.nn.functional as F
from torch import Tensor, nn

from metanas_pl.algorithms.nas.relaxations import one_hot
from metanas_pl.search_spaces.base import Context, SearchSpace
from metanas_pl.search_spaces.cells.state import State
from metanas_pl.search_spaces.nasbench201.genotype import N_NODES, OPERATIONS, Nasbench201Genotype
from metanas_pl.search_spaces.ops.layers import Conv, Head, Reference, total
from metanas_pl.search_spaces.ops.primitives import BatchStatNorm, ConvNorm, Identity, Pool, Zero
from metanas_pl.types import ArchitectureParameter, Mixing


def make_operation(name: str, channels: int, affine: bool) -> nn.Module:
    """Makes one of ``OPERATIONS``; convolutions are ReLU, convolution, norm, and pooling has no norm."""
    builders: dict[str, Callable[[], nn.Module]] = {
        "none": lambda: Zero(1),
        "skip_connect": Identity,
        "nor_conv_1x1": lambda: ConvNorm(Conv(channels, channels, 1), affine=affine),
        "nor_conv_3x3": lambda: ConvNorm(Conv(channels, channels, 3), affine=affine),
        "avg_pool_3x3": lambda: Pool("avg", 1),
    }
    return builders[name]()


class Cell201(nn.Module):
    """A cell whose last node is its output.

    ``names[i]`` holds for each edge into node i the operations on it: all of them in a supernet, where
    mixing weights say how much of each, one in the network of an architecture.
    """

    def __init__(
        self, names: Sequence[Sequence[Sequence[str]]], channels: int, affine: bool
    ) -> None:
        super().__init__()
        self.nodes = nn.ModuleList(
            nn.ModuleList(
                nn.ModuleList(make_operation(name, channels, affine) for name in edge)
                for edge in node
            )
            for node in names
        )

    def forward(self, x: Tensor, mixing: Mixing, context: Context) -> Tensor:
        """``(B, C, H, W) -> (B, C, H, W)``; without mixing weights every operation counts fully."""
        states = [State(x)]
        for i, edges in enumerate(self.nodes):
            weight_EO = mixing.get(name := f"cell_{i}")
            alive = None if weight_EO is None else context.computed(name, weight_EO)
            terms = []
            for j, edge in enumerate(edges.children()):
                for o, operation in enumerate(edge.children()):
                    if alive is None or alive[j][o]:
                        factor = None if weight_EO is None else weight_EO[..., j, o]
                        terms.append(states[j].through(operation, context.reference, factor, o))
            states.append(State(total(terms)))
        return states[-1].x


class ResidualReduction(nn.Module):
    """The block between stages: two 3x3 convolutions beside average pooling and a 1x1 convolution."""

    def __init__(self, c_in: int, c_out: int) -> None:
        super().__init__()
        self.first = ConvNorm(Conv(c_in, c_out, 3, stride=2), affine=True)
        self.second = ConvNorm(Conv(c_out, c_out, 3), affine=True)
        self.shortcut = Conv(c_in, c_out, 1)

    def forward(self, x: Tensor, reference: Reference) -> Tensor:
        """``(B, C, H, W) -> (B, C_out, ceil(H/2), ceil(W/2))``."""
        pooled = F.avg_pool2d(x, 2, 2, ceil_mode=True)
        return self.shortcut(pooled) + self.second(self.first(x, reference), reference)


class Skeleton201(SearchSpace):
    """Stem, three stages of cells with a residual reduction between them, norm, pooling, head.

    Args:
        names: operations of each edge of a cell, see :class:`Cell201`.
        affine: affine batch norm in the cells (the skeleton always has it).
        in_channels: channels of the images.
        n_ways: classes.
        channels: channels of the first stage; each reduction doubles them.
        cells_per_stage: N of the paper.
    """

    supports_grouped = True

    def __init__(
        self,
        names: Sequence[Sequence[Sequence[str]]],
        affine: bool,
        *,
        in_channels: int,
        n_ways: int,
        channels: int,
        cells_per_stage: int,
    ) -> None:
        super().__init__()
        widths = [channels, 2 * channels, 4 * channels]
        self.stem = ConvNorm(Conv(in_channels, channels, 3), affine=True, relu=False)
        self.stages = nn.ModuleList(
            nn.ModuleList(Cell201(names, width, affine) for _ in range(cells_per_stage))
            for width in widths
        )
        self.reductions = nn.ModuleList(ResidualReduction(w, 2 * w) for w in widths[:-1])
        self.norm = BatchStatNorm(widths[-1])
        self.head = Head(widths[-1], n_ways)

    def cells(self) -> list[Cell201]:
        """Returns all cells in order."""
        return [m for m in self.modules() if isinstance(m, Cell201)]

    def features(self, x: Tensor, mixing: Mixing, context: Context) -> Tensor:
        """Returns features ``(B, 4 C)``."""
        x = self.stem(x, context.reference)
        for index, stage in enumerate(self.stages):
            if index:
                x = self.reductions[index - 1](x, context.reference)
            for cell in stage.children():
                x = cell(x, mixing, context)
        return F.relu(self.norm(x, context.reference)).mean((2, 3))


class Nasbench201Supernet(Skeleton201):
    """All operations on all edges. Unlike in DARTS, ``none`` may be the choice of an edge.

    >>> net = Nasbench201Supernet(in_channels=3, n_ways=10, channels=16, cells_per_stage=5)
    >>> sum(a.numel() for a in net.alphas().values())
    30
    """

    def __init__(
        self, *, in_channels: int, n_ways: int, channels: int, cells_per_stage: int
    ) -> None:
        super().__init__(
            [[OPERATIONS] * (i + 1) for i in range(N_NODES)],
            affine=False,
            in_channels=in_channels,
            n_ways=n_ways,
            channels=channels,
            cells_per_stage=cells_per_stage,
        )

    def architecture_parameters(self) -> list[ArchitectureParameter]:
        """Declares the operations of the edges into each node."""
        sizes = [(i + 1, len(OPERATIONS)) for i in range(N_NODES)]
        return [ArchitectureParameter(f"cell_{i}", shape) for i, shape in enumerate(sizes)]

    def prune(self, mixing: Mixing) -> Mixing:
        """Returns mixing weights with 1 for the largest of each edge and 0 for the others."""
        return {name: one_hot(weight) for name, weight in mixing.items()}

    def genotype(self, mixing: Mixing) -> Nasbench201Genotype:
        """Returns the strongest operation of each edge."""
        best = (mixing[f"cell_{i}"].argmax(-1).tolist() for i in range(N_NODES))
        return Nasbench201Genotype(tuple(tuple(OPERATIONS[o] for o in node) for node in best))

    def usage(self, mixing: Mixing) -> Mixing:
        """Returns the mixing weights themselves."""
        return mixing

    def choices(self) -> dict[str, list[list[list[nn.Module]]]]:
        """Returns the modules of each operation, ``[edge][operation]``, one of every cell."""
        cells = self.cells()
        return {
            f"cell_{i}": [
                [[cell.nodes[i][j][o] for cell in cells] for o in range(len(OPERATIONS))]  # type: ignore[index]
                for j in range(i + 1)
            ]
            for i in range(N_NODES)
        }


class Nasbench201Network(Skeleton201):
    """The network of one architecture, in which the published results were obtained.

    >>> genotype = Nasbench201Genotype(tuple(("nor_conv_3x3",) * edges for edges in (1, 2, 3)))
    >>> net = Nasbench201Network(genotype, in_channels=3, n_ways=10, channels=16, cells_per_stage=5)
    >>> sum(p.numel() for p in net.parameters())
    1531546
    """

    def __init__(
        self,
        genotype: Nasbench201Genotype,
        *,
        in_channels: int,
        n_ways: int,
        channels: int,
        cells_per_stage: int,
    ) -> None:
        super().__init__(
            [[(name,) for name in node] for node in genotype.operations],
            affine=True,
            in_channels=in_channels,
            n_ways=n_ways,
            channels=channels,
            cells_per_stage=cells_per_stage,
        )
        self._genotype = genotype

    def genotype(self, mixing: Mixing) -> Nasbench201Genotype:
        """Returns the architecture it was built from."""
        return self._genotype
