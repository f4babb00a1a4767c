"""The one-shot network: cells in which every edge is a mixture of all primitives.

Shapes: E edges of a node, O primitives, P input pairs, B images.
Mixing weights of a cell type ("normal", "reduce") and node i are ``{cell}_{i}``, ``(i+2, O)``, and, with
pair inputs, ``{cell}_pair_{i}``, ``(P,)`` over pairs (k, l), k < l, in lexicographic order.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from metanas_pl.functional.relaxation import Alphas, Mask, Mixing, is_member, is_operation
from metanas_pl.spaces.base import CellNetwork, Context
from metanas_pl.spaces.genes import Gene
from metanas_pl.spaces.genotype import Genotype
from metanas_pl.spaces.primitives import NONE, PRIMITIVES, Identity, make_primitive

CELL_TYPES = ("normal", "reduce")


def input_pairs(n_inputs: int) -> list[tuple[int, int]]:
    """All pairs (k, l), k < l, of earlier states.

    >>> input_pairs(3)
    [(0, 1), (0, 2), (1, 2)]
    """
    return list(combinations(range(n_inputs), 2))


def edge_factors(mixing: Mixing, cell: str, node: int) -> Tensor:
    """Factor of each edge of a node, ``(E,)``.

    With pair weights the node is  sum_{k<l} beta_kl (edge_k + edge_l)  (MetaNAS, eq. 8), which is
    sum_k edge_k times the sum of the pair weights that k takes part in. With edge weights
    (``{cell}_edge_{i}``, PC-DARTS) it is their weighted sum, else the plain sum.

    >>> edge_factors({"normal_0": torch.eye(2), "normal_pair_0": torch.tensor([0.5])}, "normal", 0)
    tensor([0.5000, 0.5000])
    """
    weight_EO = mixing[f"{cell}_{node}"]
    n_edges = weight_EO.shape[0]
    pair_P = mixing.get(f"{cell}_pair_{node}")
    if pair_P is not None:
        pairs = torch.tensor(input_pairs(n_edges), device=pair_P.device)
        return (pair_P.unsqueeze(-1) * is_member(pairs, n_edges)).sum(0)
    return mixing.get(f"{cell}_edge_{node}", weight_EO.new_ones(n_edges))


class MixedCell(nn.Module):
    """A cell with every primitive on every edge.

    Args:
        primitives: their names.
        n_nodes: nodes.
        channels: channels of each node.
        reduction: whether edges from the cell's inputs have stride 2.
        partial_channels: K; primitives see one of K parts of the channels (PC-DARTS), 1 sees all.
        auxiliary_skip: a skip connection on every edge, weighted by ``context.auxiliary_skip`` (DARTS-).
    """

    def __init__(
        self,
        primitives: Sequence[str],
        n_nodes: int,
        channels: int,
        reduction: bool,
        partial_channels: int = 1,
        auxiliary_skip: bool = False,
    ) -> None:
        super().__init__()
        self.kind, self.partial_channels = CELL_TYPES[reduction], partial_channels
        strides = [[2 if reduction and j < 2 else 1 for j in range(i + 2)] for i in range(n_nodes)]
        width = channels // partial_channels
        self.nodes = nn.ModuleList(
            nn.ModuleList(
                nn.ModuleList(
                    make_primitive(name, width, stride, affine=False) for name in primitives
                )
                for stride in of_node
            )
            for of_node in strides
        )
        self.skips = nn.ModuleList(
            nn.ModuleList(
                make_primitive("skip_connect", channels, stride, affine=False) for stride in of_node
            )
            for of_node in (strides if auxiliary_skip else [])
        )
        self.alive = [[[True] * len(primitives)] * (i + 2) for i in range(n_nodes)]

    def forward(self, s0: Tensor, s1: Tensor, mixing: Mixing, context: Context) -> Tensor:
        """Concatenated nodes, ``(B, n_nodes * C, H', W')``; ``context.drop_path`` is ``(edges, O, B)``."""
        states, first_edge = [s0, s1], 0
        for i, edges in enumerate(self.nodes):
            of_edge = edge_factors(mixing, self.kind, i)
            factors = mixing[f"{self.kind}_{i}"] * of_edge.unsqueeze(-1)
            terms = []
            for j, edge in enumerate(edges.children()):
                x = states[j]
                part = (
                    x if self.partial_channels == 1 else x[:, : x.shape[1] // self.partial_channels]
                )
                mixed = self._mixture(
                    edge, part, factors[j], self.alive[i][j], first_edge + j, context
                )
                if self.partial_channels > 1:
                    mixed = [self._rejoined(x, mixed, of_edge[j])]
                if self.skips and context.auxiliary_skip:
                    skip = self.skips[i][j](x, context.reference)  # type: ignore[index]
                    mixed.append(context.auxiliary_skip * of_edge[j] * skip)
                terms += mixed
            states.append(sum(terms[1:], terms[0]))
            first_edge += i + 2
        return torch.cat(states[2:], dim=1)

    def _mixture(
        self,
        edge: Any,
        x: Tensor,
        factor_O: Tensor,
        alive: list[bool],
        number: int,
        context: Context,
    ) -> list[Tensor]:
        """Weighted outputs of the primitives of one edge that meta-pruning has left."""
        terms = []
        for o, primitive in enumerate(edge.children()):
            if not alive[o]:
                continue
            term = factor_O[o] * primitive(x, context.reference)
            if context.drop_path is not None and not isinstance(primitive, Identity):
                term = term * context.drop_path[number, o].view(-1, 1, 1, 1)
            terms.append(term)
        return terms

    def _rejoined(self, x: Tensor, mixed: list[Tensor], of_edge: Tensor) -> Tensor:
        """Mixed channels beside those that pass by, shuffled so that they take turns (PC-DARTS)."""
        joined = sum(mixed[1:], mixed[0])
        rest = x[:, x.shape[1] // self.partial_channels :]
        if rest.shape[2:] != joined.shape[2:]:
            rest = F.max_pool2d(rest, 2, 2, ceil_mode=True)
        both = torch.cat([joined, of_edge * rest], dim=1)
        return both.unflatten(1, (self.partial_channels, -1)).transpose(1, 2).flatten(1, 2)


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
            raise ValueError(
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

    def alphas(self) -> Alphas:
        """Logits close to zero (1e-3 times normal noise, as in DARTS), for both cell types."""
        shapes: dict[str, tuple[int, ...]] = {}
        for cell in CELL_TYPES:
            for i in range(self.n_nodes):
                shapes[f"{cell}_{i}"] = (i + 2, len(self.primitives))
                if self.pair_inputs:
                    shapes[f"{cell}_pair_{i}"] = (len(input_pairs(i + 2)),)
                if self.edge_weights:
                    shapes[f"{cell}_edge_{i}"] = (i + 2,)
        return {name: 1e-3 * torch.randn(shape) for name, shape in shapes.items()}

    def restrict(self, mask: Mask) -> None:
        """Leave primitives that meta-pruning switched off out of every cell."""
        for cell in self.cells:
            assert isinstance(cell, MixedCell)
            cell.alive = [mask[f"{cell.kind}_{i}"].tolist() for i in range(self.n_nodes)]

    def drop_path_shape(self) -> tuple[int, int, int]:
        """``(cells, edges, O)``."""
        n_edges = sum(i + 2 for i in range(self.n_nodes))
        return len(self.cells), n_edges, len(self.primitives)

    def usage(self, mixing: Mixing) -> Mixing:
        """Probability of each primitive on each edge that it is part of the network, ``(E, O)``."""
        used = {}
        for name in (n for n in mixing if is_operation(n)):
            cell, _, node = name.rpartition("_")
            pairs = {k: w for k, w in mixing.items() if k == f"{cell}_pair_{node}" or k == name}
            used[name] = mixing[name] * edge_factors(pairs, cell, int(node)).unsqueeze(-1)
        return used

    def choices(self) -> dict[str, list[list[list[nn.Module]]]]:
        """Modules behind :meth:`usage`, ``[edge][primitive]``, one of every cell of the type."""
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
        """The auxiliary skip connections."""
        return [cell.skips for cell in self.cells]  # type: ignore[misc]

    def prune(self, mixing: Mixing) -> Mixing:
        """One-hot primitives; one pair, or the two strongest edges (DARTS), of each node."""
        pruned = {}
        for name, weight in mixing.items():
            if "edge" in name:  # scales what stays
                pruned[name] = weight
                continue
            chosen = self._without_none(weight) if is_operation(name) else weight
            one_hot = is_member(chosen.argmax(-1, keepdim=True), weight.shape[-1]).to(weight)
            if is_operation(name) and not self.pair_inputs:
                kept = is_member(self._strongest_edges(mixing, name), weight.shape[0])
                one_hot = one_hot * kept.unsqueeze(-1)
            pruned[name] = one_hot
        return pruned

    def _without_none(self, weight_EO: Tensor) -> Tensor:
        """Mixing weights of what may be chosen: ``none`` may not."""
        if NONE not in self.primitives:
            return weight_EO
        none = torch.arange(weight_EO.shape[-1], device=weight_EO.device)
        return weight_EO.masked_fill(none == self.primitives.index(NONE), -1.0)

    def _strongest_edges(self, mixing: Mixing, name: str) -> Tensor:
        """The two edges of a node whose best primitive weighs most (DARTS, section 2.4)."""
        cell, _, node = name.rpartition("_")
        strength = self._without_none(mixing[name]).max(-1).values
        return (strength * edge_factors(mixing, cell, int(node))).topk(2).indices

    def genotype(self, mixing: Mixing) -> Genotype:
        """The strongest primitive on the inputs that :meth:`prune` keeps."""
        cells = {
            cell: tuple(self._genes(mixing, cell, i) for i in range(self.n_nodes))
            for cell in CELL_TYPES
        }
        return Genotype(normal=cells["normal"], reduce=cells["reduce"])

    def _genes(self, mixing: Mixing, cell: str, node: int) -> tuple[Gene, ...]:
        name = f"{cell}_{node}"
        chosen = self._without_none(mixing[name]).argmax(-1).tolist()
        if self.pair_inputs:
            best = int(mixing[f"{cell}_pair_{node}"].argmax())
            inputs = list(input_pairs(node + 2)[best])
        else:
            inputs = self._strongest_edges(mixing, name).tolist()
        return tuple((self.primitives[chosen[k]], k) for k in inputs)
