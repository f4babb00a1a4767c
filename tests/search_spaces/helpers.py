"""What every search space must do: gradients under vmap, finite outputs, a copy of weights."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.func import functional_call, grad, vmap

from metanas_pl.algorithms.nas.relaxations import softmax
from metanas_pl.search_spaces import Context, SearchSpace
from metanas_pl.search_spaces.ops.names import NONE

DARTS_PRIMITIVES = (
    NONE,
    "max_pool_3x3",
    "avg_pool_3x3",
    "skip_connect",
    "sep_conv_3x3",
    "sep_conv_5x5",
    "dil_conv_3x3",
    "dil_conv_5x5",
)


def n_parameters(space: SearchSpace) -> int:
    return sum(p.numel() for p in space.parameters())


def random_alphas(space: SearchSpace) -> dict[str, Tensor]:
    return {name: torch.randn_like(alpha) for name, alpha in space.alphas().items()}


def assert_vmap_equals_loop(space: SearchSpace, size: int, tasks: int = 2) -> None:
    """The gradient through one inner step (so of second order), of tasks at once and one by one."""
    space = space.double()
    weights = {k: torch.stack([p.detach()] * tasks) for k, p in space.named_parameters()}
    weights = {k: w + 0.01 * torch.randn_like(w) for k, w in weights.items()}
    start = [random_alphas(space) for _ in range(tasks)]
    alphas = {k: torch.stack([a[k] for a in start]).double() for k in start[0]}
    channels = next(space.parameters()).shape[1]
    x = torch.randn(tasks, 6, channels, size, size, dtype=torch.float64)
    y = torch.arange(6) % space.head.out_features

    def loss(w: dict[str, Tensor], a: dict[str, Tensor], images: Tensor) -> Tensor:
        context = Context(reference=4)
        return F.cross_entropy(functional_call(space, w, (images, softmax(a), context)), y)

    def after_one_step(w: dict[str, Tensor], a: dict[str, Tensor], images: Tensor) -> Tensor:
        step = grad(loss)(w, a, images)
        return loss({k: w[k] - 0.1 * step[k] for k in w}, a, images)

    meta_gradient = grad(after_one_step, argnums=(0, 1))
    together = vmap(meta_gradient)(weights, alphas, x)
    for t in range(tasks):
        alone = meta_gradient(*({k: v[t] for k, v in d.items()} for d in (weights, alphas)), x[t])
        for ours, theirs in zip(together, alone, strict=True):
            for name, value in theirs.items():
                assert value.isfinite().all(), name
                torch.testing.assert_close(ours[name][t], value, rtol=1e-6, atol=1e-8)


def copied(
    target: SearchSpace, source: SearchSpace, origin: Callable[[str], str]
) -> Mapping[str, Tensor]:
    """Weights for ``target``: those of ``source`` under ``origin(name)``; affine norms stay 1 and 0."""
    weights = dict(source.named_parameters())
    return {k: weights.get(origin(k), p).detach() for k, p in target.named_parameters()}
