"""The one-shot network: cells in which every edge is a mixture of all primitives.

Shapes: E edges of a node, O primitives, P input pairs, B images.
Mixing weights of a cell type ("normal", "reduce") and node i are ``{cell}_{i}``, ``(i+2, O)``, and, with
pair inputs, ``{cell}_pair_{i}``, ``(P,)`` over pairs (k, l), k < l, in lexicographic order.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

import torch
from torch import Tensor, nn

from metanas_pl.functional.relaxation import Alphas, Mask, Mixing, is_member
from metanas_pl.spaces.base import CellNetwork
from metanas_pl.spaces.genotype import Gene, Genotype
from metanas_pl.spaces.primitives import PRIMITIVES, Identity, make_primitive

CELL_TYPES = ("normal", "reduce")


def input_pairs(n_inputs: int) -> list[tuple[int, int]]:
    """All pairs (k, l), k < l, of earlier states.

    >>> input_pairs(3)
    [(0, 1), (0, 2), (1, 2)]
    """
    return list(combinations(range(n_inputs), 2))


def edge_coefficients(weight_EO: Tensor, pair_P: Tensor | None) -> Tensor:
    """Factor of each primitive in its node, ``(E, O)``.

    With pair weights the node is  sum_{k<l} beta_kl (edge_k + edge_l)  (MetaNAS, eq. 8), which is
    sum_k edge_k times the sum of the pair weights that k takes part in.

    >>> edge_coefficients(torch.eye(2), torch.tensor([0.5]))
    tensor([[0.5000, 0.0000],
            [0.0000, 0.5000]])
    """
    if pair_P is None:
        return weight_EO
    pairs = torch.tensor(input_pairs(weight_EO.shape[0]), device=pair_P.device)
    incidence = is_member(pairs, weight_EO.shape[0]).to(pair_P)
    return weight_EO * (pair_P @ incidence).unsqueeze(-1)


class MixedCell(nn.Module):
    """A cell with every primitive on every edge."""

    def __init__(
        self, primitives: Sequence[str], n_nodes: int, channels: int, reduction: bool
    ) -> None:
        super().__init__()
        self.kind = CELL_TYPES[reduction]
        self.nodes = nn.ModuleList(
            nn.ModuleList(
                nn.ModuleList(
                    make_primitive(name, channels, 2 if reduction and j < 2 else 1, affine=False)
                    for name in primitives
                )
                for j in range(i + 2)
            )
            for i in range(n_nodes)
        )
        self.alive = [[[True] * len(primitives)] * (i + 2) for i in range(n_nodes)]

    def forward(
        self, s0: Tensor, s1: Tensor, mixing: Mixing, reference: int | None, noise: Tensor | None
    ) -> Tensor:
        """Concatenated nodes, ``(B, n_nodes * C, H', W')``; ``noise`` is ``(edges, O, B)``."""
        states, first_edge = [s0, s1], 0
        for i, edges in enumerate(self.nodes):
            factors = edge_coefficients(
                mixing[f"{self.kind}_{i}"], mixing.get(f"{self.kind}_pair_{i}")
            )
            terms = []
            for j, edge in enumerate(edges.children()):
                for o, primitive in enumerate(edge.children()):
                    if not self.alive[i][j][o]:
                        continue
                    term = factors[j, o] * primitive(states[j], reference)
                    if noise is not None and not isinstance(primitive, Identity):
                        term = term * noise[first_edge + j, o].view(-1, 1, 1, 1)
                    terms.append(term)
            states.append(sum(terms[1:], terms[0]))
            first_edge += i + 2
        return torch.cat(states[2:], dim=1)


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
    ) -> None:
        super().__init__(
            lambda width, reduction: MixedCell(primitives, n_nodes, width, reduction),
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

    def alphas(self) -> Alphas:
        """Logits close to zero (1e-3 times normal noise, as in DARTS), for both cell types."""
        shapes: dict[str, tuple[int, ...]] = {}
        for cell in CELL_TYPES:
            for i in range(self.n_nodes):
                shapes[f"{cell}_{i}"] = (i + 2, len(self.primitives))
                if self.pair_inputs:
                    shapes[f"{cell}_pair_{i}"] = (len(input_pairs(i + 2)),)
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

    def prune(self, mixing: Mixing) -> Mixing:
        """One-hot primitives; one pair, or the two strongest edges (DARTS), of each node."""
        pruned = {
            name: is_member(weight.argmax(-1, keepdim=True), weight.shape[-1]).to(weight)
            for name, weight in mixing.items()
        }
        if not self.pair_inputs:
            for name, weight_EO in mixing.items():
                best = weight_EO.max(-1).values.topk(2).indices
                kept = is_member(best, weight_EO.shape[0])
                pruned[name] = pruned[name] * kept.unsqueeze(-1)
        return pruned

    def genotype(self, mixing: Mixing) -> Genotype:
        """The strongest primitive on the inputs that :meth:`prune` keeps."""
        cells = {
            cell: tuple(self._genes(mixing, cell, i) for i in range(self.n_nodes))
            for cell in CELL_TYPES
        }
        return Genotype(normal=cells["normal"], reduce=cells["reduce"])

    def _genes(self, mixing: Mixing, cell: str, node: int) -> tuple[Gene, ...]:
        weight_EO = mixing[f"{cell}_{node}"]
        if self.pair_inputs:
            best = int(mixing[f"{cell}_pair_{node}"].argmax())
            inputs = list(input_pairs(node + 2)[best])
        else:
            inputs = weight_EO.max(-1).values.topk(2).indices.tolist()
        return tuple((self.primitives[int(weight_EO[k].argmax())], k) for k in inputs)

    def reachable_parameters(self, mixing: Mixing) -> int:
        """Weights outside the cells' edges, and of every primitive whose factor is not zero."""
        total = sum(p.numel() for p in self.parameters())
        for cell in self.cells:
            for i, edges in enumerate(cell.nodes):  # type: ignore[union-attr, arg-type]
                live = edge_coefficients(
                    mixing[f"{cell.kind}_{i}"], mixing.get(f"{cell.kind}_pair_{i}")
                )
                for edge, row in zip(edges, (live != 0).tolist(), strict=True):
                    dead = (p for p, alive in zip(edge, row, strict=True) if not alive)
                    total -= sum(w.numel() for primitive in dead for w in primitive.parameters())
        return total
