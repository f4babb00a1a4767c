"""Where a program keeps its maps: nothing that is still needed is overwritten."""

from __future__ import annotations

from itertools import combinations

import pytest
from torch import nn

from metanas_pl.kernels.program import Operation, Program, Window
from metanas_pl.search_spaces.ops.compiled import NotCovered, add_primitive
from metanas_pl.search_spaces.ops.layers import Conv
from metanas_pl.search_spaces.ops.names import ALL_PRIMITIVES
from metanas_pl.search_spaces.ops.primitives import ConvNorm, make_primitive


def one_cell() -> Program:
    """Returns images, a stem, and a node with all primitives on two inputs, joined to itself."""
    program = Program(1, 9, 9)
    stem = add_primitive(program, ConvNorm(Conv(1, 12, 3), affine=True, relu=False), program.images)
    whole, (node, other) = program.joined(2, 12, 9, 9)
    for target, source in ((node, stem), (other, node)):
        for name in ALL_PRIMITIVES:
            add_primitive(program, make_primitive(name, 12, 1, False), source, target)
    program.mean(whole)
    return program


def test_maps_do_not_overlap() -> None:
    fields = one_cell().fields()
    places = []
    for i in range(fields.n_maps):
        m = fields.maps[i]
        if m.root == i:
            places.append(range(m.prefix, m.prefix + m.stride * m.height * m.width))
    assert all(not set(a) & set(b) for a, b in combinations(places, 2))
    assert max(place.stop for place in places) == fields.numbers


def test_gradients_share_places_only_when_one_is_no_longer_needed() -> None:
    fields = one_cell().fields()
    lives: dict[int, list[int]] = {}
    for i in range(fields.n_instructions):
        instruction = fields.instructions[i]
        for number in (instruction.target, instruction.source):
            if number > 0:  # images have none
                lives.setdefault(fields.maps[number].root, []).append(i)
    taken = 0
    for (a, of_a), (b, of_b) in combinations(lives.items(), 2):
        first, second = fields.maps[a], fields.maps[b]
        spans = [
            range(m.gradient, m.gradient + m.stride * m.height * m.width) for m in (first, second)
        ]
        if max(spans[0].start, spans[1].start) < min(spans[0].stop, spans[1].stop):
            assert max(of_a) < min(of_b) or max(of_b) < min(of_a)
            taken += 1
    assert taken > 0, "no place is shared"
    assert fields.gradient_numbers < fields.numbers


def test_parts_of_a_joined_map_lie_side_by_side() -> None:
    program = Program(3, 4, 4)
    _, parts = program.joined(3, 12, 4, 4)
    fields = program.fields()
    assert [fields.maps[part.number].offset for part in parts] == [0, 16, 32]
    assert {fields.maps[part.number].stride for part in parts} == {48}


def test_equal_pools_of_one_map_are_one() -> None:
    program = Program(8, 4, 4)
    first = program.pool(program.images, "max", Window(3, 3, 1, 1, 1, 1), 1e-5)
    assert program.pool(program.images, "max", Window(3, 3, 1, 1, 1, 1), 1e-5) == first
    assert program.pool(program.images, "avg", Window(3, 3, 1, 1, 1, 1), 1e-5) != first


@pytest.mark.parametrize("side", [5, 6])
def test_sides_of_maps(side: int) -> None:
    program = Program(1, side, side)
    stem = program.convolution(program.images, Conv(1, 8, 3), Window(3, 3, 1, 1, 1, 1), False)
    halved = [
        program.pool(stem, "max", Window(3, 3, 2, 1, 1, 1)),
        program.factorized_reduction(stem, [Conv(8, 4, 1, 2), Conv(8, 4, 1, 2)], True),
    ]
    assert [(m.height, m.width) for m in halved] == [(3, 3), (3, 3)]


@pytest.mark.parametrize(
    "module",
    [
        nn.Conv2d(8, 8, 3),
        ConvNorm(Conv(8, 8, 3, groups=2), affine=True),
        ConvNorm(Conv(8, 8, 7, groups=8), Conv(8, 8, 1), affine=True),
        ConvNorm(Conv(8, 8, 3, groups=8), Conv(8, 8, 3), affine=True),
    ],
)
def test_what_the_library_has_no_instruction_for(module: nn.Module) -> None:
    program = Program(8, 4, 4)
    with pytest.raises(NotCovered):
        add_primitive(program, module, program.images)


def test_operations_have_the_numbers_of_the_library() -> None:
    """In ``src/network.hpp`` they are an enumeration in this order."""
    assert [operation.value for operation in Operation] == list(range(9))
