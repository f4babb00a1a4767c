"""MAML's meta-gradient against two public packages: ``higher`` (Grefenstette et al. 2019) and ``torchopt``.

The reference shares no code with this package: torch's own layers, differentiable inner loops of the
libraries, ``backward`` through them. Both packages import and work with torch 2.13.
"""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from benchmarks.maml_libraries import QueryLoss, by_higher, by_torchopt, plain_conv4
from metanas_pl.algorithms.meta.meta_gradients import MetaGradient
from metanas_pl.config import MetaConfig, NASConfig, from_plain
from metanas_pl.engine.episode_learner import EpisodeLearner
from metanas_pl.engine.inner_loop_factory import EPS_ROOT
from metanas_pl.search_spaces.backbones import Conv4
from metanas_pl.types import Theta
from tests.conftest import RandomEpisode, random_episode

STEPS, CHANNELS, WAYS, SIZE = 5, 6, 3, 16
HIGHER = by_higher(STEPS, 0.1)
Grads = list[Tensor]


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
            "meta_gradient": f"metanas_pl.algorithms.meta.meta_gradients.{meta_gradient}",
            "gradient_order": "exact" if meta_gradient == "maml" else "first_order",
            "head": "learned",
            "query_norm": "transductive",
            "inner": {"steps": STEPS, "head_lr": None, **inner},
        },
    )
    learner = EpisodeLearner(space, NASConfig(search=False, adapts_alphas=False), meta)
    theta = Theta({k: p.detach() for k, p in space.named_parameters()}, {})
    return theta, learner.meta_gradient(theta, episodes(), seed=0, mask={})[0]


def reference(theta: Theta, query_loss_of: QueryLoss) -> tuple[Grads, Tensor]:
    """Mean meta-gradient and query loss of the tasks, by ``backward`` through a library's inner loop."""
    net, episode = plain_conv4(WAYS, CHANNELS, SIZE, theta.weights), episodes()
    losses = [query_loss_of(net, *(part[t] for part in episode[:4])) for t in range(2)]
    loss = torch.stack(losses).mean()
    return list(torch.autograd.grad(loss, list(net.parameters()))), loss.detach()


def assert_same(
    theta: Theta, result: MetaGradient, query_loss: QueryLoss, rtol: float = 1e-8
) -> None:
    gradients, loss = reference(theta, query_loss)
    torch.testing.assert_close(result.loss, loss)
    for (name, mine), other in zip(result.gradient.weights.items(), gradients, strict=True):
        assert mine.abs().max() > 1e-4, f"{name} has nothing to compare"
        scale = float(other.abs().max())
        torch.testing.assert_close(mine, other, rtol=rtol, atol=rtol * scale, msg=f"{name} differs")


@pytest.mark.parametrize(
    "query_loss",
    [HIGHER, by_torchopt(STEPS, lambda torchopt, net: torchopt.MetaSGD(net, lr=0.1))],
    ids=["higher", "torchopt"],
)
def test_maml_on_conv4(query_loss: QueryLoss) -> None:
    theta, result = ours("maml", optimizer="sgd", weight_lr=0.1)
    assert_same(theta, result, query_loss)


def test_first_order_maml_is_not_what_is_compared() -> None:
    theta, result = ours("fomaml", optimizer="sgd", weight_lr=0.1)
    gradients, loss = reference(theta, HIGHER)
    torch.testing.assert_close(result.loss, loss)
    pairs = list(zip(result.gradient.weights.values(), gradients, strict=True))
    assert all((mine - other).norm() > 0.01 * other.norm() for mine, other in pairs)


def test_maml_through_adam_on_conv4() -> None:
    """torchopt takes powers of the betas in single precision: those of these betas are exact."""
    betas = (0.5, 0.75)
    theta, result = ours("maml", optimizer="adam", weight_lr=0.01, beta1=betas[0], beta2=betas[1])
    query_loss = by_torchopt(
        STEPS, lambda torchopt, net: torchopt.MetaAdam(net, lr=0.01, betas=betas, eps_root=EPS_ROOT)
    )
    assert_same(theta, result, query_loss)
