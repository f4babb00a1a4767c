"""C: the meta-gradient of MAML with Conv4, against ``higher`` and ``torchopt``."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor

from benchmarks.maml_libraries import QueryLoss, by_higher, by_torchopt, plain_conv4
from benchmarks.timing import compare
from metanas_pl.config import MetaConfig, NASConfig, from_plain
from metanas_pl.data.episodes.dataset import Episode
from metanas_pl.engine.episode_learner import EpisodeLearner
from metanas_pl.search_spaces.backbones import Conv4
from metanas_pl.types import Theta

RATE = 0.1


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

    def __init__(
        self, work: Work, dtype: torch.dtype = torch.float32, chunk_size: int | None = None
    ) -> None:
        torch.manual_seed(0)
        self.work = work
        shape = {"n_ways": work.n_ways, "channels": work.channels, "image_size": work.image_size}
        self.space = Conv4(in_channels=1, **shape).to(dtype)
        self.theta = Theta({k: p.detach() for k, p in self.space.named_parameters()}, {})
        inner = {"optimizer": "sgd", "weight_lr": RATE, "head_lr": None, "steps": work.steps}
        meta = {
            "meta_gradient": "metanas_pl.algorithms.meta.meta_gradients.maml",
            "gradient_order": "exact",
            "head": "learned",
            "query_norm": "transductive",
            "chunk_size": chunk_size,
            "inner": inner,
        }
        nas = NASConfig(search=False, adapts_alphas=False)
        self.learner = EpisodeLearner(self.space, nas, from_plain(MetaConfig, meta))
        self.episode = episodes(work, dtype)
        self.plain = plain_conv4(**shape, weights=self.theta.weights)

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


def episodes(work: Work, dtype: torch.dtype) -> Episode:
    """1-shot episodes of noise."""
    labels = torch.arange(work.n_ways)
    support_y = labels.expand(work.tasks, -1)
    query_y = labels.repeat(work.n_queries).expand(work.tasks, -1)
    size = (1, work.image_size, work.image_size)
    support_x, query_x = (torch.randn(*y.shape, *size, dtype=dtype) for y in (support_y, query_y))
    return Episode(support_x, support_y, query_x, query_y, torch.arange(work.tasks))


def libraries(steps: int) -> dict[str, QueryLoss]:
    """The packages to compare with."""
    return {
        "higher": by_higher(steps, RATE),
        "torchopt": by_torchopt(steps, lambda torchopt, net: torchopt.MetaSGD(net, lr=RATE)),
    }


def run(work: Work) -> Callable[[int], dict[str, Any]]:
    """A benchmark case; the reference is the faster of the two packages."""

    def figures(rounds: int) -> dict[str, Any]:
        step = MetaGradient(work)
        found = {
            name: compare(step.ours, partial(step.by, query_loss), rounds).figures()
            for name, query_loss in libraries(work.steps).items()
        }
        best = min(found, key=lambda name: found[name]["ratio"]["median"])
        return found[best] | {"faster_package": best, "packages": found}

    return figures
