"""A network as a list of instructions on feature maps: what the compiled library runs.

A program knows shapes and which weight an instruction takes, but no numbers: it is made once for a network,
a mask of its operations and an image size, and runs on any weights. Who builds one calls its methods in the
order of the computation; each returns the map that it computes.
"""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from enum import IntEnum
from typing import NamedTuple

from torch import nn

PADDED_TO = 8
"""Channels of a map are padded to a multiple of it: ``kPad`` in ``src/simd.hpp``."""


class Operation(IntEnum):
    """As ``Operation`` in ``src/network.hpp``."""

    CONV = 0
    REDUCE = 1
    SEPARABLE = 2
    MAX_POOL = 3
    AVERAGE_POOL = 4
    NORM = 5
    ADD = 6
    CLEAR = 7
    MEAN = 8


class MapFields(ctypes.Structure):
    """``Map`` in ``src/tile.hpp``."""

    NAMES = "root prefix gradient stride offset channels blocks real height width statistics"
    _fields_ = [(name, ctypes.c_int64) for name in NAMES.split()]  # noqa: RUF012


class InstructionFields(ctypes.Structure):
    """``Instruction`` in ``src/network.hpp``."""

    _fields_ = [  # noqa: RUF012
        ("operation", ctypes.c_int64),
        ("source", ctypes.c_int64),
        ("target", ctypes.c_int64),
        ("weights", ctypes.c_int64 * 2),
        ("kernel", ctypes.c_int64 * 6),
        ("relu", ctypes.c_int64),
        ("gate", ctypes.c_int64),
        ("first", ctypes.c_int64),
        ("eps", ctypes.c_double),
    ]


class ProgramFields(ctypes.Structure):
    """``Program`` in ``src/network.hpp``."""

    _fields_ = [  # noqa: RUF012
        ("n_maps", ctypes.c_int64),
        ("n_instructions", ctypes.c_int64),
        ("n_gates", ctypes.c_int64),
        ("numbers", ctypes.c_int64),
        ("gradient_numbers", ctypes.c_int64),
        ("statistics", ctypes.c_int64),
        ("maps", ctypes.POINTER(MapFields)),
        ("instructions", ctypes.POINTER(InstructionFields)),
    ]


class FeatureMap(NamedTuple):
    """A map of a program: its number, channels without padding, and sides."""

    number: int
    channels: int
    height: int
    width: int


class Window(NamedTuple):
    """Kernel, stride, dilation and padding of a convolution or a pooling."""

    rows: int = 1
    columns: int = 1
    stride: int = 1
    dilation: int = 1
    above: int = 0
    left: int = 0

    def side(self, length: int, kernel: int, padding: int) -> int:
        """Returns the side of the output for one of the input."""
        return (length + 2 * padding - self.dilation * (kernel - 1) - 1) // self.stride + 1


class Program:
    """Instructions, in the order of the computation. Map 0 holds the images.

    Args:
        channels, height, width: of the images.
        n_gates: factors that instructions may take: mixing weights.
    """

    def __init__(self, channels: int, height: int, width: int, n_gates: int = 0) -> None:
        self.n_gates = n_gates
        self.weights: list[tuple[nn.Module, str]] = []
        self._maps: list[MapFields] = []
        self._instructions: list[InstructionFields] = []
        self._pools: dict[tuple[FeatureMap, str, Window, float | None], FeatureMap] = {}
        self.images = self._map(channels, height, width, padded=False)

    def convolution(
        self,
        source: FeatureMap,
        module: nn.Conv2d,
        window: Window,
        relu: bool,
        eps: float | None = None,
    ) -> FeatureMap:
        """A dense convolution of a map, seen through ReLU or not.

        ``eps``, here and below: the result will be normalised, so its statistics are computed, too.
        """
        target = self._beneath(source, window, module.out_channels)
        self._add(Operation.CONV, source, target, [module], window, relu=relu, eps=eps)
        return target

    def factorized_reduction(
        self, source: FeatureMap, halves: Sequence[nn.Conv2d], relu: bool, eps: float | None = None
    ) -> FeatureMap:
        """Two 1x1 convolutions on the even and the odd grid, side by side."""
        window = Window(stride=2)
        target = self._beneath(source, window, sum(half.out_channels for half in halves))
        self._add(Operation.REDUCE, source, target, halves, window, relu=relu, eps=eps)
        return target

    def separable(
        self,
        source: FeatureMap,
        depthwise: nn.Conv2d,
        pointwise: nn.Conv2d,
        window: Window,
        relu: bool,
        eps: float | None = None,
    ) -> FeatureMap:
        """A depthwise convolution and a pointwise one."""
        target = self._beneath(source, window, pointwise.out_channels)
        convolutions = (depthwise, pointwise)
        self._add(Operation.SEPARABLE, source, target, convolutions, window, relu=relu, eps=eps)
        return target

    def pool(
        self, source: FeatureMap, kind: str, window: Window, eps: float | None = None
    ) -> FeatureMap:
        """Pooling, ``max`` or ``avg``; padding takes no part in an average. Equal ones are one."""
        key = (source, kind, window, eps)
        if key not in self._pools:
            operation = Operation.MAX_POOL if kind == "max" else Operation.AVERAGE_POOL
            self._pools[key] = self._beneath(source, window, source.channels)
            self._add(operation, source, self._pools[key], [], window, eps=eps)
        return self._pools[key]

    def zeros(self, channels: int, height: int, width: int) -> FeatureMap:
        """A map of zeros, to which others are added."""
        target = self._map(channels, height, width)
        self._add(Operation.CLEAR, None, target)
        return target

    def joined(
        self, parts: int, channels: int, height: int, width: int
    ) -> tuple[FeatureMap, list[FeatureMap]]:
        """A map of several sums side by side: the whole, and each of them, all zeros."""
        whole = self._map(parts * channels, height, width, blocks=parts)
        views = []
        for i in range(parts):
            views.append(self._map(channels, height, width, root=whole, part=i))
            self._add(Operation.CLEAR, None, views[-1])
        return whole, views

    def add_norm(
        self,
        source: FeatureMap,
        norm: nn.Module | None,
        gate: int = -1,
        target: FeatureMap | None = None,
    ) -> FeatureMap:
        """Adds a normalised map, times a factor, to a map; without one it is a map of its own.

        ``norm`` has ``weight`` and ``bias``; None has neither.
        """
        to = self._map(source.channels, source.height, source.width) if target is None else target
        names = [] if norm is None else [(norm, "weight"), (norm, "bias")]
        self._add(Operation.NORM, source, to, names, gate=gate, first=target is None)
        return to

    def add(self, source: FeatureMap, target: FeatureMap, gate: int = -1) -> None:
        """Adds a map, times a factor, to another."""
        self._add(Operation.ADD, source, target, gate=gate)

    def mean(self, source: FeatureMap) -> None:
        """The features: the mean of a map over its pixels."""
        self._add(Operation.MEAN, source, source)

    def fields(self) -> ProgramFields:
        """Returns the program as the library takes it; it is complete."""
        numbers = self._place()
        gradient_numbers = self._place_gradients()
        statistics = sum(2 * m.channels for m in self._maps if m.statistics >= 0)
        maps = (MapFields * len(self._maps))(*self._maps)
        instructions = (InstructionFields * len(self._instructions))(*self._instructions)
        counts = (len(self._maps), len(self._instructions), self.n_gates)
        return ProgramFields(*counts, numbers, gradient_numbers, statistics, maps, instructions)

    def _beneath(self, source: FeatureMap, window: Window, channels: int) -> FeatureMap:
        height = window.side(source.height, window.rows, window.above)
        width = window.side(source.width, window.columns, window.left)
        return self._map(channels, height, width)

    def _map(
        self,
        channels: int,
        height: int,
        width: int,
        padded: bool = True,
        blocks: int = 1,
        root: FeatureMap | None = None,
        part: int = 0,
    ) -> FeatureMap:
        number, block = len(self._maps), channels // blocks
        wide = -(-block // PADDED_TO) * PADDED_TO if padded else block
        own = number if root is None else root.number
        stride = wide * blocks if root is None else self._maps[own].stride
        shape = (wide * blocks, blocks, channels, height, width)
        self._maps.append(MapFields(own, 0, -1, stride, part * wide, *shape, -1))
        return FeatureMap(number, channels, height, width)

    def _add(
        self,
        operation: Operation,
        source: FeatureMap | None,
        target: FeatureMap,
        weights: Sequence[nn.Module | tuple[nn.Module, str]] = (),
        window: Window = Window(),  # noqa: B008
        relu: bool = False,
        gate: int = -1,
        first: bool = False,
        eps: float | None = None,
    ) -> None:
        if eps is not None:
            taken = sum(2 * m.channels for m in self._maps if m.statistics >= 0)
            self._maps[target.number].statistics = taken
        numbers = []
        for weight in weights:
            numbers.append(len(self.weights))
            self.weights.append(weight if isinstance(weight, tuple) else (weight, "weight"))
        self._instructions.append(
            InstructionFields(
                operation,
                -1 if source is None else source.number,
                target.number,
                (ctypes.c_int64 * 2)(*(numbers or (-1, -1))),
                (ctypes.c_int64 * 6)(*window),
                relu,
                gate,
                first,
                0.0 if eps is None else eps,
            )
        )

    def _place(self) -> int:
        """Gives every map its place; returns numbers per image of all."""
        taken = 0
        for number, m in enumerate(self._maps):
            if m.root == number:
                m.prefix = taken
                taken += m.stride * m.height * m.width
            else:
                m.prefix = self._maps[m.root].prefix
        return taken

    def _place_gradients(self) -> int:
        """Gives gradients places that they take one after the other; returns numbers per image of all.

        Backward, the gradient of a map is needed from the last instruction that reads the map to the first
        that writes it.
        """
        first: dict[int, int] = {}
        last: dict[int, int] = {}
        for i, instruction in enumerate(self._instructions):
            written = self._maps[instruction.target].root
            first.setdefault(written, i)
            last[written] = i
            if instruction.source >= 0:
                last[self._maps[instruction.source].root] = i
        placed: list[tuple[int, int, int]] = []  # start, end, root
        for root in sorted(first, key=lambda root: -last[root]):
            m = self._maps[root]
            size, start = m.stride * m.height * m.width, 0
            for begin, end, other in sorted(placed):
                apart = last[other] < first[root] or last[root] < first[other]
                if not apart and start < end and begin < start + size:
                    start = end
            placed.append((start, start + size, root))
            m.gradient = start
        for m in self._maps:
            m.gradient = self._maps[m.root].gradient
        return max((end for _, end, _ in placed), default=0)
