"""Every backend and any chunk size give the same results."""

from __future__ import annotations

import pytest
import torch

from metanas_pl.algorithms.parallel.mapping import map_tasks
from tests.conftest import RandomEpisode, make_module, random_episode


@pytest.mark.parametrize(("meta", "drop_path"), [("reptile", 0.3), ("fomaml", 0.0)])
def test_meta_gradient_is_the_same_on_every_backend(meta: str, drop_path: float) -> None:
    episode = RandomEpisode(*(t.double() if t.is_floating_point() else t for t in random_episode()))
    inner = {"steps": 3, "batch_size": 4, "drop_path": drop_path, "alpha_lr": 0.05}
    results = []
    for backend, chunk in (("loop", None), ("vmap", None), ("vmap", 2), ("grouped", 2)):
        torch.manual_seed(0)
        changes = {"inner": inner, "backend": backend, "chunk_size": chunk}
        module = make_module(meta, meta=changes, space={"n_nodes": 1}).double()
        result, _ = module.learner.meta_gradient(
            module.theta(), episode, seed=1, mask=module.mask()
        )
        results.append(result)
    for other in results[1:]:
        torch.testing.assert_close(other.loss, results[0].loss, rtol=1e-9, atol=1e-9)
        for mine, reference in zip(other.gradient, results[0].gradient, strict=True):
            torch.testing.assert_close(mine, reference, rtol=1e-7, atol=1e-9)


def test_shared_leaves_and_unknown_backend() -> None:
    tree = (torch.arange(4.0), None)
    for backend in ("loop", "vmap"):
        doubled = map_tasks(lambda pair: pair[0] * 2, tree, backend)
        assert doubled.tolist() == [0, 2, 4, 6]
    with pytest.raises(ValueError, match="backend 'pool' is unknown"):
        map_tasks(lambda x: x, torch.ones(2), "pool")
