"""Primitives as instructions of a compiled program; their definition stays in ``primitives.py``."""

from __future__ import annotations

from torch import nn

from metanas_pl.kernels.program import FeatureMap, Program, Window
from metanas_pl.search_spaces.ops.layers import Conv
from metanas_pl.search_spaces.ops.primitives import (
    BatchStatNorm,
    ConvNorm,
    FactorizedReduce,
    Identity,
    Pool,
    PoolNorm,
    Twice,
    Zero,
)


class NotCovered(Exception):
    """The compiled library cannot compute this: it is computed in Python."""


def add_primitive(
    program: Program,
    module: nn.Module,
    source: FeatureMap,
    target: FeatureMap | None = None,
    gate: int = -1,
) -> FeatureMap:
    """Adds what a primitive computes of a map, times a factor, to another map; returns that map.

    Args:
        program: to be continued.
        module: the primitive.
        source: what it reads.
        target: what it is added to; None is a map of its own.
        gate: the factor; -1 is one.

    Raises:
        NotCovered: the library has no such instruction.
    """
    if type(module) is ConvNorm:
        raw = _convolutions(program, module, source)
        return program.add_norm(raw, _affine(module.norm), gate, target)
    if type(module) is FactorizedReduce:
        halves = [_plain(half) for half in module.convs]
        raw = program.factorized_reduction(source, halves, module.relu, module.norm.eps)
        return program.add_norm(raw, _affine(module.norm), gate, target)
    if type(module) is Twice:
        first, second = module
        return add_primitive(program, second, add_primitive(program, first, source), target, gate)
    if type(module) is PoolNorm:
        window = _pool_window(module)
        raw = program.pool(source, module.kind, window, module.norm.eps)
        return program.add_norm(raw, _affine(module.norm), gate, target)
    if target is not None and type(module) in (Pool, Identity, Zero):
        if isinstance(module, Pool):
            program.add(program.pool(source, module.kind, _pool_window(module)), target, gate)
        elif isinstance(module, Identity):
            program.add(source, target, gate)
        return target
    raise NotCovered(type(module).__name__)


def _convolutions(program: Program, module: ConvNorm, source: FeatureMap) -> FeatureMap:
    """Returns the map before the norm: dense convolutions, or a depthwise and a pointwise one."""
    convs = [_plain(conv) for conv in module.convs]
    if len(convs) == 2 and convs[0].groups == convs[0].in_channels == convs[0].out_channels > 1:
        depthwise, pointwise = convs
        if pointwise.kernel_size != (1, 1) or pointwise.stride != (1, 1) or pointwise.groups > 1:
            raise NotCovered("convolutions after a depthwise one")
        if depthwise.kernel_size not in ((3, 3), (5, 5)):
            raise NotCovered("depthwise convolutions of other sides than 3 and 5")
        window = _window(depthwise)
        return program.separable(source, depthwise, pointwise, window, module.relu, module.norm.eps)
    if any(conv.groups > 1 for conv in convs):
        raise NotCovered("grouped convolutions")
    relu = module.relu
    for i, conv in enumerate(convs, 1):
        eps = module.norm.eps if i == len(convs) else None
        source = program.convolution(source, conv, _window(conv), relu, eps)
        relu = False
    return source


def _plain(conv: nn.Module) -> Conv:
    if type(conv) is not Conv:
        raise NotCovered(type(conv).__name__)
    return conv


def _affine(norm: nn.Module) -> nn.Module | None:
    if type(norm) is not BatchStatNorm:
        raise NotCovered(type(norm).__name__)
    return None if norm.weight is None else norm


def _window(conv: Conv) -> Window:
    rows, columns = conv.kernel_size
    stride, dilation = conv.stride[0], conv.dilation[0]
    padding = [dilation * (side - 1) // 2 for side in (rows, columns)]
    return Window(rows, columns, stride, dilation, *padding)


def _pool_window(module: Pool) -> Window:
    return Window(3, 3, module.stride, 1, 1, 1)
