"""The space of tied edges: 49 networks, each of which is the derived network of its genotype."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from metanas_pl.errors import UserError
from metanas_pl.search_spaces import DerivedNetwork, Supernet
from metanas_pl.search_spaces.cells.tied import TiedSupernet, untied
from tests.conftest import RandomEpisode, make_module, random_episode

SIZES: dict[str, Any] = {
    **{"in_channels": 1, "n_ways": 3, "channels": 4, "n_cells": 3, "reductions": (0, 1)},
    "stem_stride": 2,
}
SPACE = {
    **{"builder": "metanas_pl.search_spaces.builders.cells", "name": "metanas_tied"},
    **{"channels": 4, "n_cells": 2, "n_nodes": 1, "reductions": [0], "tied": True},
    "pair_inputs": False,
}


def one_primitive(net: TiedSupernet, normal: int, reduce: int) -> dict[str, torch.Tensor]:
    """Mixing weights of one of the 49 networks."""
    n = len(net.primitives)
    chosen = {"normal": normal, "reduce": reduce}
    return {k: torch.eye(n, dtype=torch.float64)[[i]] for k, i in chosen.items()}


def derived(net: TiedSupernet, mixing: dict[str, torch.Tensor]) -> DerivedNetwork:
    """The network of the genotype, with the weights of the supernet."""
    fixed, ours = (
        DerivedNetwork(net.genotype(mixing), **SIZES).double(),
        dict(net.named_parameters()),
    )
    for name, parameter in fixed.named_parameters():
        parts = name.split(".")
        if parts[0] == "cells":  # an edge of the supernet holds all primitives
            kind = net.cells[int(parts[1])].kind
            parts.insert(5, str(int(mixing[kind].argmax())))
        if (source := ours.get(".".join(parts))) is not None:
            parameter.data.copy_(source.data)
        else:
            assert parts[-2] == "norm", name  # of the identity in the supernet
    return fixed


@pytest.mark.parametrize(("normal", "reduce"), [(n, (3 * n + 1) % 7) for n in range(7)])
def test_a_network_of_the_space_is_the_one_of_its_genotype(normal: int, reduce: int) -> None:
    net = TiedSupernet(n_nodes=1, **SIZES).double()
    mixing = one_primitive(net, normal, reduce)
    x = torch.randn(4, 1, 16, 16, dtype=torch.float64)
    torch.testing.assert_close(net(x, mixing), derived(net, mixing)(x, {}), rtol=1e-6, atol=1e-6)


def test_there_are_49_networks() -> None:
    net = TiedSupernet(n_nodes=1, **SIZES).double()
    x = torch.randn(4, 1, 16, 16, dtype=torch.float64)
    mixings = [one_primitive(net, i, j) for i in range(7) for j in range(7)]
    assert len({str(net.genotype(mixing)) for mixing in mixings}) == 49
    answers = torch.stack([net(x, mixing).flatten() for mixing in mixings])
    distances = torch.cdist(answers, answers) + torch.eye(49)
    assert distances.min() > 1e-6


def test_a_mixture_has_the_same_weights_on_both_edges() -> None:
    """As a supernet whose edges are free has it, if both are told the same."""
    net = TiedSupernet(n_nodes=1, **SIZES).double()
    free = Supernet(n_nodes=1, pair_inputs=False, **SIZES).double()
    free.load_state_dict(net.state_dict())
    weights = {k: torch.rand(1, 7, dtype=torch.float64) for k in ("normal", "reduce")}
    x = torch.randn(2, 1, 16, 16, dtype=torch.float64)
    apart = {k: w.expand(2, 7) for k, w in untied(weights).items()}
    torch.testing.assert_close(net(x, weights), free(x, apart))


def test_pruning_usage_and_choices_are_of_cell_types() -> None:
    net = TiedSupernet(n_nodes=1, **SIZES)
    mixing = {k: torch.softmax(torch.randn(1, 7), -1) for k in ("normal", "reduce")}
    pruned = net.prune(mixing)
    assert all((w.sum(-1) == 1).all() and w.shape == (1, 7) for w in pruned.values())
    assert str(net.genotype(pruned)) == str(net.genotype(mixing))
    assert net.usage(mixing) == mixing
    choices = net.choices()
    assert {k: (len(rows), len(rows[0])) for k, rows in choices.items()} == {
        "normal": (1, 7),
        "reduce": (1, 7),
    }
    n_cells = {kind: sum(cell.kind == kind for cell in net.cells) for kind in mixing}
    assert all(len(choices[k][0][0]) == 2 * n for k, n in n_cells.items())


def test_every_backend_gives_the_same_meta_gradient() -> None:
    parts = (p.double() if p.is_floating_point() else p for p in random_episode())
    episode, results = RandomEpisode(*parts), []
    inner = {"optimizer": "sgd", "weight_lr": 0.1, "alpha_lr": 0.05, "steps": 2}
    for backend in ("loop", "vmap", "grouped"):
        torch.manual_seed(0)
        module = make_module("fomaml", space=SPACE, meta={"inner": inner, "backend": backend})
        module = module.double()
        assert module.learner.backend == backend
        found, _ = module.learner.meta_gradient(module.theta(), episode, seed=0, mask=module.mask())
        results.append(found)
    for other in results[1:]:
        torch.testing.assert_close(other.loss, results[0].loss, rtol=1e-9, atol=1e-9)
        for mine, reference in zip(other.gradient, results[0].gradient, strict=True):
            torch.testing.assert_close(mine, reference, rtol=1e-7, atol=1e-9)


def test_what_is_pruned_is_not_computed() -> None:
    module = make_module(space=SPACE)
    mask = {k: torch.zeros_like(m) for k, m in module.mask().items()}
    for alive in mask.values():
        alive[..., 3:5] = True
    network = module.learner.network(3, mask, 0.0)
    everything = set(dict(module.space.named_parameters()))
    edges = {k for k in everything if k.startswith("cells.")}
    kept = {k for k in edges if k.split(".")[5] in "34"}
    assert network.unused == edges - kept and kept


def test_a_cell_of_tied_edges_has_one_node() -> None:
    with pytest.raises(UserError, match="space.n_nodes=2"):
        TiedSupernet(**{**SIZES, "n_nodes": 2})
