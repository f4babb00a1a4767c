"""Costs of networks: counts against plain sums and hand arithmetic, expectation against enumeration."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from metanas_pl.search_spaces import DerivedNetwork, Supernet
from metanas_pl.search_spaces.backbones import Conv4
from metanas_pl.search_spaces.base import Context
from metanas_pl.search_spaces.costs import KINDS, expected_cost, measure, reachable_cost

SHAPE = (1, 12, 12)
SIZE: dict[str, Any] = {
    "in_channels": 1,
    "n_ways": 3,
    "channels": 4,
    "n_cells": 2,
    "reductions": [1],
}
OPTIONS: dict[str, dict[str, Any]] = {
    "pairs": {},
    "plain": {"pair_inputs": False},
    "none": {"pair_inputs": False, "primitives": ["none", "skip_connect", "conv_3x3"]},
    "partial": {"pair_inputs": False, "partial_channels": 2},
    "auxiliary": {"auxiliary_skip": True},
}


def supernet(kind: str) -> Supernet:
    return Supernet(n_nodes=2, **SIZE, **OPTIONS[kind])


def random_mixing(net: Supernet) -> dict[str, torch.Tensor]:
    return {k: torch.randn_like(a).softmax(-1) for k, a in net.alphas().items()}


@pytest.mark.parametrize("kind", ["pairs", "plain"])
def test_a_pruned_supernet_costs_what_its_derived_network_costs(kind: str) -> None:
    """Without the affine norms, which a derived network has and a supernet has not."""
    net = supernet(kind)
    mixing = net.prune(random_mixing(net))
    derived = DerivedNetwork(net.genotype(mixing), **SIZE)
    cells = [p for n, p in derived.named_parameters() if "norm" in n and not n.startswith("stem")]
    parameters = sum(p.numel() for p in derived.parameters()) - sum(p.numel() for p in cells)
    assert reachable_cost(net, measure(net, "parameters", SHAPE), mixing) == parameters
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        derived(torch.zeros(1, *SHAPE), {}, Context(compiled=False))
    assert reachable_cost(net, measure(net, "flops", SHAPE), mixing) == counter.get_total_flops()


@pytest.mark.parametrize("reductions", [[], [0, 1]])
def test_a_network_of_one_type_of_cells(reductions: list[int]) -> None:
    """It has alphas of both, and pays for one."""
    net = Supernet(n_nodes=1, **{**SIZE, "reductions": reductions})
    costs, mixing = measure(net, "parameters", SHAPE), random_mixing(net)
    everything = sum(p.numel() for p in net.parameters())
    assert reachable_cost(net, costs, mixing) == everything == costs.largest
    assert float(expected_cost(net, costs, mixing)) < everything


@pytest.mark.parametrize("kind", OPTIONS)
@pytest.mark.parametrize("cost", KINDS)
def test_expected_cost_is_exact_at_one_hot_and_largest_is_everything(kind: str, cost: str) -> None:
    net = supernet(kind)
    costs, mixing = measure(net, cost, SHAPE), net.prune(random_mixing(net))
    exact = reachable_cost(net, costs, mixing)
    torch.testing.assert_close(float(expected_cost(net, costs, mixing)), float(exact))
    if cost == "parameters":
        extra = sum(p.numel() for m in net.auxiliary_modules() for p in m.parameters())
        assert costs.largest == sum(p.numel() for p in net.parameters()) - extra


@pytest.mark.slow
def test_expected_cost_is_the_mean_over_drawn_architectures() -> None:
    net = supernet("pairs")
    costs, mixing = measure(net, "parameters", SHAPE), random_mixing(net)
    generator, total, n = torch.Generator().manual_seed(0), 0.0, 3000
    for _ in range(n):
        draw = {
            k: torch.zeros_like(w).scatter_(
                -1,
                torch.multinomial(w.view(-1, w.shape[-1]), 1, generator=generator).view(
                    *w.shape[:-1], 1
                ),
                1.0,
            )
            for k, w in mixing.items()
        }
        total += reachable_cost(net, costs, draw)
    expected = float(expected_cost(net, costs, mixing))
    assert abs(total / n - expected) < 0.01 * expected


def test_expected_cost_is_differentiable() -> None:
    net = supernet("pairs")
    costs, mixing = measure(net, "flops", SHAPE), random_mixing(net)
    gradient = torch.func.grad(lambda m: expected_cost(net, costs, m))(mixing)
    dear = net.primitives.index("conv_1x5_5x1")
    free = net.primitives.index("max_pool_3x3")
    assert (gradient["normal_1"][:, dear] > gradient["normal_1"][:, free]).all()


def test_flops_of_a_backbone_by_hand() -> None:
    """Conv4-8 on 16x16: each convolution at 16, 8, 4, 2 pixels, two FLOPs a multiply-add, and the head."""
    net = Conv4(in_channels=1, n_ways=5, channels=8, image_size=16)
    convolutions = 2 * 9 * 8 * (1 * 256 + 8 * (64 + 16 + 4))
    assert measure(net, "flops", (1, 16, 16)).fixed == convolutions + 2 * 8 * 5


def test_measuring_does_not_move_the_random_state() -> None:
    net = supernet("pairs")
    before = torch.get_rng_state()
    measure(net, "flops", SHAPE)
    assert torch.equal(before, torch.get_rng_state())
