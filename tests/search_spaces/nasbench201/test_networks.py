"""NAS-Bench-201: published sizes, the cell in plain loops, supernet against derived network."""

from __future__ import annotations

import pytest
import torch

from metanas_pl.algorithms.nas.relaxations import softmax
from metanas_pl.search_spaces.base import Context, to_alive
from metanas_pl.search_spaces.costs import expected_cost, flop_counter, measure, reachable_cost
from metanas_pl.search_spaces.nasbench201.genotype import (
    EXAMPLE,
    OPERATIONS,
    Nasbench201Genotype,
    all_genotypes,
)
from metanas_pl.search_spaces.nasbench201.networks import (
    Cell201,
    Nasbench201Network,
    Nasbench201Supernet,
    ResidualReduction,
)
from tests.search_spaces.helpers import assert_vmap_equals_loop, copied, n_parameters, random_alphas

PAPER = {"in_channels": 3, "channels": 16, "cells_per_stage": 5}
SMALL = {"in_channels": 1, "n_ways": 3, "channels": 2, "cells_per_stage": 1}


def uniform(name: str) -> Nasbench201Genotype:
    return Nasbench201Genotype(tuple((name,) * edges for edges in (1, 2, 3)))


@pytest.mark.parametrize(
    ("operation", "n_ways", "size"),
    [  # smallest and largest "params" of the benchmark, in millions, for CIFAR-10 and CIFAR-100
        ("none", 10, 73_306),
        ("skip_connect", 10, 73_306),
        ("nor_conv_3x3", 10, 1_531_546),
        ("avg_pool_3x3", 100, 79_156),
        ("nor_conv_3x3", 100, 1_537_396),
    ],
)
def test_published_sizes(operation: str, n_ways: int, size: int) -> None:
    net = Nasbench201Network(uniform(operation), n_ways=n_ways, **PAPER)  # type: ignore[arg-type]
    assert n_parameters(net) == size


def test_sizes_are_sums_over_edges() -> None:
    convs = {"nor_conv_1x1": 1, "nor_conv_3x3": 9}
    for genotype in list(all_genotypes())[::3001]:
        per_cell = [
            sum(
                k * c * c + 2 * c
                for node in genotype.operations
                for n, k in convs.items()
                for o in node
                if o == n
            )
            for c in (16, 32, 64)
        ]
        net = Nasbench201Network(genotype, n_ways=10, **PAPER)  # type: ignore[arg-type]
        assert n_parameters(net) == 73_306 + 5 * sum(per_cell)


def test_a_cell_equals_plain_loops() -> None:
    names = [[OPERATIONS] * edges for edges in (1, 2, 3)]
    cell = Cell201(names, 4, affine=False).double()
    x = torch.randn(3, 4, 5, 5, dtype=torch.float64)
    mixing = {f"cell_{i}": torch.rand(i + 1, 5, dtype=torch.float64) for i in range(3)}

    def operations(state: torch.Tensor, i: int, j: int) -> list[torch.Tensor]:
        norm = torch.nn.BatchNorm2d(4, affine=False).double()
        small, large = (cell.nodes[i][j][o].convs[0].weight for o in (2, 3))
        conv = torch.nn.functional.conv2d
        pool = torch.nn.AvgPool2d(3, 1, 1, count_include_pad=False)
        return [
            0 * state,
            state,
            norm(conv(state.relu(), small)),
            norm(conv(state.relu(), large, padding=1)),
            pool(state),
        ]

    states = [x]
    for i in range(3):
        total = torch.zeros_like(x)
        for j, state in enumerate(states):
            for o, value in enumerate(operations(state, i, j)):
                total = total + mixing[f"cell_{i}"][j, o] * value
        states.append(total)
    torch.testing.assert_close(cell(x, mixing, Context()), states[-1])


@pytest.mark.parametrize("size", [4, 7, 9])
def test_odd_sizes_and_all_zero_cells(size: int) -> None:
    assert ResidualReduction(2, 4)(torch.randn(2, 2, size, size), None).shape[2] == -(-size // 2)
    net = Nasbench201Supernet(**SMALL)  # type: ignore[arg-type]
    x = torch.randn(4, 1, size, size)
    none = {k: torch.eye(5)[:1].expand_as(a) for k, a in net.alphas().items()}
    for mixing in (softmax(random_alphas(net)), none):
        logits = net(x, mixing)
        assert logits.shape == (4, 3) and logits.isfinite().all()
    assert net.genotype(none) == uniform("none")  # unlike in DARTS it may win


@pytest.mark.parametrize("size", [8, 7])
def test_pruned_supernet_equals_the_derived_network(size: int) -> None:
    net = Nasbench201Supernet(**SMALL)  # type: ignore[arg-type]
    mixing = net.prune(softmax(random_alphas(net)))
    genotype = net.genotype(mixing)
    derived = Nasbench201Network(genotype, **SMALL)  # type: ignore[arg-type]

    def origin(name: str) -> str:
        if ".nodes." not in name:
            return name
        place, _, rest = name.partition(".nodes.")
        node, edge, _, layer = rest.split(".", 3)
        op = OPERATIONS.index(genotype.operations[int(node)][int(edge)])
        return f"{place}.nodes.{node}.{edge}.{op}.{layer}"

    x = torch.randn(5, 1, size, size)
    expected = torch.func.functional_call(derived, copied(derived, net, origin), (x, {}))
    torch.testing.assert_close(net(x, mixing), expected, rtol=1e-5, atol=1e-5)
    affine = sum(p.numel() for n, p in derived.named_parameters() if ".nodes." in n and "norm" in n)
    live = reachable_cost(net, measure(net, "parameters", (1, size, size)), mixing)
    assert live == n_parameters(derived) - affine


@pytest.mark.parametrize("number", [0, 15_624, 4_321, 9_876])
def test_costs_are_those_of_the_derived_network(number: int) -> None:
    """FLOPs, and parameters but for the affine norms that a supernet has not."""
    net, shape = Nasbench201Supernet(**SMALL), (1, 8, 8)  # type: ignore[arg-type]
    genotype = list(all_genotypes())[number]
    derived = Nasbench201Network(genotype, **SMALL)  # type: ignore[arg-type]
    mixing = {
        f"cell_{i}": torch.eye(5)[[OPERATIONS.index(name) for name in node]]
        for i, node in enumerate(genotype.operations)
    }
    norms = sum(p.numel() for n, p in derived.named_parameters() if ".nodes." in n and "norm" in n)
    costs = {
        "parameters": n_parameters(derived) - norms,
        "flops": flop_counter(derived, shape)(derived),
    }
    for kind, cost in costs.items():
        measured = measure(net, kind, shape)
        assert reachable_cost(net, measured, mixing) == cost
        assert float(expected_cost(net, measured, mixing)) == pytest.approx(cost)


def test_one_architecture_from_its_mixing_weights() -> None:
    net = Nasbench201Supernet(**SMALL)  # type: ignore[arg-type]
    genotype = Nasbench201Genotype.from_text(EXAMPLE)
    mixing = {
        f"cell_{i}": torch.eye(5)[[OPERATIONS.index(name) for name in node]]
        for i, node in enumerate(genotype.operations)
    }
    assert net.genotype(mixing) == genotype
    assert all((net.prune(mixing)[k] == m).all() for k, m in mixing.items())


def test_pruned_operations_are_left_out() -> None:
    net = Nasbench201Supernet(**SMALL)  # type: ignore[arg-type]
    mask = {k: torch.rand_like(a) > 0.5 for k, a in net.alphas().items()}
    for alive in mask.values():
        alive[:, 1] = True
    mixing, x = softmax(net.alphas(), 1.0, mask), torch.randn(3, 1, 6, 6)
    before = net(x, mixing)
    context = Context(alive=to_alive(mask))
    torch.testing.assert_close(net(x, mixing, context), before)
    assert context.computed("cell_2", mixing["cell_2"]) == mask["cell_2"].tolist()


def test_vmap_equals_a_loop() -> None:
    assert_vmap_equals_loop(Nasbench201Supernet(**SMALL), size=5)  # type: ignore[arg-type]
