"""Batch norm against plain operations, to the third derivative, and against PyTorch's."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from metanas_pl.search_spaces.ops.batch_norm import batch_norm, reference_norm

EPS = 1e-3


def torch_batch_norm(x: Tensor, weight: Tensor | None, bias: Tensor | None) -> Tensor:
    return F.batch_norm(x, None, None, weight, bias, training=True, eps=EPS)


def plain_batch_norm(
    x: Tensor, weight: Tensor | None, bias: Tensor | None, rows: int | None = None
) -> Tensor:
    centred = x - x[:rows].mean((0, 2, 3), keepdim=True)
    y = centred / (centred[:rows].square().mean((0, 2, 3), keepdim=True) + EPS).sqrt()
    y = y if weight is None else y * weight.view(-1, 1, 1)
    return y if bias is None else y + bias.view(-1, 1, 1)


def our_batch_norm(x: Tensor, weight: Tensor | None, bias: Tensor | None) -> Tensor:
    return batch_norm(x, weight, bias, EPS)


def inputs(affine: str) -> list[Tensor | None]:
    torch.manual_seed(0)
    channel = {"both": (True, True), "weight": (True, False), "none": (False, False)}[affine]
    x = torch.randn(3, 4, 5, 6, dtype=torch.float64) + 2
    rest = [torch.rand(4, dtype=torch.float64) if there else None for there in channel]
    return [t if t is None else t.requires_grad_() for t in (x, *rest)]


def derivatives(
    norm: Callable[..., Tensor], given: Sequence[Tensor | None], orders: int = 3
) -> list[Tensor]:
    """Output, and gradients of functions of output, gradients, and gradients of these."""
    leaves = [t for t in given if t is not None]
    found = [norm(*given)]
    last: Sequence[Tensor] = found
    for order in range(orders):
        value = sum(((t + order).sin() * (k + 1)).sum() for k, t in enumerate(last))
        assert isinstance(value, Tensor)
        last = torch.autograd.grad(value, leaves, create_graph=True)
        found += last
    return [t.detach() for t in found]


@pytest.mark.parametrize("affine", ["both", "weight", "none"])
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_three_derivatives_are_those_of_plain_operations(
    affine: str, layout: torch.memory_format
) -> None:
    x, *rest = inputs(affine)
    assert x is not None
    given = [x.detach().contiguous(memory_format=layout).requires_grad_(), *rest]
    for mine, theirs in zip(
        derivatives(our_batch_norm, given), derivatives(plain_batch_norm, given), strict=True
    ):
        torch.testing.assert_close(mine, theirs, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("affine", ["both", "weight", "none"])
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_statistics_of_the_first_rows(affine: str, layout: torch.memory_format) -> None:
    x, *rest = inputs(affine)
    assert x is not None
    given = [x.detach().contiguous(memory_format=layout).requires_grad_(), *rest]

    def ours(x: Tensor, weight: Tensor | None, bias: Tensor | None) -> Tensor:
        return reference_norm(x, weight, bias, EPS, 2)

    def plain(x: Tensor, weight: Tensor | None, bias: Tensor | None) -> Tensor:
        return plain_batch_norm(x, weight, bias, rows=2)

    for mine, theirs in zip(derivatives(ours, given), derivatives(plain, given), strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-9, atol=1e-9)
    once = [torch.autograd.grad(f(*given).sin().sum(), given[0]) for f in (ours, plain)]
    torch.testing.assert_close(*once, rtol=1e-9, atol=1e-9)  # without a graph of its own


def test_two_derivatives_are_those_of_torch() -> None:
    given = inputs("both")
    # Torch's third derivative is wrong up to 2.13, and refused from 2.14 on.
    mine, theirs = (derivatives(norm, given, 2) for norm in (our_batch_norm, torch_batch_norm))
    assert len(mine) == 1 + 2 * 3
    torch.testing.assert_close(mine, theirs, rtol=1e-9, atol=1e-9)


def test_first_and_second_derivative_are_those_of_finite_differences() -> None:
    assert torch.autograd.gradcheck(our_batch_norm, inputs("both"))
    assert torch.autograd.gradgradcheck(our_batch_norm, inputs("both"))


def test_a_constant_channel_gives_its_bias() -> None:
    x = torch.full((2, 3, 2, 2), 7.0, requires_grad=True)
    y = batch_norm(x, None, torch.tensor([1.0, 2.0, 3.0]), EPS)
    torch.testing.assert_close(y[0, :, 0, 0], torch.tensor([1.0, 2.0, 3.0]))
    (dx,) = torch.autograd.grad(y.square().sum(), [x])
    assert dx.isfinite().all()


def test_large_means_cost_no_digits() -> None:
    x = torch.randn(8, 2, 4, 4, dtype=torch.float64)
    shifted = (x + 1000).float()
    torch.testing.assert_close(
        batch_norm(shifted, None, None, EPS),
        torch_batch_norm(shifted.double(), None, None).float(),
        rtol=1e-4,
        atol=1e-4,
    )
