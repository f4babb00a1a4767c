"""Compiled networks against the same networks in Python, in double precision: values and gradients."""

from __future__ import annotations

from typing import Any, NamedTuple

import pytest
import torch
from torch import Tensor, nn

from metanas_pl.engine.episode_network import forward_tasks
from metanas_pl.kernels.library import library
from metanas_pl.search_spaces import DerivedNetwork, Supernet
from metanas_pl.search_spaces.base import CellNetwork, Context
from metanas_pl.search_spaces.cells import compiled
from metanas_pl.search_spaces.cells.tied import TiedSupernet, untied
from metanas_pl.search_spaces.genotypes.genotype import Genotype
from metanas_pl.search_spaces.ops.names import ALL_PRIMITIVES, PRIMITIVES
from metanas_pl.types import Params

pytestmark = pytest.mark.skipif(library() is None, reason="no compiled library")

SMALL: dict[str, Any] = {
    "in_channels": 1,
    "n_ways": 3,
    "channels": 8,
    "n_cells": 2,
    "n_nodes": 2,
    "reductions": (0,),
}


class Case(NamedTuple):
    """Tensors of T tasks for a network."""

    weights: Params
    mixing: Params
    x: Tensor
    g: Tensor


def case(
    net: CellNetwork, tasks: int, images: int, side: int, dtype: torch.dtype = torch.float64
) -> Case:
    """Returns random tensors, the gradient of the logits among them."""
    in_channels = next(net.stem.parameters()).shape[1]
    weights = {
        k: torch.randn(tasks, *v.shape, dtype=torch.float64) / max(1, v[0].numel()) ** 0.5
        for k, v in net.named_parameters()
    }
    mixing = {
        p.name: torch.rand(tasks, *p.shape, dtype=torch.float64)
        for p in net.architecture_parameters()
    }
    x = torch.randn(tasks, images, in_channels, side, side, dtype=torch.float64)
    g = torch.randn(tasks, images, net.head.out_features, dtype=torch.float64)
    cast = [{k: v.to(dtype) for k, v in group.items()} for group in (weights, mixing)]
    return Case(cast[0], cast[1], x.to(dtype), g.to(dtype))


def results(net: CellNetwork, given: Case, context: Context) -> dict[str, Tensor]:
    """Returns logits and the gradients of all weights and mixing weights."""
    weights, mixing = (
        {k: v.clone().requires_grad_() for k, v in group.items()} for group in given[:2]
    )
    logits = forward_tasks(net, weights, mixing, given.x, context)
    wanted = {**weights, **mixing}
    found = torch.autograd.grad(
        logits, [*wanted.values()], given.g, allow_unused=True, materialize_grads=True
    )
    return {"logits": logits.detach(), **dict(zip(wanted, found, strict=True))}


def assert_same(net: CellNetwork, given: Case, context: Context = Context()) -> None:  # noqa: B008
    """Both ways give the same, and the library did compute one of them."""
    assert is_covered(net, given, context)
    expected = results(net, given, context._replace(compiled=False))
    torch.testing.assert_close(results(net, given, context), expected, rtol=1e-9, atol=1e-9)


def is_covered(net: CellNetwork, given: Case, context: Context = Context()) -> bool:  # noqa: B008
    """Returns whether the library computes the first task, by the network's own weights."""
    one = {k: v[0] for k, v in given.mixing.items()}
    mixing = untied(one) if isinstance(net, TiedSupernet) else one
    net.to(given.x.dtype)
    return compiled.compiled_features(net, given.x[0], mixing, context) is not None


@pytest.mark.parametrize("primitive", ALL_PRIMITIVES)
@pytest.mark.parametrize("side", [9, 10])
def test_every_primitive(primitive: str, side: int) -> None:
    net = Supernet(**{**SMALL, "primitives": (primitive,), "in_channels": 3})
    assert_same(net, case(net, tasks=2, images=3, side=side), Context(2))


@pytest.mark.parametrize("channels", [4, 8, 12, 16, 28, 48])
@pytest.mark.parametrize("reference", [None, 2])
def test_channels(channels: int, reference: int | None) -> None:
    """With and without padding, for every width of vectors."""
    net = Supernet(**{**SMALL, "channels": channels})
    assert_same(net, case(net, tasks=2, images=3, side=7), Context(reference))


@pytest.mark.parametrize(
    "changes",
    [
        {"n_cells": 3, "reductions": (0, 1), "stem_stride": 2},  # metanas_compact
        {"n_cells": 4, "reductions": (1, 3), "n_nodes": 3},  # the paper's
        {"n_cells": 1, "reductions": ()},
        {"pair_inputs": False, "primitives": ALL_PRIMITIVES},
        {"channel_factor": 2},
    ],
)
def test_spaces(changes: dict[str, Any]) -> None:
    net = Supernet(**{**SMALL, **changes})
    assert_same(net, case(net, tasks=3, images=4, side=11), Context(3))


def test_a_tied_space() -> None:
    net = TiedSupernet(**{**SMALL, "n_nodes": 1})
    assert_same(net, case(net, tasks=2, images=3, side=8))


@pytest.mark.parametrize("pool_norm", [True, False])
@pytest.mark.parametrize("affine", [True, False])
@pytest.mark.parametrize("name", ["metanas_in_v2", "darts_v2"])
def test_networks_of_a_genotype(name: str, affine: bool, pool_norm: bool) -> None:
    shape = {k: v for k, v in SMALL.items() if k != "n_nodes"}
    net = DerivedNetwork(Genotype.load(name), **shape, affine=affine, pool_norm=pool_norm)
    assert_same(net, case(net, tasks=2, images=3, side=9), Context(2))


def test_a_mask() -> None:
    net = Supernet(**SMALL)
    given = case(net, tasks=2, images=3, side=8)
    alive = {k: (v[0] > 0.5).tolist() for k, v in given.mixing.items() if "pair" not in k}
    for rows in alive.values():
        rows[0][0] = True
    assert_same(net, given, Context(alive=alive))


def test_weights_that_are_skipped() -> None:
    """They have no gradient, and differ from task to task."""
    net = Supernet(**{**SMALL, "pair_inputs": False})
    given = case(net, tasks=3, images=3, side=8)
    kept = {k: (v > 0.4).double() for k, v in given.mixing.items()}
    given = given._replace(mixing={k: v * kept[k] for k, v in given.mixing.items()})
    skipping, complete = (results(net, given, Context(skip_zeros=s)) for s in (True, False))
    for name, of in kept.items():
        complete[name] = complete[name] * of
        skipping[name] = skipping[name] * of
    torch.testing.assert_close(skipping, complete, rtol=1e-9, atol=1e-9)


def test_a_network_without_any_weight_is_zero() -> None:
    net = Supernet(**SMALL)
    given = case(net, tasks=1, images=3, side=8)
    given = given._replace(mixing={k: torch.zeros_like(v) for k, v in given.mixing.items()})
    assert_same(net, given, Context(skip_zeros=True))


def test_only_some_gradients_are_asked_for() -> None:
    """An alpha-step asks for mixing weights, a w-step for weights: both get what all get."""
    net = Supernet(**SMALL)
    given = case(net, tasks=2, images=3, side=8)
    everything = results(net, given, Context())
    for group in ("weights", "mixing"):
        some = {k: v.clone().requires_grad_() for k, v in getattr(given, group).items()}
        logits = forward_tasks(net, *given._replace(**{group: some})[:3], Context())
        found = torch.autograd.grad(logits, [*some.values()], given.g, allow_unused=True)
        for name, of in zip(some, found, strict=True):
            torch.testing.assert_close(of, everything[name], rtol=0, atol=0)


def test_images_have_a_gradient_too() -> None:
    net = Supernet(**SMALL)
    given = case(net, tasks=2, images=3, side=8)
    found = []
    for context in (Context(), Context(compiled=False)):
        x = given.x.clone().requires_grad_()
        logits = forward_tasks(net, given.weights, given.mixing, x, context)
        found.append(torch.autograd.grad(logits, x, given.g)[0])
    torch.testing.assert_close(*found, rtol=1e-9, atol=1e-9)


def test_second_derivatives() -> None:
    net = Supernet(**{**SMALL, "primitives": ("skip_connect", "conv_3x3", "avg_pool_3x3")})
    given = case(net, tasks=2, images=3, side=8)
    found = []
    for context in (Context(), Context(compiled=False)):
        mixing = {k: v.clone().requires_grad_() for k, v in given.mixing.items()}
        logits = forward_tasks(net, given.weights, mixing, given.x, context)
        first = torch.autograd.grad(logits, [*mixing.values()], given.g, create_graph=True)
        size = sum(g.square().sum() for g in first)
        found.append(torch.autograd.grad(size, [*mixing.values()]))
    torch.testing.assert_close(*found, rtol=1e-8, atol=1e-8)


def test_without_gradients() -> None:
    """The memory of one task then serves all."""
    net = Supernet(**SMALL)
    given = case(net, tasks=3, images=3, side=8)
    expected = results(net, given, Context(2))["logits"]
    with torch.no_grad():
        torch.testing.assert_close(forward_tasks(net, *given[:3], Context(2)), expected)


def test_threads_change_nothing() -> None:
    net = Supernet(**SMALL)
    given = case(net, tasks=3, images=3, side=8)
    one = results(net, given, Context())
    try:
        torch.set_num_threads(3)
        more = results(net, given, Context())
    finally:
        torch.set_num_threads(1)
    torch.testing.assert_close(more, one, rtol=0, atol=0)


def test_single_precision_is_as_exact_as_torch() -> None:
    """By the error against double precision; ties of ReLU and maximum may fall either way in both."""
    errors = {True: [], False: []}  # type: ignore[var-annotated]
    for seed in range(5):
        torch.manual_seed(seed)
        net = Supernet(**{**SMALL, "channels": 16, "primitives": PRIMITIVES})
        given = case(net.double(), tasks=2, images=5, side=14)
        exact = results(net, given, Context(compiled=False))
        single = Case(
            *({k: v.float() for k, v in g.items()} for g in given[:2]),
            *map(Tensor.float, given[2:]),
        )  # type: ignore[arg-type]
        net.float()
        for way, of_way in errors.items():
            found = results(net, single, Context(compiled=way))
            off = [(found[k] - v).norm() / v.norm().clamp(min=1e-9) for k, v in exact.items()]
            of_way.append(torch.stack(off).median())
    ours, theirs = (torch.stack(errors[way]).median() for way in (True, False))
    assert ours < 3 * theirs + 1e-7


def test_a_nan_stays_one() -> None:
    net = Supernet(**SMALL)
    given = case(net, tasks=2, images=3, side=8)
    given.x[0, 0, 0, 3, 3] = torch.nan
    logits = results(net, given, Context())["logits"]
    assert logits[0].isnan().all() and logits[1].isfinite().all()


class Doubled(nn.Module):
    """A cell of another package."""

    def forward(self, s0: Tensor, s1: Tensor, mixing: Params, context: Context) -> Tensor:
        return s0 + s1


def test_what_is_left_to_python(monkeypatch: pytest.MonkeyPatch) -> None:
    net = Supernet(**SMALL)
    given = case(net, tasks=1, images=3, side=8)
    assert is_covered(net, given)
    rows = torch.tensor([1.0, 1.0, 0.0])
    drop_path = torch.ones(2, 5, 7, 3)
    for context in (
        Context(rows),
        Context(drop_path=drop_path),
        Context(compiled=False),
    ):
        assert not is_covered(net, given, context)
    halved = case(net, tasks=1, images=3, side=8, dtype=torch.bfloat16)
    assert not is_covered(net, halved)
    skips = Supernet(**SMALL, auxiliary_skip=True)
    assert not is_covered(skips, given, Context(auxiliary_skip=0.5))
    assert not is_covered(Supernet(**{**SMALL, "pair_inputs": False}, partial_channels=2), given)
    own = CellNetwork(
        lambda width, reduction: Doubled(),
        (1, 1),
        **{k: v for k, v in SMALL.items() if k != "n_nodes"} | {"reductions": ()},
        affine=True,
    )
    assert not is_covered(own, given)
    monkeypatch.setattr(compiled, "library", lambda: None)
    assert not is_covered(net, given)


def test_under_torch_func_python_computes_it() -> None:
    """Its transforms see every operation."""
    net = Supernet(**SMALL).double()
    given = case(net, tasks=1, images=3, side=8)
    mixing = {k: v[0] for k, v in given.mixing.items()}
    found = torch.func.grad(lambda m: net(given.x[0], m).sum())(mixing)
    of = {k: v.clone().requires_grad_() for k, v in mixing.items()}
    expected = torch.autograd.grad(net(given.x[0], of).sum(), [*of.values()])
    torch.testing.assert_close([*found.values()], [*expected], rtol=1e-9, atol=1e-9)


def test_few_programs_are_kept() -> None:
    net = Supernet(**{**SMALL, "primitives": ("skip_connect",)})
    for side in range(5, 5 + 2 * compiled.MOST_PROGRAMS):
        assert_same(net, case(net, tasks=1, images=2, side=side))
    assert len(compiled._PROGRAMS[net]) <= compiled.MOST_PROGRAMS
