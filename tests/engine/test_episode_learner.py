"""What MAML costs: time beside its first-order form, and no memory once a step is over."""

from __future__ import annotations

import gc
import resource
import weakref
from pathlib import Path
from statistics import median
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils import _pytree as pytree

from metanas_pl.config import MetaConfig, NASConfig, from_plain
from metanas_pl.engine.episode_learner import EpisodeLearner
from metanas_pl.search_spaces.backbones import Conv4
from metanas_pl.types import Theta
from tests.conftest import random_episode

BACKENDS = ("vmap", "loop")


class Step:
    """One meta-gradient of a rule on Conv4: 5 inner SGD steps, 5-way 2-shot, 2 tasks of 16x16 pixels."""

    def __init__(self, rule: str, backend: str = "vmap", **inner: Any) -> None:
        space = Conv4(in_channels=1, n_ways=5, channels=16, image_size=16)
        home = "implicit" if rule == "imaml" else "meta_gradients"
        meta = {
            "meta_gradient": f"metanas_pl.algorithms.meta.{home}.{rule}",
            "head": "learned",
            "backend": backend,
            "inner": {"optimizer": "sgd", "weight_lr": 0.1, "steps": 5, **inner},
        }
        nas = NASConfig(search=False, adapts_alphas=False)
        self.learner = EpisodeLearner(space, nas, from_plain(MetaConfig, meta))
        self.space, self.episode = space, random_episode(2, ways=5, queries=5, size=16)

    def __call__(self) -> Any:
        theta = Theta({k: p.detach() for k, p in self.space.named_parameters()}, {})
        return self.learner.meta_gradient(theta, self.episode, seed=0, mask={})


def user_seconds(step: Step) -> float:
    """CPU time of one step in user mode, which other processes of a busy machine do not lengthen."""
    begin = resource.getrusage(resource.RUSAGE_SELF).ru_utime
    step()
    return resource.getrusage(resource.RUSAGE_SELF).ru_utime - begin


def test_second_order_maml_costs_a_small_multiple_of_first_order() -> None:
    """The aim is 3 times at most, and about 2 are measured; 5 leaves room for a bad moment."""
    first, second = Step("fomaml"), Step("maml")
    ratios = []
    for _ in range(6):  # interleaved, so that both meet the same machine
        seconds = user_seconds(first)
        ratios.append(user_seconds(second) / seconds)
    assert median(ratios[1:]) < 5, ratios


def live_tensors() -> int:
    """Tensors that Python can reach."""
    gc.collect()
    return sum(issubclass(type(thing), Tensor) for thing in gc.get_objects())


def megabytes() -> float:
    """Resident memory of this process, which holds what a graph keeps out of Python's sight."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * resource.getpagesize() / 2**20


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("rule", ["reptile", "fomaml", "maml", "mamlpp", "imaml"])
def test_no_graph_outlives_a_meta_gradient(rule: str, backend: str) -> None:
    proximal = {"proximal": 0.5} if rule == "imaml" else {}
    step = Step(rule, backend, **proximal)
    for leaf in pytree.tree_leaves(step()):
        if isinstance(leaf, Tensor):
            assert leaf.grad_fn is None and not leaf.requires_grad
            assert type(leaf) is Tensor and not torch._C._functorch.is_functorch_wrapped_tensor(
                leaf
            )
    assert all(p.grad is None for p in step.space.parameters())


def test_theta_and_results_are_freed_with_their_last_name() -> None:
    step = Step("maml")
    result, _ = step()
    watched = [weakref.ref(g) for g in result.gradient.weights.values()]
    del result
    assert all(reference() is None for reference in watched)


@pytest.mark.slow
@pytest.mark.parametrize("backend", BACKENDS)
def test_memory_is_flat_over_twenty_steps(backend: str) -> None:
    step = Step("maml", backend, steps=3)
    for _ in range(3):
        step()
    tensors, memory = live_tensors(), megabytes()
    for _ in range(20):
        step()
    assert live_tensors() == tensors
    assert megabytes() - memory < 10  # 20 graphs hold several times that
