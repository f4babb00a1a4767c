"""Which primitives count, seen through transforms."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.func import grad, vmap

from metanas_pl.search_spaces.base import nonzero

FACTORS = torch.tensor([[[1.0, 0.0, 0.0]], [[0.0, 0.0, 2.0]]])  # two tasks, one edge


@pytest.mark.parametrize("dimension", [0, 1, 2])
def test_a_factor_counts_if_any_task_has_it(dimension: int) -> None:
    seen: list[list[list[bool]]] = []

    def look(factor: Tensor) -> Tensor:
        seen.append(nonzero(factor))
        return factor.sum()

    vmap(grad(look), in_dims=dimension)(FACTORS.movedim(0, dimension))
    assert seen == [[[True, False, True]]]


def test_without_any_factor_all_are_computed() -> None:
    assert nonzero(torch.zeros(2, 2)) == [[True, True], [True, True]]
