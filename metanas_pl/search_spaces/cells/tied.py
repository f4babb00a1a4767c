"""A search space so small that all of its networks can be trained: one primitive for each cell type.

All edges of a cell type have the same primitive, and a node adds up its first two inputs, so seven
primitives make 49 networks. It is what a search can be judged on: the best network is known.

Shapes: E edges of a node, O primitives.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import nn

from metanas_pl.algorithms.nas.relaxations import one_hot
from metanas_pl.errors import UserError
from metanas_pl.search_spaces.base import Context
from metanas_pl.search_spaces.cells.mixed_cell import CELL_TYPES
from metanas_pl.search_spaces.cells.supernet import Supernet
from metanas_pl.types import ArchitectureParameter, Mixing

if TYPE_CHECKING:
    from torch import Tensor

    from metanas_pl.search_spaces.genotypes.genotype import Genotype


class TiedSupernet(Supernet):
    """A supernet of cells with one node, whose two edges share their architecture parameter.

    Takes what :class:`Supernet` takes; ``pair_inputs`` has no meaning, as both inputs are used.

    >>> net = TiedSupernet(in_channels=1, n_ways=5, channels=4, n_cells=2, n_nodes=1, reductions=(0,))
    >>> [(p.name, p.shape) for p in net.architecture_parameters()]
    [('normal', (1, 7)), ('reduce', (1, 7))]
    """

    def __init__(self, *, n_nodes: int = 1, pair_inputs: bool = False, **more: object) -> None:
        if n_nodes != 1:
            raise UserError(f"space.n_nodes={n_nodes}: a cell of tied edges has one node")
        super().__init__(n_nodes=1, pair_inputs=False, **more)  # type: ignore[arg-type]

    def architecture_parameters(self) -> list[ArchitectureParameter]:
        """Declares the operation of each cell type that occurs."""
        kinds = {cell.kind for cell in self.cells}
        shape = (1, len(self.primitives))
        return [ArchitectureParameter(cell, shape) for cell in CELL_TYPES if cell in kinds]

    def features(self, x: Tensor, mixing: Mixing, context: Context) -> Tensor:
        """Returns features ``(B, F)``, the pooled output of the last cell."""
        alive = {f"{cell}_0": rows * 2 for cell, rows in context.alive.items()}
        return super().features(x, untied(mixing), context._replace(alive=alive))

    def usage(self, mixing: Mixing) -> Mixing:
        """Returns probability of each primitive of a cell type that it is part of the network."""
        return dict(mixing)

    def choices(self) -> dict[str, list[list[list[nn.Module]]]]:
        """Returns modules behind :meth:`usage`: those of both edges, of every cell of the type."""
        of_edges = super().choices()
        return {
            name.removesuffix("_0"): [[a + b for a, b in zip(*edges, strict=True)]]
            for name, edges in of_edges.items()
        }

    def prune(self, mixing: Mixing) -> Mixing:
        """Returns one primitive for each cell type."""
        return {name: one_hot(self.eligible(weight)).to(weight) for name, weight in mixing.items()}

    def genotype(self, mixing: Mixing) -> Genotype:
        """Returns the genotype with the strongest primitive of each cell type on both inputs."""
        return super().genotype(self._complete(untied(mixing)))

    def _complete(self, mixing: Mixing) -> Mixing:
        """Returns mixing weights of both cell types; a type that does not occur takes the other's."""
        known = next(iter(mixing.values()))
        return {f"{cell}_0": mixing.get(f"{cell}_0", known) for cell in CELL_TYPES}


def untied(mixing: Mixing) -> Mixing:
    """Returns mixing weights for each of the two edges of the only node.

    >>> import torch
    >>> untied({"normal": torch.tensor([[0.3, 0.7]])})["normal_0"].shape
    torch.Size([2, 2])
    """
    return {
        f"{cell}_0": weight.expand(*weight.shape[:-2], 2, weight.shape[-1])
        for cell, weight in mixing.items()
    }
