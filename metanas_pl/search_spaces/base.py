"""What a search space answers, and what networks of stacked cells share.

Shapes: E edges, O operations; T tasks.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple, TypeVar

import torch
from torch import Tensor, nn

from metanas_pl.search_spaces.cells.compiled import compiled_features
from metanas_pl.search_spaces.genotypes.architecture import Architecture
from metanas_pl.search_spaces.ops.layers import Conv, Head, Reference
from metanas_pl.search_spaces.ops.primitives import ConvNorm, FactorizedReduce
from metanas_pl.types import Alphas, ArchitectureParameter, Kind, Mask, Mixing

V = TypeVar("V")


Alive = Mapping[str, list[list[bool]]]
"""Which operations meta-pruning has left, ``[edge][operation]`` by architecture parameter."""


def to_alive(mask: Mask) -> Alive:
    """Returns the mask as plain values: one look at the device for each tensor.

    >>> to_alive({"normal_0": torch.tensor([[True, False]])})
    {'normal_0': [[True, False]]}
    """
    return {name: values.tolist() for name, values in mask.items()}


class Context(NamedTuple):
    """What a forward pass needs beside images and mixing weights.

    Attributes:
        reference: rows whose batch statistics normalise all rows (see ``spaces.layers.Reference``).
        tasks: T, whose channels lie side by side: images ``(B, T*C, H, W)``, mixing weights and drop path
            with one more dimension T, weights one after the other along their first. Spaces that can
            compute so say it by ``SearchSpace.supports_grouped``.
        drop_path: factors ``(cells, edges, O, B)``, or ``(..., B, T)``, on the outputs of primitives, or
            None; a cell gets its own, ``(edges, O, B)``.
        auxiliary_skip: weight of the auxiliary skip connection on every edge (DARTS-).
        head: False gives the features before the head.
        skip_zeros: do not compute primitives whose mixing weight is zero; right only where a zero has no
            gradient either, as behind a threshold.
        alive: operations that are computed; what it does not name is computed in full.
        compiled: take the compiled library where it covers the network; False is Python all the way.
    """

    reference: Reference = None
    tasks: int = 1
    drop_path: Tensor | None = None
    auxiliary_skip: float = 0.0
    head: bool = True
    skip_zeros: bool = False
    alive: Alive = {}  # noqa: RUF012  (never written to)
    compiled: bool = True

    def computed(self, name: str, factor_EO: Tensor) -> list[list[bool]]:
        """Returns which operations of architecture parameter ``name`` to compute, ``[edge][operation]``."""
        n_edges, n_operations = factor_EO.shape[-2:]
        alive = self.alive.get(name, [[True] * n_operations] * n_edges)
        return both(alive, nonzero(factor_EO)) if self.skip_zeros else alive


def nonzero(factor_EO: Tensor) -> list[list[bool]]:
    """Returns which of ``(E, O)`` or ``(T, E, O)`` factors are not zero, in any task; all, if all are zero.

    It looks at values behind ``torch.func`` transforms, which synchronises a GPU: for the CPU alone.

    >>> nonzero(torch.tensor([[0.5, 0.0]]))
    [[True, False]]
    """
    # One look at each entry: under vmap the tasks may be any dimension of the tensor behind it.
    kept = factor_EO.detach().ne(0)
    entries = (kept.any(0) if kept.dim() == 3 else kept).flatten().unbind()
    found = [bool(torch.func.debug_unwrap(entry).any()) for entry in entries]
    found = found if any(found) else [True] * len(found)
    n_options = factor_EO.shape[-1]
    return [found[i : i + n_options] for i in range(0, len(found), n_options)]


def both(first: list[list[bool]], second: list[list[bool]]) -> list[list[bool]]:
    """Returns entries that are true in both.

    >>> both([[True, True]], [[False, True]])
    [[False, True]]
    """
    pairs = zip(first, second, strict=True)
    return [[a and b for a, b in zip(*rows, strict=True)] for rows in pairs]


class SearchSpace(nn.Module, ABC):
    """A network whose architecture is an argument. ``head`` is its last, linear layer.

    A fixed network is a space without alphas: it answers ``alphas()`` with ``{}`` and ignores mixing.

    Attributes:
        head: the last layer; :class:`~metanas_pl.search_spaces.ops.layers.Head` if ``supports_grouped``.
        supports_grouped: it computes T tasks at once with their channels side by side (``Context.tasks``).
    """

    head: nn.Linear
    supports_grouped = False

    @abstractmethod
    def features(self, x: Tensor, mixing: Mixing, context: Context) -> Tensor:
        """Returns features before the head: ``(B, C, H, W) -> (B, F)``."""

    def forward(self, x: Tensor, mixing: Mixing, context: Context = Context()) -> Tensor:  # noqa: B008
        """Returns logits ``(B, n_ways)`` of images ``(B, C, H, W)`` under the mixing weights."""
        features = self.features(x, mixing, context)
        return self.head(features) if context.head else features

    def architecture_parameters(self) -> Sequence[ArchitectureParameter]:
        """Declares the architecture logits; none for a fixed network."""
        return ()

    def alphas(self) -> Alphas:
        """Returns initial logits: 1e-3 times normal noise, as in DARTS."""
        return {p.name: 1e-3 * torch.randn(p.shape) for p in self.architecture_parameters()}

    def of_kind(self, kind: Kind, values: Mapping[str, V]) -> dict[str, V]:
        """Returns those of ``values``, by name, whose architecture parameter is of this kind."""
        names = {p.name for p in self.architecture_parameters() if p.kind == kind}
        return {name: value for name, value in values.items() if name in names}

    def option_name(self, name: str, option: int) -> str:
        """Returns what option ``option`` of architecture parameter ``name`` is called."""
        return str(option)

    def eligible(self, weight_EO: Tensor) -> Tensor:
        """Returns weights or logits of primitives that a genotype may name, minus infinity for others."""
        return weight_EO

    def prune(self, mixing: Mixing) -> Mixing:
        """Returns the one-hot mixing weights of the genotype that ``mixing`` stands for: hard pruning."""
        return mixing

    def genotype(self, mixing: Mixing) -> Architecture | None:
        """Returns the discrete architecture; None where the space has no cells."""
        return None

    def usage(self, mixing: Mixing) -> Mixing:
        """Returns how much each primitive is used, ``(E, O)`` by alpha: 0 or 1 after :meth:`prune`."""
        return {}

    def choices(self) -> dict[str, list[list[list[nn.Module]]]]:
        """Returns modules behind each entry of :meth:`usage`: ``[edge][primitive]``, one of every cell."""
        return {}

    def auxiliary_modules(self) -> list[nn.Module]:
        """Returns modules that help a search and are no part of a derived network."""
        return []

    def unused_weights(self, alive: Alive) -> frozenset[str]:
        """Returns names of the weights of operations that are not ``alive``: nothing depends on them."""
        dead = (
            module
            for name, edges in self.choices().items()
            if name in alive
            for edge, of_edge in zip(edges, alive[name], strict=True)
            for modules, lives in zip(edge, of_edge, strict=True)
            for module in (() if lives else modules)
        )
        weights = {weight for module in dead for weight in module.parameters()}
        return frozenset(name for name, w in self.named_parameters() if w in weights)

    def drop_path_shape(self) -> tuple[int, int, int] | None:
        """``(cells, edges, O)`` of the drop-path factors; None where drop path has no place."""
        return None


class CellNetwork(SearchSpace):
    """Stem, stacked cells, global average pooling, linear head (DARTS, MetaNAS).

    Args:
        make_cell: ``make_cell(channels, is_reduction) -> nn.Module``; called as
            ``cell(s0, s1, mixing, context)`` and giving ``n_outputs * channels`` channels.
        n_outputs: concatenated states of a (normal, reduction) cell.
        in_channels: channels of the images.
        n_ways: classes.
        channels: channels of the first cells.
        n_cells: number of cells.
        reductions: indices of reduction cells.
        stem_stride: 1 (the paper) or 2 (compact).
        channel_factor: growth of the channels at a reduction.
        affine: affine batch norm in the cells (the stem always has it).
    """

    stem: nn.Module
    supports_grouped = True

    def __init__(
        self,
        make_cell: Callable[[int, bool], nn.Module],
        n_outputs: tuple[int, int],
        *,
        in_channels: int,
        n_ways: int,
        channels: int,
        n_cells: int,
        reductions: Sequence[int],
        stem_stride: int = 1,
        channel_factor: int = 1,
        affine: bool,
    ) -> None:
        super().__init__()
        stem_channels = 3 * channels
        self.stem = ConvNorm(
            Conv(in_channels, stem_channels, 3, stem_stride), affine=True, relu=False
        )
        self.preprocess = nn.ModuleList()
        self.cells = nn.ModuleList()
        before_last = last = stem_channels
        after_reduction = False
        for index in range(n_cells):
            reduction = index in reductions
            channels *= channel_factor if reduction else 1
            self.preprocess.append(
                nn.ModuleList(
                    [
                        FactorizedReduce(before_last, channels, affine)
                        if after_reduction
                        else ConvNorm(Conv(before_last, channels, 1), affine=affine),
                        ConvNorm(Conv(last, channels, 1), affine=affine),
                    ]
                )
            )
            self.cells.append(make_cell(channels, reduction))
            before_last, last = last, n_outputs[reduction] * channels
            after_reduction = reduction
        self.head = Head(last, n_ways)

    def features(self, x: Tensor, mixing: Mixing, context: Context) -> Tensor:
        """Returns features ``(B, F)``, the pooled output of the last cell."""
        features = compiled_features(self, x, mixing, context)
        return self.features_in_python(x, mixing, context) if features is None else features

    def features_in_python(self, x: Tensor, mixing: Mixing, context: Context) -> Tensor:
        """Returns the same features, operation by operation: the definition of the network."""
        s0 = s1 = self.stem(x, context.reference)
        for index, cell in enumerate(self.cells):
            left, right = self.preprocess[index].children()
            noise = None if context.drop_path is None else context.drop_path[index]
            x0, x1 = left(s0, context.reference), right(s1, context.reference)
            s0, s1 = s1, cell(x0, x1, mixing, context._replace(drop_path=noise))
        return s1.mean((2, 3))
