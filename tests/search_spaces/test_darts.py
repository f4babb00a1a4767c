"""The space of DARTS: published sizes, and ``none``, which takes part and is never chosen."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from metanas_pl.algorithms.nas.relaxations import apply_threshold, softmax
from metanas_pl.search_spaces import DerivedNetwork, Genotype, Supernet
from metanas_pl.search_spaces.ops.names import NONE
from tests.search_spaces.helpers import (
    DARTS_PRIMITIVES,
    assert_vmap_equals_loop,
    copied,
    n_parameters,
    random_alphas,
)

SMALL = {"in_channels": 1, "n_ways": 3, "channels": 4, "n_cells": 2, "reductions": (1,)}
SMALL |= {"channel_factor": 2}


def small(n_nodes: int = 2) -> Supernet:
    settings: dict[str, Any] = {**SMALL, "pair_inputs": False, "primitives": DARTS_PRIMITIVES}
    return Supernet(**settings, n_nodes=n_nodes)


def with_none_winning(net: Supernet) -> dict[str, Tensor]:
    """Mixing weights that give everything to ``none``."""
    everything = torch.nn.functional.one_hot(torch.tensor(0), len(DARTS_PRIMITIVES)).float()
    return {name: everything.expand_as(a).clone() for name, a in net.alphas().items()}


@pytest.mark.parametrize(
    ("name", "size"),
    [
        ("darts_v2", 3_349_342),  # "param size = 3.349342MB" of train.py in quark0/darts
        ("pc_darts_cifar", 3_634_678),  # 3.63M in yuhuixu1993/PC-DARTS
        ("p_darts", 3_433_798),  # 3.43M in chenxin061/pdarts
    ],
)
def test_published_sizes_of_derived_networks(name: str, size: int) -> None:
    net = DerivedNetwork(
        Genotype.load(name),
        in_channels=3,
        n_ways=10,
        channels=36,
        n_cells=20,
        reductions=(6, 13),
        channel_factor=2,
        pool_norm=False,
    )
    assert n_parameters(net) == size


def test_published_size_of_the_supernet() -> None:
    net = Supernet(
        in_channels=3,
        n_ways=10,
        channels=16,
        n_cells=8,
        n_nodes=4,
        reductions=(2, 5),
        channel_factor=2,
        pair_inputs=False,
        primitives=DARTS_PRIMITIVES,
    )
    assert n_parameters(net) == 1_930_618  # "param size = 1.930618MB" of train_search.py
    assert sum(a.numel() for a in net.alphas().values()) == 2 * 14 * 8


@pytest.mark.parametrize("size", [5, 8])
def test_all_weight_on_none_gives_the_bias_of_the_head_and_no_nan(size: int) -> None:
    net = small()
    mixing = {k: m.requires_grad_() for k, m in with_none_winning(net).items()}
    logits = net(torch.randn(4, 1, size, size), mixing)
    torch.testing.assert_close(logits, net.head.bias.expand(4, 3))
    logits.square().sum().backward()
    gradients = [p.grad for p in [*net.parameters(), *mixing.values()] if p.grad is not None]
    assert all(g.isfinite().all() for g in gradients)


def test_none_contributes_nothing() -> None:
    net, x = small(), torch.randn(4, 1, 8, 8)
    mixing = softmax(random_alphas(net))
    without = {k: m * (torch.arange(m.shape[-1]) != 0) for k, m in mixing.items()}
    torch.testing.assert_close(net(x, mixing), net(x, without))


def test_none_is_never_chosen() -> None:
    net = small(n_nodes=4)
    for mixing in (with_none_winning(net), softmax(random_alphas(net), 0.1)):
        pruned = net.prune(apply_threshold(mixing, 0.05))
        assert all((m[:, 0] == 0).all() and int(m.sum()) == 2 for m in pruned.values())
        assert NONE not in str(net.genotype(mixing))


def test_choices_equal_those_of_darts_in_plain_loops() -> None:
    """``genotype()`` of model_search.py in quark0/darts, on lists."""
    net = small(n_nodes=4)
    mixing = softmax(random_alphas(net))
    for cell in ("normal", "reduce"):
        for i, node in enumerate(getattr(net.genotype(mixing), cell)):
            rows = mixing[f"{cell}_{i}"].tolist()
            edges = sorted(range(i + 2), key=lambda j: -max(rows[j][1:]))[:2]
            best = {j: max(range(1, 8), key=lambda o: rows[j][o]) for j in edges}
            assert set(node) == {(DARTS_PRIMITIVES[o], j) for j, o in best.items()}


@pytest.mark.parametrize("size", [8, 9])
def test_pruned_supernet_equals_the_derived_network(size: int) -> None:
    net = small()
    mixing = net.prune(softmax(random_alphas(net)))
    genotype = net.genotype(mixing)
    derived = DerivedNetwork(genotype, **SMALL)  # type: ignore[arg-type]

    def origin(name: str) -> str:
        if ".nodes." not in name:
            return name
        _, cell, _, node, position, *tail = name.split(".")
        genes = (genotype.normal, genotype.reduce)[int(cell)]
        primitive, source = genes[int(node)][int(position)]
        op = str(DARTS_PRIMITIVES.index(primitive))
        return ".".join(["cells", cell, "nodes", node, str(source), op, *tail])

    x = torch.randn(5, 1, size, size)
    expected = torch.func.functional_call(derived, copied(derived, net, origin), (x, {}))
    torch.testing.assert_close(net(x, mixing), expected, rtol=1e-5, atol=1e-5)


def test_pools_of_derived_networks_have_no_norm_in_darts() -> None:
    cell = (((("avg_pool_3x3", 0), ("max_pool_3x3", 1))),)
    sizes = [
        n_parameters(DerivedNetwork(Genotype(cell, cell), **SMALL, pool_norm=norm))  # type: ignore[arg-type]
        for norm in (True, False)
    ]
    assert sizes[0] - sizes[1] == 2 * 2 * 4 + 2 * 2 * 8  # two pools a cell of 4 and of 8 channels


def test_vmap_equals_a_loop() -> None:
    assert_vmap_equals_loop(small(), size=6)
