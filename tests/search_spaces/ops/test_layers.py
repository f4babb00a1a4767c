"""Whatever route and layout, and however many tasks, a layer gives what PyTorch's plain operations give."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.func import functional_call

from metanas_pl.engine.episode_network import channels_last
from metanas_pl.search_spaces.ops import layers
from metanas_pl.search_spaces.ops.layers import Conv, Head, dropped, pool, take
from metanas_pl.search_spaces.ops.primitives import (
    BUILDERS,
    ConvNorm,
    FactorizedReduce,
    make_primitive,
)

MODULES = {
    **{
        f"{name}, stride {s}": make_primitive(name, 4, s, False)
        for name in BUILDERS
        for s in (1, 2)
    },
    "affine": ConvNorm(Conv(4, 6, 3), affine=True),
    "odd reduction": FactorizedReduce(4, 5, affine=True),
    "pointwise": ConvNorm(Conv(4, 3, 1), affine=False, relu=False),
}
TASKS = 3


def outcome(
    module: nn.Module, weights: dict[str, Tensor], x: Tensor, factor: Tensor, reference: int | None
) -> tuple[Tensor, dict[str, Tensor]]:
    """Output, and gradients of a projection of it that treats every task alike."""
    leaves = {"x": x, "factor": factor, **weights}
    leaves = {k: v.detach().requires_grad_() for k, v in leaves.items()}
    parameters = {k: leaves[k] for k in weights}
    y = functional_call(module, parameters, (leaves["x"], reference, leaves["factor"]))
    if not y.requires_grad:  # none
        return y, {}
    of_task = y.unflatten(1, (factor.numel(), -1)).transpose(0, 1)
    total = (of_task * torch.linspace(-1, 1, of_task[0].numel()).to(y).view_as(of_task[0])).sum()
    found = torch.autograd.grad(
        total, list(leaves.values()), materialize_grads=True, allow_unused=True
    )
    return y.detach(), dict(zip(leaves, found, strict=True))


def beside(tensors: list[Tensor], dim: int) -> Tensor:
    return torch.cat(tensors, dim)


@pytest.mark.parametrize("name", MODULES)
@pytest.mark.parametrize("size", [(8, 8), (7, 8), (3, 5)])
@pytest.mark.parametrize("reference", [None, 2])
def test_tasks_side_by_side_are_the_tasks_one_by_one(
    name: str, size: tuple[int, int], reference: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.manual_seed(0)
    module = MODULES[name].double()
    images = [torch.randn(4, 4, *size, dtype=torch.float64) for _ in range(TASKS)]
    factors = torch.rand(TASKS, dtype=torch.float64)
    weights = [{k: torch.randn_like(p) for k, p in module.named_parameters()} for _ in images]
    stacked = {k: beside([w[k] for w in weights], 0) for k in weights[0]}
    y, gradients = outcome(module, stacked, beside(images, 1), factors, reference)

    monkeypatch.setattr(layers, "has_routes", lambda x: False)
    single = [
        outcome(module, w, x, f, reference)
        for w, x, f in zip(weights, images, factors, strict=True)
    ]
    torch.testing.assert_close(y, beside([s[0] for s in single], 1))
    for key, gradient in gradients.items():
        parts = [s[1][key] for s in single]
        expected = torch.stack(parts) if key == "factor" else beside(parts, int(key == "x"))
        torch.testing.assert_close(gradient, expected, msg=lambda m, key=key: f"{key}: {m}")


@pytest.mark.parametrize("name", MODULES)
@pytest.mark.parametrize("size", [(8, 8), (7, 7)])
def test_channels_last(name: str, size: tuple[int, int], monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    module, x = MODULES[name].float(), torch.randn(4, 4, *size)
    weights = {k: torch.randn_like(p) for k, p in module.named_parameters()}
    actual = outcome(module, weights, channels_last(x), torch.tensor(0.7), None)
    monkeypatch.setattr(layers, "has_routes", lambda x: False)
    expected = outcome(module, weights, x, torch.tensor(0.7), None)
    torch.testing.assert_close(actual, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("size", [(8, 8), (7, 5)])
def test_one_channel_a_task_and_even_pooling(size: tuple[int, int]) -> None:
    x = torch.randn(4, TASKS, *size, dtype=torch.float64, requires_grad=True)
    weight = torch.randn(TASKS * 2, 1, 3, 3, dtype=torch.float64, requires_grad=True)
    y = functional_call(Conv(1, 2, 3), {"weight": weight}, (x,))
    expected = F.conv2d(x, weight, padding=1, groups=TASKS)
    outcomes = []
    for map_, kernel in ((y, 2), (expected, 2), (y, 3), (expected, 3)):
        ours = map_ is y
        pooled = (
            pool(map_, "max", 2, kernel) if ours else F.max_pool2d(map_, kernel, 2, kernel // 3)
        )
        gradients = torch.autograd.grad(pooled.sin().sum(), [x, weight], retain_graph=True)
        outcomes.append((pooled, *gradients))
    torch.testing.assert_close(outcomes[0], outcomes[1])
    torch.testing.assert_close(outcomes[2], outcomes[3])


def test_small_channels_last_pointwise_convolutions_leave_the_heap_alone() -> None:
    """torch 2.13's own convolution crashes here."""
    for channels in range(1, 9):
        x = channels_last(torch.randn(3, channels, 7, 7)).requires_grad_()
        conv = Conv(channels, channels, 1)
        for _ in range(20):
            torch.autograd.grad(conv(x).sum(), [x, conv.weight])


def test_head_parts_and_drop_path_of_each_task() -> None:
    head, x = Head(3, 2), torch.randn(5, TASKS, 3)
    weights = {k: torch.randn(TASKS, *p.shape) for k, p in head.named_parameters()}
    logits = functional_call(
        head, {k: w.flatten(0, 1) for k, w in weights.items()}, (x.flatten(1),)
    )
    expected = torch.einsum("btf,tnf->btn", x, weights["weight"]) + weights["bias"]
    torch.testing.assert_close(logits.unflatten(1, (TASKS, 2)), expected)

    images = torch.randn(5, TASKS * 4, 2, 2)
    of_task = images.unflatten(1, (TASKS, 4))
    assert torch.equal(take(images, slice(1, 3), TASKS), of_task[:, :, 1:3].flatten(1, 2))
    noise = torch.rand(5, TASKS)
    expected = (of_task * noise[:, :, None, None, None]).flatten(1, 2)
    torch.testing.assert_close(dropped(images, noise), expected)
    torch.testing.assert_close(dropped(images, noise[:, 0]), images * noise[:, :1, None, None])
