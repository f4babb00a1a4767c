"""What meta-pruning leaves alive, option by option."""

from __future__ import annotations

import torch

from metanas_pl.algorithms.nas.pruning import alive_after

N, OPTIONS = 500, 6


def test_agrees_with_a_loop_over_the_options() -> None:
    weight, against = torch.rand(N, OPTIONS), 4 * torch.randn(N, OPTIONS)
    alive = torch.rand(N, OPTIONS) < 0.7
    alive[:, 0] = True
    nameable = weight.masked_fill(torch.arange(OPTIONS) == 1, -torch.inf)
    found = alive_after(weight, alive, 0.4, nameable, against, 3.0)
    by_weight = alive_after(weight, alive, 0.4, nameable)
    for row in range(N):
        there = [i for i in range(OPTIONS) if alive[row, i]]
        best = max(there, key=lambda i: float(weight[row, i]))
        named = max((i for i in there if i != 1), key=lambda i: float(weight[row, i]))
        heavy = {i for i in there if weight[row, i] >= 0.4} | {best, named}
        spared = {i for i in there if against[row, i] < 3.0}
        assert set(by_weight[row].nonzero().squeeze(-1).tolist()) == heavy
        assert set(found[row].nonzero().squeeze(-1).tolist()) == heavy | spared


def test_what_is_gone_does_not_come_back_and_one_option_stays() -> None:
    weight = torch.rand(N, OPTIONS)
    alive = torch.rand(N, OPTIONS) < 0.5
    alive[:, 2] = True
    against = torch.full((N, OPTIONS), 9.0)
    after = alive_after(weight, alive, 2.0, weight, against, 3.0)
    assert not (after & ~alive).any()
    assert (after.sum(-1) == 1).all()


def test_nothing_goes_without_evidence() -> None:
    weight, alive = torch.rand(N, OPTIONS), torch.ones(N, OPTIONS, dtype=torch.bool)
    assert alive_after(weight, alive, 2.0, weight, torch.zeros(N, OPTIONS), 3.0).all()
