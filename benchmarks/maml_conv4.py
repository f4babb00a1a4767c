"""C: the meta-gradient of MAML with Conv4, against ``higher`` and ``torchopt``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchmarks.timing import compare
from metanas_pl.conf import MetaConfig, NASConfig, from_plain
from metanas_pl.data.episodes import Episode
from metanas_pl.functional.adaptation import Theta
from metanas_pl.learning import EpisodeLearner
from metanas_pl.spaces.backbones import Conv4

RATE = 0.1
QueryLoss = Callable[[nn.Module, Tensor, Tensor, Tensor, Tensor], Tensor]


class Work(NamedTuple):
    """Ways, tasks, inner steps, channels, queries a class, pixels a side."""

    n_ways: int
    tasks: int
    steps: int = 5
    channels: int = 64
    n_queries: int = 5
    image_size: int = 28


class MetaGradient:
    """Episodes of noise, and the mean meta-gradient of the tasks by each side.

    Queries have the batch norm of the query set, as the other packages have it.
    """

    def __init__(self, work: Work, dtype: torch.dtype = torch.float32) -> None:
        torch.manual_seed(0)
        self.work = work
        shape = {"n_ways": work.n_ways, "channels": work.channels, "image_size": work.image_size}
        self.space = Conv4(in_channels=1, **shape).to(dtype)
        self.theta = Theta({k: p.detach() for k, p in self.space.named_parameters()}, {})
        inner = {"optimizer": "sgd", "weight_lr": RATE, "steps": work.steps}
        meta = {
            "meta_gradient": "metanas_pl.functional.meta_gradients.maml",
            "learns_from": "trajectory",
            "head": "learned",
            "query_norm": "transductive",
            "inner": inner,
        }
        nas = NASConfig(search=False, adapts_alphas=False)
        self.learner = EpisodeLearner(self.space, nas, from_plain(MetaConfig, meta))
        self.episode = episodes(work, dtype)
        self.plain = plain_conv4(work, dtype)
        with torch.no_grad():
            for mine, value in zip(
                self.plain.parameters(), self.theta.weights.values(), strict=True
            ):
                mine.copy_(value)

    def ours(self) -> list[Tensor]:
        """By the framework."""
        result, _ = self.learner.meta_gradient(self.theta, self.episode, seed=0, mask={})
        return list(result.gradient.weights.values())

    def by(self, query_loss: QueryLoss) -> list[Tensor]:
        """By backward through a library's inner loop, task after task."""
        parameters = list(self.plain.parameters())
        total = [torch.zeros_like(p) for p in parameters]
        for t in range(self.work.tasks):
            loss = query_loss(self.plain, *(part[t] for part in self.episode[:4]))
            for mean, g in zip(total, torch.autograd.grad(loss, parameters), strict=True):
                mean += g / self.work.tasks
        return total

    def by_higher(self) -> list[Tensor]:
        """With ``higher`` (Grefenstette et al. 2019)."""
        import higher

        def query_loss(net: nn.Module, x: Tensor, y: Tensor, qx: Tensor, qy: Tensor) -> Tensor:
            optimizer = torch.optim.SGD(net.parameters(), lr=RATE)
            with higher.innerloop_ctx(net, optimizer, copy_initial_weights=False) as (moved, step):
                for _ in range(self.work.steps):
                    step.step(F.cross_entropy(moved(x), y))
                return F.cross_entropy(moved(qx), qy)

        return self.by(query_loss)

    def by_torchopt(self) -> list[Tensor]:
        """With ``torchopt`` (Ren et al. 2023)."""
        import torchopt

        def query_loss(net: nn.Module, x: Tensor, y: Tensor, qx: Tensor, qy: Tensor) -> Tensor:
            optimizer = torchopt.MetaSGD(net, lr=RATE)
            start = torchopt.extract_state_dict(net, by="reference")
            for _ in range(self.work.steps):
                optimizer.step(F.cross_entropy(net(x), y))
            loss = F.cross_entropy(net(qx), qy)
            torchopt.recover_state_dict(net, start)
            return loss

        return self.by(query_loss)


def episodes(work: Work, dtype: torch.dtype) -> Episode:
    """1-shot episodes of noise."""
    labels = torch.arange(work.n_ways)
    support_y = labels.expand(work.tasks, -1)
    query_y = labels.repeat(work.n_queries).expand(work.tasks, -1)
    size = (1, work.image_size, work.image_size)
    support_x, query_x = (torch.randn(*y.shape, *size, dtype=dtype) for y in (support_y, query_y))
    return Episode(support_x, support_y, query_x, query_y, torch.arange(work.tasks))


def plain_conv4(work: Work, dtype: torch.dtype) -> nn.Module:
    """Conv4 from torch's own layers."""
    layers: list[nn.Module] = []
    for block in range(4):
        c_in = 1 if block == 0 else work.channels
        layers += [
            nn.Conv2d(c_in, work.channels, 3, padding=1, bias=False),
            nn.BatchNorm2d(work.channels, track_running_stats=False),
            nn.ReLU(),
            nn.MaxPool2d(2),
        ]
    width = work.channels * (work.image_size // 16) ** 2
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(width, work.n_ways)).to(dtype)


def run(work: Work) -> Callable[[int], dict[str, Any]]:
    """A benchmark case; the reference is the faster of the two packages."""

    def figures(rounds: int) -> dict[str, Any]:
        step = MetaGradient(work)
        sides = {"higher": step.by_higher, "torchopt": step.by_torchopt}
        found = {name: compare(step.ours, side, rounds).figures() for name, side in sides.items()}
        best = min(found, key=lambda name: found[name]["ratio"]["median"])
        return found[best] | {"faster_package": best, "packages": found}

    return figures
