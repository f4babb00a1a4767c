"""The backends: chosen by a rule, and equal in every space."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch

from metanas_pl.algorithms.parallel.backends import MOST_NUMBERS, choose_backend, tasks_at_once
from metanas_pl.config import CellSpaceConfig, plain
from metanas_pl.search_spaces.backbones import Conv4
from metanas_pl.search_spaces.base import SearchSpace
from tests.conftest import TINY_SPACE, make_module, random_episode

BUILD, TNAS = "metanas_pl.search_spaces.builders.", "metanas_pl.search_spaces.tnas.build"
FIXED = {"search": False, "adapts_alphas": False}
SPACES: dict[str, dict[str, Any]] = {
    "metanas": {"space": {"n_nodes": 1}},
    "pc_darts and darts_minus": {
        "space": {"pair_inputs": False, "n_nodes": 1},
        "nas": {"partial_channels": 2, "auxiliary_skip": 1.0},
    },
    "a genotype": {"space": {"genotype": "metanas_in_v2"}, "nas": FIXED},
    "tnas": {"space": {**plain(CellSpaceConfig()), **TINY_SPACE, "n_nodes": 1, "builder": TNAS}},
    "nasbench201": {
        "space": {"builder": BUILD + "nasbench201", "channels": 2, "cells_per_stage": 1}
    },
    "conv4": {"space": {"builder": BUILD + "conv4", "channels": 3}, "nas": FIXED},
    "strided": {
        "space": {"builder": BUILD + "conv4", "channels": 3, "strided": True},
        "nas": FIXED,
    },
    "resnet12": {"space": {"builder": BUILD + "resnet12", "channels": [2, 3, 4, 5]}, "nas": FIXED},
}
WAYS: list[tuple[str, int | None]] = [
    ("loop", None),
    ("vmap", None),
    ("grouped", None),
    ("grouped", 1),
]


def trained(name: str, dtype: torch.dtype, backend: str, chunk_size: int | None) -> dict[str, Any]:
    """Everything that is learned, after two outer steps of gradient descent."""
    torch.manual_seed(0)
    inner = {"steps": 1, "optimizer": "sgd", "weight_lr": 0.01, "alpha_lr": 0.05, "drop_path": 0.2}
    meta = {"backend": backend, "chunk_size": chunk_size, "inner": inner}
    module = make_module("fomaml", meta=meta, image_shape=(1, 16, 16), **SPACES[name]).to(dtype)
    theta = module.theta()
    for step in range(2):
        episode = random_episode(tasks=2, size=16, seed=step)
        episode = type(episode)(*(x.to(dtype) if x.is_floating_point() else x for x in episode))
        result, _ = module.learner.meta_gradient(theta, episode, seed=step, mask=module.mask())
        pairs = zip(theta, result.gradient, strict=True)
        theta = type(theta)(*({k: p - 0.1 * g[k] for k, p in part.items()} for part, g in pairs))
    return {**theta.weights, **theta.alphas}


SINGLE = [
    pytest.param(name, torch.float32, 1e-5, marks=() if name == "metanas" else pytest.mark.nightly)
    for name in SPACES
]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "dtype", "tolerance"), [*((name, torch.float64, 1e-9) for name in SPACES), *SINGLE]
)
def test_equal_after_two_outer_steps(name: str, dtype: torch.dtype, tolerance: float) -> None:
    first, *others = (trained(name, dtype, *way) for way in WAYS)
    for other in others:
        torch.testing.assert_close(other, first, rtol=tolerance, atol=tolerance)


def conv4() -> Conv4:
    return Conv4(in_channels=1, n_ways=5, channels=64, image_size=28)


def test_the_rule() -> None:
    able, other = conv4(), SimpleNamespace(supports_grouped=False)
    assert choose_backend("auto", able) == "grouped"
    assert choose_backend("auto", other) == "vmap"  # type: ignore[arg-type]
    assert choose_backend("loop", able) == "loop"
    with pytest.raises(ValueError, match="meta.backend=grouped: SimpleNamespace does not compute"):
        choose_backend("grouped", other)  # type: ignore[arg-type]


def test_tasks_at_once_fit_into_a_cache_or_are_as_configured() -> None:
    space = conv4()
    most = MOST_NUMBERS // (64 * 5 * 784)
    assert tasks_at_once(space, None, 10 * most, 5, 784, "cpu") == most
    assert tasks_at_once(space, None, most + 1, 5, 784, "cpu") == (most + 2) // 2  # in even shares
    assert tasks_at_once(space, None, 4, 10**6, 784, "cpu") == 1
    assert tasks_at_once(space, 3, 4, 5, 784, "cpu") == 3
    assert tasks_at_once(space, None, 4, 5, 784, "cuda") is None


def test_a_stride_at_the_beginning_leaves_room_for_more_tasks() -> None:
    plain, compact = (make_module(space={**TINY_SPACE, "stem_stride": s}).space for s in (1, 2))
    most = MOST_NUMBERS // (12 * 5 * 784)
    assert tasks_at_once(plain, None, 100 * most, 5, 784, "cpu") == most
    assert tasks_at_once(compact, None, 100 * most, 5, 784, "cpu") > 3 * most


def test_a_space_that_takes_one_task_at_a_time_says_so() -> None:
    assert not SearchSpace.supports_grouped
