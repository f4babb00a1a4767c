"""A cell in which every edge is a mixture of all primitives.

Shapes: E edges of a node, O primitives, P input pairs, B images.
Mixing weights of a cell type ("normal", "reduce") and node i are ``{cell}_{i}``, ``(i+2, O)``, and, with
pair inputs, ``{cell}_pair_{i}``, ``(P,)`` over pairs (k, l), k < l, in lexicographic order.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from metanas_pl.algorithms.nas.relaxations import is_member
from metanas_pl.kernels.program import FeatureMap, Program
from metanas_pl.search_spaces.base import Context
from metanas_pl.search_spaces.cells.compiled import Gates
from metanas_pl.search_spaces.cells.state import State
from metanas_pl.search_spaces.ops.compiled import NotCovered, add_primitive
from metanas_pl.search_spaces.ops.layers import Reference, dropped, join, scaled, take, total
from metanas_pl.search_spaces.ops.primitives import Identity, make_primitive
from metanas_pl.types import Mixing

CELL_TYPES = ("normal", "reduce")


def input_pairs(n_inputs: int) -> list[tuple[int, int]]:
    """Returns all pairs (k, l), k < l, of earlier states.

    >>> input_pairs(3)
    [(0, 1), (0, 2), (1, 2)]
    """
    return list(combinations(range(n_inputs), 2))


def edge_factors(mixing: Mixing, cell: str, node: int) -> Tensor:
    """Returns the factor of each edge of a node, ``(E,)``.

    With pair weights the node is  sum_{k<l} beta_kl (edge_k + edge_l)  (MetaNAS, eq. 8), which is
    sum_k edge_k times the sum of the pair weights that k takes part in. With edge weights
    (``{cell}_edge_{i}``, PC-DARTS) it is their weighted sum, else the plain sum.

    >>> edge_factors({"normal_0": torch.eye(2), "normal_pair_0": torch.tensor([0.5])}, "normal", 0)
    tensor([0.5000, 0.5000])
    """
    weight_EO = mixing[f"{cell}_{node}"]
    n_edges = weight_EO.shape[-2]
    pair_P = mixing.get(f"{cell}_pair_{node}")
    if pair_P is not None:
        pairs = torch.tensor(input_pairs(n_edges), device=pair_P.device)
        return (pair_P.unsqueeze(-1) * is_member(pairs, n_edges)).sum(-2)
    return mixing.get(f"{cell}_edge_{node}", weight_EO.new_ones(weight_EO.shape[:-1]))


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
        self.width, self.stride = channels // partial_channels, 2 if reduction else 1
        strides = [[2 if reduction and j < 2 else 1 for j in range(i + 2)] for i in range(n_nodes)]
        self.nodes = nn.ModuleList(
            nn.ModuleList(
                nn.ModuleList(
                    make_primitive(name, self.width, stride, affine=False) for name in primitives
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

    def forward(self, s0: Tensor, s1: Tensor, mixing: Mixing, context: Context) -> Tensor:
        """Concatenated nodes, ``(B, n_nodes * C, H', W')``; ``context.drop_path`` is ``(edges, O, B)``."""
        states, first_edge = [s0, s1], 0
        seen = [self._seen(x, context.tasks) for x in states]
        for i, edges in enumerate(self.nodes):
            of_edge = edge_factors(mixing, self.kind, i)
            name = f"{self.kind}_{i}"
            factors = mixing[name] * of_edge.unsqueeze(-1)
            alive = context.computed(name, factors)
            terms = []
            for j, edge in enumerate(edges.children()):
                noise = None if context.drop_path is None else context.drop_path[first_edge + j]
                computed = [(o, p) for o, p in enumerate(edge.children()) if alive[j][o]]
                mixed = _mixture(computed, seen[j], factors[..., j, :], context.reference, noise)
                if mixed and self.partial_channels > 1:
                    mixed = [self._rejoined(states[j], mixed, of_edge[..., j], context.tasks)]
                if self.skips and context.auxiliary_skip:
                    weight = context.auxiliary_skip * of_edge[..., j]
                    mixed.append(self.skips[i][j](states[j], context.reference, weight))  # type: ignore[index]
                terms += mixed
            states.append(total(terms))
            seen.append(self._seen(states[-1], context.tasks))
            first_edge += i + 2
        return join(states[2:], context.tasks)

    def factors(self, mixing: Mixing) -> dict[str, Tensor]:
        """Returns the factor of every primitive on every edge, ``(..., E, O)`` by node."""
        names = [f"{self.kind}_{i}" for i in range(len(self.nodes))]
        return {
            name: mixing[name] * edge_factors(mixing, self.kind, i).unsqueeze(-1)
            for i, name in enumerate(names)
        }

    def add_to(
        self, program: Program, s0: FeatureMap, s1: FeatureMap, gates: Mapping[str, Gates]
    ) -> FeatureMap:
        """Adds the cell to a compiled program and returns its output.

        Raises:
            NotCovered: the library cannot compute it.
        """
        if self.partial_channels > 1:
            raise NotCovered("partial channels")
        sides = [-(-side // self.stride) for side in (s0.height, s0.width)]
        whole, sums = program.joined(len(self.nodes), self.width, *sides)
        states = [s0, s1, *sums]
        for i, edges in enumerate(self.nodes):
            first, alive = gates[f"{self.kind}_{i}"]
            for j, edge in enumerate(edges.children()):
                for o, primitive in enumerate(edge.children()):
                    if alive[j][o]:
                        gate = first + j * len(alive[j]) + o
                        add_primitive(program, primitive, states[j], sums[i], gate)
        return whole

    def _seen(self, x: Tensor, tasks: int) -> State:
        """Returns the channels of a state that primitives see."""
        return State(take(x, slice(self.width), tasks) if self.partial_channels > 1 else x)

    def _rejoined(self, x: Tensor, mixed: list[Tensor], of_edge: Tensor, tasks: int) -> Tensor:
        """Returns mixed channels beside those that pass by, shuffled so that they take turns (PC-DARTS)."""
        joined = total(mixed)
        rest = take(x, slice(self.width, None), tasks)
        if rest.shape[2:] != joined.shape[2:]:
            rest = F.max_pool2d(rest, 2, 2, ceil_mode=True)
        both = join([joined, scaled(rest, of_edge)], tasks)
        in_turn = both.unflatten(1, (tasks, self.partial_channels, -1)).transpose(2, 3)
        return in_turn.flatten(1, 3)


def _mixture(
    primitives: Sequence[tuple[int, nn.Module]],
    state: State,
    factor: Tensor,
    reference: Reference,
    noise: Tensor | None,
) -> list[Tensor]:
    """Returns outputs of numbered primitives of an edge, times their factors and drop path's ``(O, B)``."""
    terms = []
    for o, primitive in primitives:
        term = state.through(primitive, reference, factor[..., o], o)
        if noise is not None and not isinstance(primitive, Identity):
            term = dropped(term, noise[o])
        terms.append(term)
    return terms
