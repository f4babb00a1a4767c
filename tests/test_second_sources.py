"""MAML's meta-gradient against two public packages: ``higher`` (Grefenstette et al. 2019) and ``torchopt``.

The reference shares no code with this package: torch's own layers, differentiable inner loops of the
libraries, ``backward`` through them. Both packages import and work with torch 2.13.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import higher
import pytest
import torch
import torch.nn.functional as F
import torchopt
from torch import Tensor, nn

from metanas_pl.conf import MetaConfig, NASConfig, from_plain
from metanas_pl.functional.adaptation import Theta
from metanas_pl.functional.meta_gradients import MetaGradient
from metanas_pl.learning import EpisodeLearner
from metanas_pl.spaces.backbones import Conv4
from tests.conftest import RandomEpisode, random_episode

STEPS, CHANNELS, WAYS, SIZE = 5, 6, 3, 16
Grads = list[Tensor]
Adapt = Callable[[nn.Module, Tensor, Tensor, Tensor], Tensor]


def episodes() -> RandomEpisode:
    """Two tasks in double precision."""
    episode = random_episode(tasks=2, ways=WAYS, shots=3, queries=4, size=SIZE)
    return RandomEpisode(*(x.double() if x.is_floating_point() else x for x in episode))


def ours(meta_gradient: str, **inner: Any) -> tuple[Theta, MetaGradient]:
    """Theta, and the mean meta-gradient of this package; queries see their own batch norm, as in MAML."""
    space = Conv4(in_channels=1, n_ways=WAYS, channels=CHANNELS, image_size=SIZE).double()
    meta = from_plain(
        MetaConfig,
        {
            "meta_gradient": f"metanas_pl.functional.meta_gradients.{meta_gradient}",
            "head": "learned",
            "query_norm": "transductive",
            "inner": {"steps": STEPS, **inner},
        },
    )
    learner = EpisodeLearner(space, NASConfig(search=False, adapts_alphas=False), meta)
    theta = Theta({k: p.detach() for k, p in space.named_parameters()}, {})
    return theta, learner.meta_gradient(theta, episodes(), seed=0, mask={})[0]


def plain_conv4(theta: Theta) -> nn.Module:
    """Conv4 from torch's own layers, at ``theta``."""
    layers: list[nn.Module] = []
    for block in range(4):
        layers += [
            nn.Conv2d(1 if block == 0 else CHANNELS, CHANNELS, 3, padding=1, bias=False),
            nn.BatchNorm2d(CHANNELS, track_running_stats=False),
            nn.ReLU(),
            nn.MaxPool2d(2),
        ]
    net = nn.Sequential(*layers, nn.Flatten(), nn.Linear(CHANNELS, WAYS)).double()
    with torch.no_grad():
        for parameter, value in zip(net.parameters(), theta.weights.values(), strict=True):
            assert parameter.shape == value.shape
            parameter.copy_(value)
    return net


def reference(theta: Theta, query_loss_of: Callable[..., Tensor]) -> tuple[Grads, Tensor]:
    """Mean meta-gradient and query loss of the tasks, by ``backward`` through a library's inner loop."""
    net, episode = plain_conv4(theta), episodes()
    losses = [query_loss_of(net, *(part[t] for part in episode[:4])) for t in range(2)]
    loss = torch.stack(losses).mean()
    return list(torch.autograd.grad(loss, list(net.parameters()))), loss.detach()


def by_higher(
    net: nn.Module, support_x: Tensor, support_y: Tensor, query_x: Tensor, query_y: Tensor
) -> Tensor:
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    with higher.innerloop_ctx(net, optimizer, copy_initial_weights=False) as (moved, steps):
        for _ in range(STEPS):
            steps.step(F.cross_entropy(moved(support_x), support_y))
        return F.cross_entropy(moved(query_x), query_y)


def by_torchopt(make: Callable[[nn.Module], Any]) -> Callable[..., Tensor]:
    def query_loss(
        net: nn.Module, support_x: Tensor, support_y: Tensor, query_x: Tensor, query_y: Tensor
    ) -> Tensor:
        optimizer = make(net)
        start = torchopt.extract_state_dict(net, by="reference")
        for _ in range(STEPS):
            optimizer.step(F.cross_entropy(net(support_x), support_y))
        loss = F.cross_entropy(net(query_x), query_y)
        torchopt.recover_state_dict(net, start)
        return loss

    return query_loss


def assert_same(
    theta: Theta, result: MetaGradient, query_loss: Callable[..., Tensor], rtol: float = 1e-8
) -> None:
    gradients, loss = reference(theta, query_loss)
    torch.testing.assert_close(result.loss, loss)
    for (name, mine), other in zip(result.gradient.weights.items(), gradients, strict=True):
        assert mine.abs().max() > 1e-4, f"{name} has nothing to compare"
        scale = float(other.abs().max())
        torch.testing.assert_close(mine, other, rtol=rtol, atol=rtol * scale, msg=f"{name} differs")


@pytest.mark.parametrize(
    "query_loss",
    [by_higher, by_torchopt(lambda net: torchopt.MetaSGD(net, lr=0.1))],
    ids=["higher", "torchopt"],
)
def test_maml_on_conv4(query_loss: Callable[..., Tensor]) -> None:
    theta, result = ours("maml", optimizer="sgd", weight_lr=0.1)
    assert_same(theta, result, query_loss)


def test_first_order_maml_is_not_what_is_compared() -> None:
    theta, result = ours("fomaml", optimizer="sgd", weight_lr=0.1)
    gradients, loss = reference(theta, by_higher)
    torch.testing.assert_close(result.loss, loss)
    pairs = list(zip(result.gradient.weights.values(), gradients, strict=True))
    assert all((mine - other).norm() > 0.01 * other.norm() for mine, other in pairs)


def test_maml_through_adam_on_conv4() -> None:
    """torchopt takes powers of the betas in single precision: those of these betas are exact."""
    betas = (0.5, 0.75)
    theta, result = ours("maml", optimizer="adam", weight_lr=0.01, beta1=betas[0], beta2=betas[1])
    query_loss = by_torchopt(lambda net: torchopt.MetaAdam(net, lr=0.01, betas=betas))
    assert_same(theta, result, query_loss)
