"""The network of one genotype: discrete cells, affine batch norm, no alphas."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from torch import Tensor, nn

from metanas_pl.kernels.program import FeatureMap, Program
from metanas_pl.search_spaces.base import CellNetwork, Context
from metanas_pl.search_spaces.cells.compiled import Gates
from metanas_pl.search_spaces.cells.state import State
from metanas_pl.search_spaces.genotypes.genes import Gene
from metanas_pl.search_spaces.genotypes.genotype import Genotype
from metanas_pl.search_spaces.ops.compiled import NotCovered, add_primitive
from metanas_pl.search_spaces.ops.layers import dropped, join, total
from metanas_pl.search_spaces.ops.primitives import Identity, make_primitive
from metanas_pl.types import Mixing


class DerivedCell(nn.Module):
    """A cell with one primitive on each chosen input."""

    def __init__(
        self,
        genes: Sequence[Sequence[Gene]],
        outputs: Sequence[int],
        channels: int,
        reduction: bool,
        pool_norm: bool,
        affine: bool,
    ) -> None:
        super().__init__()
        self.channels, self.stride = channels, 2 if reduction else 1
        self.inputs = [[source for _, source in node] for node in genes]
        self.outputs = list(outputs)
        self.nodes = nn.ModuleList(
            nn.ModuleList(
                make_primitive(
                    name, channels, 2 if reduction and source < 2 else 1, affine, pool_norm
                )
                for name, source in node
            )
            for node in genes
        )

    def forward(self, s0: Tensor, s1: Tensor, mixing: Mixing, context: Context) -> Tensor:
        """Returns the concatenated output states; ``context.drop_path`` is ``(edges, 1, B)``."""
        reference, noise = context.reference, context.drop_path
        states, edge = [State(s0), State(s1)], 0
        for node, sources in zip(self.nodes, self.inputs, strict=True):
            terms = []
            for primitive, source in zip(node.children(), sources, strict=True):
                term = states[source].through(primitive, reference)
                if noise is not None and not isinstance(primitive, Identity):
                    term = dropped(term, noise[edge, 0])
                terms.append(term)
                edge += 1
            states.append(State(total(terms)))
        return join([states[i].x for i in self.outputs], context.tasks)

    def factors(self, mixing: Mixing) -> dict[str, Tensor]:
        """Returns {}: nothing is mixed."""
        return {}

    def add_to(
        self, program: Program, s0: FeatureMap, s1: FeatureMap, gates: Mapping[str, Gates]
    ) -> FeatureMap:
        """Adds the cell to a compiled program and returns its output.

        Raises:
            NotCovered: the library cannot compute it.
        """
        if len(set(self.outputs)) < len(self.outputs) or min(self.outputs) < 2:
            raise NotCovered("outputs that are inputs")
        sides = [-(-side // self.stride) for side in (s0.height, s0.width)]
        whole, parts = program.joined(len(self.outputs), self.channels, *sides)
        of_output = dict(zip(self.outputs, parts, strict=True))
        states = [s0, s1]
        for i, (node, sources) in enumerate(zip(self.nodes, self.inputs, strict=True), 2):
            target = of_output[i] if i in of_output else program.zeros(self.channels, *sides)
            for primitive, source in zip(node.children(), sources, strict=True):
                add_primitive(program, primitive, states[source], target)
            states.append(target)
        return whole


class DerivedNetwork(CellNetwork):
    """A fixed network of stacked cells.

    ``pool_norm``: pooling is followed by batch norm, as in MetaNAS and unlike in DARTS. ``affine``: batch
    norm in the cells has scales and shifts; False is the form that the network has within a supernet.

    >>> net = DerivedNetwork(Genotype.load("metanas_in_v2"), in_channels=3, n_ways=5, channels=28,
    ...                      n_cells=5, reductions=(1, 3))
    >>> sum(p.numel() for p in net.parameters())
    108169
    """

    def __init__(
        self,
        genotype: Genotype,
        *,
        in_channels: int,
        n_ways: int,
        channels: int,
        n_cells: int,
        reductions: Sequence[int],
        stem_stride: int = 1,
        channel_factor: int = 1,
        pool_norm: bool = True,
        affine: bool = True,
    ) -> None:
        cells = (
            (genotype.normal, genotype.normal_concat),
            (genotype.reduce, genotype.reduce_concat),
        )
        super().__init__(
            lambda width, reduction: DerivedCell(
                *cells[reduction], width, reduction, pool_norm, affine
            ),
            (len(genotype.normal_concat), len(genotype.reduce_concat)),
            in_channels=in_channels,
            n_ways=n_ways,
            channels=channels,
            n_cells=n_cells,
            reductions=reductions,
            stem_stride=stem_stride,
            channel_factor=channel_factor,
            affine=affine,
        )
        self._genotype = genotype

    def genotype(self, mixing: Mixing) -> Genotype:
        """Returns the genotype it was built from."""
        return self._genotype

    def drop_path_shape(self) -> tuple[int, int, int]:
        """``(cells, edges, 1)``."""
        n_edges = max(
            sum(len(node) for node in genes)
            for genes in (self._genotype.normal, self._genotype.reduce)
        )
        return len(self.cells), n_edges, 1
