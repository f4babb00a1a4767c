"""The one-shot network: stacked cells of mixed edges, the search space of MetaNAS and of DARTS.

Shapes: E edges of a node, O primitives.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from metanas_pl.algorithms.nas.relaxations import is_member, one_hot
from metanas_pl.errors import UserError
from metanas_pl.search_spaces.base import CellNetwork
from metanas_pl.search_spaces.cells.mixed_cell import (
    CELL_TYPES,
    MixedCell,
    edge_factors,
    input_pairs,
)
from metanas_pl.search_spaces.genotypes.genes import Gene
from metanas_pl.search_spaces.genotypes.genotype import Genotype
from metanas_pl.search_spaces.ops.names import NONE, PRIMITIVES
from metanas_pl.types import ArchitectureParameter, Mixing


class Supernet(CellNetwork):
    """The search space of MetaNAS: 462,272 weights and 146 alphas in its published size.

    >>> net = Supernet(in_channels=1, n_ways=20, channels=28, n_cells=4, n_nodes=3, reductions=(1, 3))
    >>> sum(p.numel() for p in net.parameters()), sum(a.numel() for a in net.alphas().values())
    (462272, 146)
    """

    def __init__(
        self,
        *,
        in_channels: int,
        n_ways: int,
        channels: int,
        n_cells: int,
        n_nodes: int,
        reductions: Sequence[int],
        stem_stride: int = 1,
        channel_factor: int = 1,
        pair_inputs: bool = True,
        primitives: Sequence[str] = tuple(PRIMITIVES),
        partial_channels: int = 1,
        auxiliary_skip: bool = False,
    ) -> None:
        if channels % partial_channels:
            raise UserError(
                f"nas.partial_channels={partial_channels} must divide space.channels={channels}"
            )
        super().__init__(
            lambda width, reduction: MixedCell(
                primitives, n_nodes, width, reduction, partial_channels, auxiliary_skip
            ),
            (n_nodes, n_nodes),
            in_channels=in_channels,
            n_ways=n_ways,
            channels=channels,
            n_cells=n_cells,
            reductions=reductions,
            stem_stride=stem_stride,
            channel_factor=channel_factor,
            affine=False,
        )
        self.n_nodes, self.pair_inputs, self.primitives = n_nodes, pair_inputs, tuple(primitives)
        self.edge_weights = partial_channels > 1 and not pair_inputs

    def architecture_parameters(self) -> list[ArchitectureParameter]:
        """Declares, for each node of both cell types, its operations and how its inputs are weighed."""
        declared = []
        for cell in CELL_TYPES:
            for i in range(self.n_nodes):
                operations = (i + 2, len(self.primitives))
                declared.append(ArchitectureParameter(f"{cell}_{i}", operations))
                if self.pair_inputs:
                    pairs = (len(input_pairs(i + 2)),)
                    declared.append(ArchitectureParameter(f"{cell}_pair_{i}", pairs, "input_pair"))
                if self.edge_weights:
                    declared.append(ArchitectureParameter(f"{cell}_edge_{i}", (i + 2,), "edge"))
        return declared

    def drop_path_shape(self) -> tuple[int, int, int]:
        """``(cells, edges, O)``."""
        n_edges = sum(i + 2 for i in range(self.n_nodes))
        return len(self.cells), n_edges, len(self.primitives)

    def usage(self, mixing: Mixing) -> Mixing:
        """Returns probability of each primitive on each edge that it is part of the network, ``(E, O)``."""
        paths = {**self.of_kind("operation", mixing), **self.of_kind("input_pair", mixing)}
        nodes = ((cell, i) for cell in CELL_TYPES for i in range(self.n_nodes))
        return {
            name: mixing[name] * edge_factors(paths, cell, i).unsqueeze(-1)
            for cell, i in nodes
            if (name := f"{cell}_{i}") in mixing
        }

    def choices(self) -> dict[str, list[list[list[nn.Module]]]]:
        """Returns modules behind :meth:`usage`, ``[edge][primitive]``, one of every cell of the type."""
        modules: dict[str, list[list[list[nn.Module]]]] = {}
        for cell in self.cells:
            for i, edges in enumerate(cell.nodes):  # type: ignore[union-attr, arg-type]
                empty: list[list[list[nn.Module]]] = [[[] for _ in self.primitives] for _ in edges]
                of_node = modules.setdefault(f"{cell.kind}_{i}", empty)
                for j, edge in enumerate(edges):
                    for o, primitive in enumerate(edge):
                        of_node[j][o].append(primitive)
        return modules

    def auxiliary_modules(self) -> list[nn.Module]:
        """Returns the auxiliary skip connections."""
        return [cell.skips for cell in self.cells]  # type: ignore[misc]

    def prune(self, mixing: Mixing) -> Mixing:
        """Returns one-hot primitives on one pair, or the two strongest edges (DARTS), of each node."""
        pruned = dict(mixing)  # edge weights scale what stays
        for name, weight in self.of_kind("input_pair", mixing).items():
            pruned[name] = one_hot(weight)
        for cell in CELL_TYPES:
            for i in range(self.n_nodes):
                name = f"{cell}_{i}"
                pruned[name] = one_hot(self.eligible(mixing[name])).to(mixing[name])
                if not self.pair_inputs:
                    kept = is_member(self._strongest_edges(mixing, cell, i), i + 2)
                    pruned[name] = pruned[name] * kept.unsqueeze(-1)
        return pruned

    def option_name(self, name: str, option: int) -> str:
        """Returns the name of a primitive; a pair of inputs has its number."""
        kinds = {p.name: p.kind for p in self.architecture_parameters()}
        return self.primitives[option] if kinds[name] == "operation" else str(option)

    def eligible(self, weight_EO: Tensor) -> Tensor:
        """Returns all but ``none``, which no genotype names (DARTS)."""
        if NONE not in self.primitives:
            return weight_EO
        none = torch.arange(weight_EO.shape[-1], device=weight_EO.device)
        return weight_EO.masked_fill(none == self.primitives.index(NONE), -torch.inf)

    def _strongest_edges(self, mixing: Mixing, cell: str, node: int) -> Tensor:
        """Returns the two edges of a node whose best primitive weighs most (DARTS, section 2.4)."""
        strength = self.eligible(mixing[f"{cell}_{node}"]).max(-1).values
        return (strength * edge_factors(mixing, cell, node)).topk(2).indices

    def genotype(self, mixing: Mixing) -> Genotype:
        """Returns the strongest primitive on the inputs that :meth:`prune` keeps."""
        cells = {
            cell: tuple(self._genes(mixing, cell, i) for i in range(self.n_nodes))
            for cell in CELL_TYPES
        }
        return Genotype(normal=cells["normal"], reduce=cells["reduce"])

    def _genes(self, mixing: Mixing, cell: str, node: int) -> tuple[Gene, ...]:
        name = f"{cell}_{node}"
        chosen = self.eligible(mixing[name]).argmax(-1).tolist()
        if self.pair_inputs:
            best = int(mixing[f"{cell}_pair_{node}"].argmax())
            inputs = list(input_pairs(node + 2)[best])
        else:
            inputs = self._strongest_edges(mixing, cell, node).tolist()
        return tuple((self.primitives[chosen[k]], k) for k in inputs)
