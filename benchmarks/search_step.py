"""A, B: one outer step of MetaNAS, against a loop over modules (``module_loop.py``)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import torch

from benchmarks.module_loop import Settings, reptile_gradient
from benchmarks.plain_network import PlainSupernet
from benchmarks.timing import Comparison, compare, seconds
from metanas_pl.config import MetaConfig, NASConfig, from_plain
from metanas_pl.data.episodes.dataset import Episode
from metanas_pl.engine.episode_learner import EpisodeLearner
from metanas_pl.search_spaces.cells.supernet import Supernet
from metanas_pl.search_spaces.costs import measure
from metanas_pl.types import OuterProgress, Theta

SCHEDULE = {"t_max": 1.0, "t_min": 0.05, "temperature_schedule": "linear", "threshold": 0.01}
SCHEDULE |= {"outer_t_factor": 1.0, "sampled_options": None, "alpha_images": "support"}
REPTILE = {
    "meta_gradient": "metanas_pl.algorithms.meta.meta_gradients.reptile",
    "gradient_order": "displacement",
    "head": "learned",
}


class Size(NamedTuple):
    """Channels of the cells, cells, ways (as many images are a minibatch), tasks, inner steps."""

    channels: int
    n_cells: int
    n_ways: int
    tasks: int = 10
    steps: int = 5


PAPER, COMPACT = Size(28, 4, 20), Size(8, 4, 5)


class SearchStep:
    """One meta-batch of random images, and both ways to its meta-gradient."""

    def __init__(self, size: Size, dtype: torch.dtype = torch.float32, **meta: Any) -> None:
        torch.manual_seed(0)
        self.size = size
        self.space = Supernet(
            in_channels=1,
            n_ways=size.n_ways,
            channels=size.channels,
            n_cells=size.n_cells,
            n_nodes=3,
            reductions=range(1, size.n_cells, 2),
        ).to(dtype)
        alphas = {k: a.to(dtype) for k, a in self.space.alphas().items()}
        weights = {k: p.detach().clone() for k, p in self.space.named_parameters()}
        self.theta, self.nas = Theta(weights, alphas), from_plain(NASConfig, SCHEDULE)
        inner = {"optimizer": "adam", "steps": size.steps, "weight_lr": 5e-3, "alpha_lr": 5e-3}
        inner |= {"head_lr": None, "alpha_weight_decay": 0.0}
        self.meta = from_plain(MetaConfig, {**REPTILE, "inner": inner, **meta})
        self.learner = EpisodeLearner(self.space, self.nas, self.meta)
        self.episode = random_episode(size, dtype)
        sizes = size.n_ways, size.channels, size.n_cells, 3
        self.plain = PlainSupernet(*sizes).to(dtype)
        self.inputs = {"seed": 0, "mask": {}}

    def ours(self) -> Theta:
        """The meta-gradient by the framework, the query loss for its log included."""
        return self.learner.meta_gradient(self.theta, self.episode, **self.inputs)[0].gradient

    def reference(self) -> Theta:
        """The same by a loop over modules."""
        inner = self.meta.inner
        schedule = self.learner.training_schedule(OuterProgress())
        temps = schedule.temperatures
        tasks = self.learner.prepare(self.theta, self.episode, 0, schedule, None)
        rates = inner.weight_lr, inner.alpha_lr, inner.alpha_weight_decay
        settings = Settings(*rates, temps, self.nas.threshold, inner.steps)
        return reptile_gradient(self.plain, self.theta, tasks, settings)

    def useful_flops(self) -> float:
        """Of all inner steps: forward, and backward once for activations and once for weights.

        The alpha-step needs no gradient of the weights, so both steps together are five forward passes.
        """
        image = measure(self.space, "flops", (1, 28, 28)).largest
        size = self.size
        return 5 * image * size.n_ways * size.tasks * size.steps


def random_episode(size: Size, dtype: torch.dtype) -> Episode:
    """1-shot episodes of noise with one query a class."""
    labels = torch.arange(size.n_ways).expand(size.tasks, -1)
    support, query = torch.randn(2, size.tasks, size.n_ways, 1, 28, 28, dtype=dtype)
    return Episode(support, labels, query, labels, torch.arange(size.tasks))


def run(size: Size, long: bool = False) -> Callable[[int], dict[str, Any]]:
    """A benchmark case: ``rounds -> figures``."""

    def figures(rounds: int) -> dict[str, Any]:
        step = SearchStep(size)
        times: Comparison = compare(step.ours, step.reference, rounds, long=long)
        found = times.figures()
        rate = step.useful_flops() / found["ours_s"]["median"]
        return found | {"gflops": rate / 1e9, "share_of_matmul": rate / matmul_rate()}

    return figures


def matmul_rate(n: int = 1024) -> float:
    """FLOPs a second of a float32 matrix product on this machine, the best of ten."""
    a, b = torch.randn(2, n, n)
    return 2 * n**3 / min(seconds(lambda: a @ b) for _ in range(10))
