"""Networks of cells run by the compiled library, where there is one and it covers them.

Shapes: T tasks, B images, C, H, W an image, F features.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple, Protocol
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn
from torch.func import functional_call

from metanas_pl.kernels.execute import DTYPES, Run, execute
from metanas_pl.kernels.library import library
from metanas_pl.kernels.program import FeatureMap, Program, ProgramFields
from metanas_pl.search_spaces.ops.compiled import NotCovered, add_primitive
from metanas_pl.types import Mixing

if TYPE_CHECKING:
    from metanas_pl.search_spaces.base import CellNetwork, Context

MOST_PROGRAMS = 8
"""Programs that a network keeps: meta-pruning and images of another size make new ones."""


class Gates(NamedTuple):
    """Where the factors of a node lie among those of all, and which are computed, ``[edge][operation]``."""

    first: int
    alive: list[list[bool]]


class CompiledCell(Protocol):
    """What a cell tells of itself."""

    def factors(self, mixing: Mixing) -> Mapping[str, Tensor]:
        """Returns the factor of every primitive on every edge, ``(..., E, O)`` by node."""

    def add_to(
        self, program: Program, s0: FeatureMap, s1: FeatureMap, gates: Mapping[str, Gates]
    ) -> FeatureMap:
        """Adds the cell to a program and returns its output.

        Raises:
            NotCovered: the library cannot compute it.
        """


class _Compiled(NamedTuple):
    """A program, and the names of the weights it takes with the module that holds each."""

    fields: ProgramFields
    weights: list[tuple[str, nn.Module, str]]


_PROGRAMS: WeakKeyDictionary[nn.Module, dict[object, _Compiled | None]] = WeakKeyDictionary()


def compiled_features(
    network: CellNetwork, x: Tensor, mixing: Mixing, context: Context
) -> Tensor | None:
    """Returns the features of a network ``(B, T*F)`` by the compiled library; None if it cannot.

    It computes what ``network.features_in_python`` does, to the order of rounding. It takes plain tensors
    on the CPU in single or double precision, without drop path and without empty rows. No hook of a module
    inside the network is called.
    """
    if not context.compiled or library() is None or x.dtype not in DTYPES:
        return None
    if context.drop_path is not None or isinstance(context.reference, Tensor):
        return None
    if not all(hasattr(cell, "add_to") for cell in network.cells):
        return None
    factors: dict[str, Tensor] = {}
    for cell in _cells(network):
        factors |= {k: v for k, v in cell.factors(mixing).items() if k not in factors}
    if not _plain(x.dtype, [x, *factors.values()]):
        return None
    nodes = {name: (f.shape[-2], f.shape[-1]) for name, f in factors.items()}
    compiled = _program(network, x, context, nodes)
    if compiled is None:
        return None
    weights = [getattr(module, name) for _, module, name in compiled.weights]
    if not _plain(x.dtype, weights):
        return None
    flat = [f.reshape(context.tasks, -1) for f in factors.values()]
    gates = torch.cat(flat, -1) if flat else x.new_empty(context.tasks, 0)

    def in_python(x: Tensor, gates: Tensor, *weights: Tensor) -> Tensor:
        parts = gates.split([e * o for e, o in nodes.values()], -1)
        of_node = {k: p.reshape(f.shape) for (k, f), p in zip(factors.items(), parts, strict=True)}
        named = {
            f"network.{name}": w for (name, _, _), w in zip(compiled.weights, weights, strict=True)
        }
        return functional_call(_InPython(network), named, (x, of_node, context))  # type: ignore[no-any-return]

    run = Run(
        compiled.fields,
        network.head.in_features,
        context.tasks,
        x.shape[0] if context.reference is None else int(context.reference),
        context.skip_zeros,
        in_python,
    )
    return execute(run, x, gates.contiguous(), [w.contiguous() for w in weights])


class _InPython(nn.Module):
    """The features of a network in Python, of factors instead of mixing weights."""

    def __init__(self, network: CellNetwork) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: Tensor, factors: Mixing, context: Context) -> Tensor:
        return self.network.features_in_python(x, factors, context)


def _cells(network: CellNetwork) -> list[CompiledCell]:
    return list(network.cells)  # type: ignore[arg-type]


def _plain(dtype: torch.dtype, tensors: Sequence[Tensor]) -> bool:
    """Returns whether all are on the CPU, of this type, and hold their numbers themselves."""
    if torch.is_autocast_enabled("cpu"):
        return False
    return all(
        t.device.type == "cpu" and t.dtype == dtype and torch.func.debug_unwrap(t) is t
        for t in tensors
    )


def _program(
    network: CellNetwork, x: Tensor, context: Context, nodes: Mapping[str, tuple[int, int]]
) -> _Compiled | None:
    """Returns the program of a network for images of this size; None if it is not covered."""
    known = _PROGRAMS.setdefault(network, {})
    shape = (x.shape[1] // context.tasks, x.shape[2], x.shape[3])
    alive = tuple((k, tuple(map(tuple, rows))) for k, rows in sorted(context.alive.items()))
    key = (shape, alive, context.auxiliary_skip > 0)
    if key not in known:
        if len(known) >= MOST_PROGRAMS:
            known.clear()
        try:
            known[key] = _compile(network, shape, context, nodes)
        except NotCovered:
            known[key] = None
    return known[key]


def _compile(
    network: CellNetwork,
    shape: tuple[int, int, int],
    context: Context,
    nodes: Mapping[str, tuple[int, int]],
) -> _Compiled:
    if context.auxiliary_skip > 0:
        raise NotCovered("auxiliary skip connections")
    gates, first = {}, 0
    for name, (n_edges, n_operations) in nodes.items():
        everything = [[True] * n_operations] * n_edges
        gates[name] = Gates(first, context.alive.get(name, everything))
        first += n_edges * n_operations
    program = Program(*shape, n_gates=first)
    s0 = s1 = add_primitive(program, network.stem, program.images)
    for cell, preprocess in zip(_cells(network), network.preprocess, strict=True):
        left, right = preprocess.children()
        x0, x1 = add_primitive(program, left, s0), add_primitive(program, right, s1)
        s0, s1 = s1, cell.add_to(program, x0, x1, gates)
    program.mean(s1)
    names = {module: name for name, module in network.named_modules()}
    weights = [(f"{names[module]}.{attr}", module, attr) for module, attr in program.weights]
    return _Compiled(program.fields(), weights)
