"""The supernet against published sizes, numpy arithmetic of a node, and odd shapes."""

from __future__ import annotations

from itertools import combinations

import pytest
import torch

from metanas_pl.algorithms.nas.relaxations import apply_threshold, softmax
from metanas_pl.search_spaces import DerivedNetwork, Supernet
from metanas_pl.search_spaces.base import Context, to_alive
from metanas_pl.search_spaces.cells.mixed_cell import MixedCell, edge_factors
from metanas_pl.search_spaces.costs import measure, reachable_cost

PAPER = {"channels": 28, "n_cells": 4, "n_nodes": 3, "reductions": (1, 3)}


def small(**changes: object) -> Supernet:
    shape = {"in_channels": 1, "n_ways": 3, "channels": 4, "n_cells": 3, "n_nodes": 2}
    return Supernet(**{**shape, "reductions": (1,), **changes})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("in_channels", "n_ways", "n_weights"), [(1, 20, 462_272), (3, 5, 462_509)]
)
def test_published_sizes(in_channels: int, n_ways: int, n_weights: int) -> None:
    net = Supernet(in_channels=in_channels, n_ways=n_ways, **PAPER)  # type: ignore[arg-type]
    assert sum(p.numel() for p in net.parameters()) == n_weights
    assert sum(a.numel() for a in net.alphas().values()) == 146


@pytest.mark.parametrize("n_inputs", [2, 3, 4, 5])
def test_pair_inputs_equal_the_sum_over_pairs(n_inputs: int) -> None:
    edges = torch.randn(n_inputs, 6, dtype=torch.float64)  # an edge's primitives' outputs
    weight = torch.rand(n_inputs, 6, dtype=torch.float64)
    pairs = list(combinations(range(n_inputs), 2))
    beta = torch.rand(len(pairs), dtype=torch.float64)
    mixed = (weight * edges).sum(1)
    expected = sum(float(b) * (mixed[k] + mixed[j]) for b, (k, j) in zip(beta, pairs, strict=True))
    factors = edge_factors({"normal_0": weight, "normal_pair_0": beta}, "normal", 0)
    torch.testing.assert_close(float((factors * mixed).sum()), float(expected))


@pytest.mark.parametrize("pair_inputs", [True, False])
@pytest.mark.parametrize(("size", "ways"), [(7, 2), (13, 3), (28, 5)])
def test_odd_sizes_and_few_ways(pair_inputs: bool, size: int, ways: int) -> None:
    """Fault 7 of earlier implementations."""
    net = small(pair_inputs=pair_inputs, n_ways=ways)
    mixing = apply_threshold(softmax(net.alphas()), 0.9)
    logits = net(torch.randn(4, 1, size, size), mixing)
    assert logits.shape == (4, ways)
    assert logits.isfinite().all()


@pytest.mark.parametrize("pair_inputs", [True, False])
def test_pruned_supernet_equals_the_derived_network(pair_inputs: bool) -> None:
    net = small(pair_inputs=pair_inputs)
    alphas = {k: torch.randn_like(a) for k, a in net.alphas().items()}
    mixing = net.prune(softmax(alphas))
    derived = DerivedNetwork(
        net.genotype(mixing),
        in_channels=1,
        n_ways=3,
        channels=4,
        n_cells=3,
        reductions=(1,),
    )
    weights = dict(net.named_parameters())
    copy = {}
    for name, parameter in derived.named_parameters():
        if ".nodes." not in name:
            copy[name] = weights[name] if name in weights else parameter
            continue
        _, cell, _, node, position, *tail = name.split(".")
        kind = "reduce" if int(cell) == 1 else "normal"
        genes = getattr(net.genotype(mixing), kind)[int(node)]
        primitive, source = genes[int(position)]
        op = net.primitives.index(primitive)
        origin = ".".join(["cells", cell, "nodes", node, str(source), str(op), *tail])
        copy[name] = weights[origin] if origin in weights else parameter  # affine norms: 1 and 0
    x = torch.randn(5, 1, 12, 12)
    expected = torch.func.functional_call(derived, copy, (x, {}))
    torch.testing.assert_close(net(x, mixing), expected, rtol=1e-5, atol=1e-5)
    skeleton = reachable_cost(net, measure(net, "parameters", (1, 12, 12)), mixing)
    affine = sum(
        p.numel() for n, p in derived.named_parameters() if "norm" in n and "stem" not in n
    )
    assert skeleton == sum(p.numel() for p in derived.parameters()) - affine


def test_genotype_and_prune_tell_the_same() -> None:
    for pair_inputs in (True, False):
        net = small(pair_inputs=pair_inputs)
        mixing = softmax({k: torch.randn_like(a) for k, a in net.alphas().items()})
        assert net.genotype(mixing) == net.genotype(net.prune(mixing)) or not pair_inputs
        used = net.usage(net.prune(mixing))
        live = sum(int((used[f"normal_{i}"] != 0).sum()) for i in range(2))
        assert live == 4  # two inputs of each of two nodes


def test_inductive_predictions_do_not_depend_on_other_queries() -> None:
    """Fault 5 of earlier implementations."""
    net, support = small(), torch.randn(6, 1, 12, 12)
    mixing = softmax(net.alphas())
    queries = torch.randn(4, 1, 12, 12)

    def predict(rows: torch.Tensor) -> torch.Tensor:
        return net(torch.cat([support, rows]), mixing, Context(reference=6))[6:]

    together = predict(queries)
    alone = torch.cat([predict(q.unsqueeze(0)) for q in queries])
    torch.testing.assert_close(together, alone, rtol=1e-4, atol=1e-5)
    transductive = net(queries, mixing)
    assert not torch.allclose(transductive, together, atol=1e-3)


def test_drop_path_zero_factors_leave_only_identities() -> None:
    cell = MixedCell(["skip_connect", "conv_3x3"], 1, 4, reduction=False)
    mixing = {"normal_0": torch.tensor([[0.3, 0.7], [0.4, 0.6]])}
    a, b = torch.randn(2, 3, 4, 6, 6)
    dropped = cell(a, b, mixing, Context(drop_path=torch.zeros(2, 2, 3)))
    torch.testing.assert_close(dropped, 0.3 * a + 0.4 * b)
    kept = cell(a, b, mixing, Context(drop_path=torch.ones(2, 2, 3)))
    torch.testing.assert_close(kept, cell(a, b, mixing, Context()))


def test_stated_drop_path_shape_fits() -> None:
    net = small()
    shape = net.drop_path_shape()
    context = Context(drop_path=torch.ones(*shape, 2))
    x, mixing = torch.randn(2, 1, 12, 12), softmax(net.alphas())
    torch.testing.assert_close(net(x, mixing, context), net(x, mixing))


def test_pruned_operations_are_left_out() -> None:
    net = small()
    mask = {k: torch.rand_like(a) > 0.5 for k, a in net.alphas().items() if "pair" not in k}
    for alive in mask.values():
        alive[:, 0] = True
    mixing = softmax(net.alphas(), 1.0, mask)
    x = torch.randn(3, 1, 12, 12)
    before = net(x, mixing)
    calls: list[int] = []
    for cell in net.cells:
        for index, primitive in enumerate(cell.nodes[0][0]):
            primitive.register_forward_hook(lambda *_, index=index: calls.append(index))
    context = Context(alive=to_alive(mask), compiled=False)
    torch.testing.assert_close(net(x, mixing, context), before)
    normal, reduce = (
        mask[f"{kind}_0"][0].nonzero().flatten().tolist() for kind in ("normal", "reduce")
    )
    assert calls == normal + reduce + normal
