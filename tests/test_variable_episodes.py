"""Episodes of different sizes side by side: each gets exactly what it gets alone, in every backend."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils import _pytree as pytree

from metanas_pl.config import EvaluationConfig
from metanas_pl.data.episodes.dataset import Episode, collate
from metanas_pl.engine.metrics import pixel_nearest_neighbour
from metanas_pl.module import MetaNASModule
from metanas_pl.types import OuterProgress
from tests.algorithms.parallel.test_backends import SPACES
from tests.conftest import make_module

# shots of each class, queries of each class
SIZES = (([2, 2, 2, 2], [2, 2, 2, 2]), ([1, 3], [3, 1]), ([3, 1, 2], [1, 1, 2]))
INNER = {"steps": 2, "optimizer": "sgd", "weight_lr": 0.05, "alpha_lr": 0.1}


def uneven_episodes(sizes: Any = SIZES) -> list[Episode]:
    """Double-precision noise about a pattern of each class."""
    generator = torch.Generator().manual_seed(0)

    def draw(patterns: Tensor, counts: list[int]) -> tuple[Tensor, Tensor]:
        y = torch.tensor([k for s in range(max(counts)) for k, n in enumerate(counts) if s < n])
        noise = torch.randn((len(y), *patterns.shape[1:]), generator=generator, dtype=torch.float64)
        return patterns[y] + 0.5 * noise, y

    episodes = []
    for index, (shots, queries) in enumerate(sizes):
        patterns = torch.randn(len(shots), 1, 16, 16, generator=generator, dtype=torch.float64)
        episodes.append(
            Episode(*draw(patterns, shots), *draw(patterns, queries), torch.tensor(index + 5))
        )
    return episodes


def module_of(rule: str = "fomaml", **changes: Any) -> MetaNASModule:
    torch.manual_seed(0)
    meta = {**changes.pop("meta", {})}
    meta["inner"] = INNER | meta.get("inner", {})
    module = make_module(rule, meta=meta, image_shape=(1, 16, 16), n_ways=4, **changes).double()
    assert isinstance(module, MetaNASModule)
    return module


def gradient(module: MetaNASModule, batch: Episode) -> Any:
    """Meta-gradient, loss and accuracy."""
    result, _ = module.learner.meta_gradient(module.theta(), batch, seed=1, mask=module.mask())
    return result[:3]


def evaluation(module: MetaNASModule, batch: Episode) -> dict[str, Any]:
    """Results of an evaluation, by name, with a task dimension."""
    result = module.learner.evaluate(
        module.theta(), batch, seed=1, mask=module.mask(), plan=EvaluationConfig()
    )
    return result._asdict()


def assert_close(found: Any, expected: Any) -> None:
    torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-9)


def mean_of(parts: list[Any]) -> Any:
    return pytree.tree_map(lambda *leaves: torch.stack(leaves).mean(0), *parts)


def one_by_one() -> list[Episode]:
    """Each episode in a batch of its own, which nothing fills up."""
    return [collate([episode]) for episode in uneven_episodes()]


@pytest.mark.slow
@pytest.mark.parametrize("name", SPACES)
def test_every_space_and_backend(name: str) -> None:
    def module(backend: str) -> MetaNASModule:
        inner = {"steps": 1, "test_steps": 2}
        return module_of(meta={"backend": backend, "inner": inner}, **SPACES[name])

    loop, together = module("loop"), collate(uneven_episodes())
    gradients = mean_of([gradient(loop, batch) for batch in one_by_one()])
    singles = [evaluation(loop, batch) for batch in one_by_one()]
    results = pytree.tree_map(lambda *leaves: torch.cat(leaves), *singles)
    for backend in ("loop", "vmap", "grouped"):
        assert_close(gradient(module(backend), together), gradients)
        assert_close(evaluation(module(backend), together), results)


STEPS = "metanas_pl.algorithms.nas.architecture_gradients."
METHODS: dict[str, dict[str, Any]] = {
    "reptile": {},
    "maml": {},
    "mamlpp": {"meta": {"step_norms": True}},
    "imaml": {"meta": {"inner": {"proximal": 1.0}}},
    "maml from class means": {"meta": {"head": "prototype_init"}},
    "maml without steps": {
        "meta": {"head": "prototypes", "adapts": "none", "gradient_order": "exact"}
    },
    "maml, transductive": {"meta": {"query_norm": "transductive"}},
    "reptile in minibatches": {"meta": {"inner": {"batch_size": 5, "test_batch_size": 3}}},
    "fomaml with drop path": {"meta": {"inner": {"drop_path": 0.3, "batch_size": 7}}},
    "fomaml, second order": {"nas": {"alpha_gradient": STEPS + "second_order"}},
    "fomaml, joint": {"nas": {"step": "joint"}},
    "reptile with adam": {"meta": {"inner": {"optimizer": "adam", "weight_lr": 1e-3}}},
    "maml in chunks": {"meta": {"chunk_size": 2}},
}


@pytest.mark.parametrize("name", METHODS)
def test_every_kind_of_method(name: str) -> None:
    module = module_of(name.partition(" ")[0].rstrip(","), space={"n_nodes": 1}, **METHODS[name])
    alone = mean_of([gradient(module, batch) for batch in one_by_one()])
    assert_close(gradient(module, collate(uneven_episodes())), alone)


def test_what_fills_up_does_not_matter() -> None:
    module, batch = module_of(), collate(uneven_episodes())
    other = batch._replace(
        support_x=batch.support_x.masked_fill((batch.support_y < 0)[..., None, None, None], 3.0),
        query_x=batch.query_x.masked_fill((batch.query_y < 0)[..., None, None, None], -7.0),
    )
    assert_close(gradient(module, other), gradient(module, batch))


def test_episodes_of_one_size_take_the_plain_way() -> None:
    """No masks, so nothing is slower: they are None."""
    module = module_of()
    even = collate(uneven_episodes([([2, 2], [1, 1])] * 2))
    schedule = module.learner.training_schedule(OuterProgress())
    tasks = module.learner.prepare(module.theta(), even, 0, schedule, None)
    assert tasks.support.real is tasks.support.ways is tasks.query_real is None
    uneven = collate(uneven_episodes())
    tasks = module.learner.prepare(module.theta(), uneven, 0, schedule, None)
    assert tasks.n_ways == 4 and tasks.support.ways is not None
    assert tasks.support.ways.sum(1).tolist() == [4, 2, 3]
    assert tasks.support.real is not None and tasks.support.real.sum(1).tolist() == [8, 4, 6]


def test_a_learned_head_refuses_ways_that_vary() -> None:
    module = module_of(meta={"head": "learned"})
    with pytest.raises(
        ValueError, match="data.n_ways=2 to 4, but the meta-learned head has 4 ways"
    ):
        gradient(module, collate(uneven_episodes()))


def test_shots_may_vary_with_a_learned_head() -> None:
    module = module_of("maml", meta={"head": "learned"})
    episodes = uneven_episodes([([2, 2, 2, 2], [1] * 4), ([1, 3, 1, 2], [1] * 4)])
    parts = [gradient(module, collate([episode])) for episode in episodes]
    found = gradient(module, collate(episodes))
    assert found[0].weights["head.bias"].abs().max() > 1e-6
    assert_close(found, mean_of(parts))


def test_a_nearest_neighbour_on_pixels_sees_images_only() -> None:
    episodes = uneven_episodes()
    alone = [pixel_nearest_neighbour(collate([episode])) for episode in episodes]
    assert_close(pixel_nearest_neighbour(collate(episodes)), torch.cat(alone))
