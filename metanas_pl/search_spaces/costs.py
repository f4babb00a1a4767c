"""What a network costs: parameters and FLOPs of its parts, and of a mixture of them in expectation."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from metanas_pl.search_spaces.base import Context, SearchSpace
from metanas_pl.types import Mixing

KINDS = ("parameters", "flops")


class Costs(NamedTuple):
    """Cost of the parts of a network.

    Attributes:
        fixed: of everything outside the edges of cells.
        parts: of each primitive, ``(E, O)`` by alpha, summed over the cells of that type.
    """

    fixed: float
    parts: Mixing

    @property
    def largest(self) -> float:
        """Cost of the whole supernet."""
        return self.fixed + sum(float(part.sum()) for part in self.parts.values())


def measure(space: SearchSpace, kind: str, image_shape: tuple[int, int, int]) -> Costs:
    """Returns costs of the parts of ``space``.

    Args:
        space: a search space, nothing of it switched off.
        kind: ``parameters`` (numbers) or ``flops`` (of one image forward: two for each multiply-add of
            a convolution or linear layer, nothing for normalisation and pooling).
        image_shape: ``(C, H, W)``.
    """
    cost = parameter_count if kind == "parameters" else flop_counter(space, image_shape)
    parts = {
        name: torch.tensor([[sum(map(cost, cells)) for cells in edge] for edge in edges])
        for name, edges in space.choices().items()
    }
    outside = cost(space) - sum(map(cost, space.auxiliary_modules()))
    fixed = outside - sum(int(part.sum()) for part in parts.values())
    return Costs(float(fixed), {name: part.double() for name, part in parts.items()})


def parameter_count(module: nn.Module) -> int:
    """Returns numbers in the parameters of ``module``."""
    return sum(p.numel() for p in module.parameters())


def flop_counter(
    space: SearchSpace, image_shape: tuple[int, int, int]
) -> Callable[[nn.Module], int]:
    """Counts the FLOPs of every module of ``space`` in one forward pass of an image."""
    with torch.random.fork_rng(
        []
    ):  # alphas are drawn, and a count must not move a run's randomness
        mixing = {name: torch.ones_like(alpha) for name, alpha in space.alphas().items()}
    images = torch.zeros(2, *image_shape)  # two: batch statistics of one pixel need them
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        space(images, mixing, Context(compiled=False))  # every module is called
    names = {id(module): name for name, module in space.named_modules()}
    counts, top = counter.get_flop_counts(), type(space).__name__

    def count(module: nn.Module) -> int:
        name = names[id(module)]
        return sum(counts.get(f"{top}.{name}" if name else top, {}).values()) // 2

    return count


def expected_cost(space: SearchSpace, costs: Costs, mixing: Mixing) -> Tensor:
    """Returns the expected cost under the mixing weights, differentiable; exact after hard pruning.

    Its parts count by ``space.usage``: the probability that a primitive is in the network.
    """
    used = space.usage(mixing)
    terms = [(used[name] * part.to(used[name])).sum() for name, part in costs.parts.items()]
    return sum(terms, start=torch.tensor(costs.fixed))


def reachable_cost(space: SearchSpace, costs: Costs, mixing: Mixing) -> int:
    """Returns the cost of everything that an input still reaches when zero mixing weights are left out."""
    used = space.usage(mixing)  # of cells that the network has not, too
    live = (part[(used[name] != 0).cpu()] for name, part in costs.parts.items())
    return int(costs.fixed + sum(float(part.sum()) for part in live))
