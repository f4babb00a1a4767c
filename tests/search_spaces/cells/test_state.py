"""States of a cell: what edges share is the same as if each computed it."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from metanas_pl.search_spaces.cells.state import State
from metanas_pl.search_spaces.ops import primitives
from metanas_pl.search_spaces.ops.primitives import BUILDERS, make_primitive


@pytest.mark.parametrize("name", BUILDERS)
@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("number", [None, 0])
def test_through_a_primitive(name: str, stride: int, number: int | None) -> None:
    state, factor = State(torch.randn(3, 4, 6, 7)), torch.tensor(0.3)
    for _ in range(2):
        primitive = make_primitive(name, 4, stride, affine=False)
        actual = state.through(primitive, 2, factor, number)
        torch.testing.assert_close(actual, primitive(state.x, 2, factor))


def test_relu_and_what_has_no_parameters_are_computed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    x, seen = torch.randn(2, 4, 5, 5), []

    def relu(map_: Tensor) -> Tensor:
        seen.append(map_ is x)
        return torch.relu(map_)

    monkeypatch.setattr(F, "relu", relu)
    monkeypatch.setattr(primitives, "pool", lambda map_, *_: seen.append("pool") or map_)
    state = State(x)
    for number, name in enumerate(("conv_3x3", "dil_conv_3x3", "skip_connect", "max_pool_3x3") * 2):
        state.through(make_primitive(name, 4, 1, affine=False), number=number % 4)
    assert seen == [True, "pool"]
