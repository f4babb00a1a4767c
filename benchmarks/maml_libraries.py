"""MAML with Conv4 by public packages: torch's own layers, differentiable inner loops of the packages."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

QueryLoss = Callable[[nn.Module, Tensor, Tensor, Tensor, Tensor], Tensor]
"""``(network, support_x, support_y, query_x, query_y) -> loss`` after the inner loop."""


def by_higher(steps: int, rate: float) -> QueryLoss:
    """With ``higher`` (Grefenstette et al. 2019) and SGD."""
    import higher

    def query_loss(
        net: nn.Module, support_x: Tensor, support_y: Tensor, query_x: Tensor, query_y: Tensor
    ) -> Tensor:
        optimizer = torch.optim.SGD(net.parameters(), lr=rate)
        with higher.innerloop_ctx(net, optimizer, copy_initial_weights=False) as (moved, step):
            for _ in range(steps):
                step.step(F.cross_entropy(moved(support_x), support_y))
            return F.cross_entropy(moved(query_x), query_y)

    return query_loss


def by_torchopt(steps: int, make_optimizer: Callable[[Any, nn.Module], Any]) -> QueryLoss:
    """With ``torchopt`` (Ren et al. 2023); ``make_optimizer(torchopt, network)`` is one of its own."""
    import torchopt

    def query_loss(
        net: nn.Module, support_x: Tensor, support_y: Tensor, query_x: Tensor, query_y: Tensor
    ) -> Tensor:
        optimizer = make_optimizer(torchopt, net)
        start = torchopt.extract_state_dict(net, by="reference")
        for _ in range(steps):
            optimizer.step(F.cross_entropy(net(support_x), support_y))
        loss = F.cross_entropy(net(query_x), query_y)
        torchopt.recover_state_dict(net, start)
        return loss

    return query_loss


def plain_conv4(
    n_ways: int, channels: int, image_size: int, weights: dict[str, Tensor]
) -> nn.Module:
    """Conv4 for one input channel from torch's own layers, with ``weights`` in their order."""
    layers: list[nn.Module] = []
    for block in range(4):
        layers += [
            nn.Conv2d(1 if block == 0 else channels, channels, 3, padding=1, bias=False),
            nn.BatchNorm2d(channels, track_running_stats=False),
            nn.ReLU(),
            nn.MaxPool2d(2),
        ]
    width = channels * (image_size // 16) ** 2
    net = nn.Sequential(*layers, nn.Flatten(), nn.Linear(width, n_ways))
    net = net.to(next(iter(weights.values())).dtype)
    with torch.no_grad():
        for parameter, value in zip(net.parameters(), weights.values(), strict=True):
            assert parameter.shape == value.shape
            parameter.copy_(value)
    return net
