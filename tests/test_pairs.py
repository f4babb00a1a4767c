"""Every meta-learner with every NAS method: what moves, what does not, what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from omegaconf import OmegaConf

from metanas_pl.algorithms.heads import HEAD
from metanas_pl.cli import app
from metanas_pl.config import MetaConfig, NASConfig, from_plain
from metanas_pl.config.compatibility import RULES, check_pair
from metanas_pl.engine.inner_loop_factory import STEP, affine_norms
from metanas_pl.module import MetaNASModule
from metanas_pl.search_spaces import base
from metanas_pl.search_spaces.cells import compiled
from metanas_pl.search_spaces.genotypes.genotype import Genotype
from metanas_pl.types import OuterProgress, Theta
from tests.conftest import random_episode

METAS = (
    "reptile fomaml maml anil boil meta_sgd mamlpp imaml protonet protomaml"  # noqa: SIM905
).split()
NASES = (
    "darts_first_order darts_second_order darts_second_order_fd joint gdas snas drnas "  # noqa: SIM905
    "pc_darts fair_darts darts_minus sdarts tse_darts path fixed random"
).split()
REFUSED = {
    ("protonet", nas): "looks at the w-step"
    for nas in ("darts_second_order", "darts_second_order_fd", "sdarts", "tse_darts")
}
KINDS = (  # what a NAS method does that a meta-learner could stumble over
    ("darts_first_order", "joint", "pc_darts", "darts_minus"),  # softmax, first order
    ("gdas", "snas", "drnas", "fair_darts"),  # drawn weights, gates
    ("darts_second_order", "darts_second_order_fd", "sdarts", "tse_darts"),  # looks at the w-step
)


def covering_design() -> set[tuple[str, str]]:
    """Every NAS method with FOMAML, and every other meta-learner with one method of each kind, in turn."""
    others = [meta for meta in METAS if meta != "fomaml"]
    pairs = {("fomaml", nas) for nas in NASES} | {("maml", "fixed"), ("reptile", "random")}
    pairs |= {("maml", "path"), ("reptile", "path")}
    return pairs | {(meta, kind[i % 4]) for kind in KINDS for i, meta in enumerate(others)}


DESIGN = covering_design() | set(REFUSED)


def mark(meta: str, nas: str) -> Any:
    """Every method once by default, the rest of the design in CI, the rest of all pairs at night."""
    if (meta, nas) not in DESIGN:
        return pytest.mark.nightly
    return () if meta == "fomaml" or nas in KINDS[0] else pytest.mark.slow


PAIRS = [pytest.param(meta, nas, marks=mark(meta, nas)) for meta in METAS for nas in NASES]
SPACE: dict[str, Any] = {
    "channels": 4,
    "n_cells": 2,
    "n_nodes": 1,
    "reductions": [1],
    "stem_stride": 2,
    "primitives": ["max_pool_3x3", "skip_connect", "conv_3x3"],
}
INNER = {
    "optimizer": "sgd",
    "weight_lr": 0.1,
    "head_lr": 1.0,
    "alpha_lr": 0.1,
    "steps": 2,
    "test_steps": 3,
    "test_arch_steps": 3,
    "alpha_weight_decay": 0.0,
}


def values(group: str, name: str) -> dict[str, Any]:
    loaded = OmegaConf.to_container(OmegaConf.load(Path(app.CONFIG_DIR, group, f"{name}.yaml")))
    assert isinstance(loaded, dict)
    return loaded  # type: ignore[return-value]


def make(meta: str, nas: str, tmp_path: Path, **more: Any) -> MetaNASModule:
    torch.manual_seed(0)
    nas_values, meta_values, space = values("nas", nas), values("meta", meta), dict(SPACE)
    nas_values |= {"t_max": 1.0, "t_min": 1.0, "outer_t_factor": 1.0, "threshold": 0.0}
    if nas != "path":
        nas_values["sampled_options"] = None
    if nas == "pc_darts":
        nas_values["partial_channels"] = 2
    if nas == "fixed":
        cell = [[("conv_3x3", 0), ("skip_connect", 1)]]
        Genotype(cell, cell).save(tmp_path / "genotype.json")
        space["genotype"] = str(tmp_path / "genotype.json")
    meta_values["inner"] = {**meta_values.get("inner", {}), **INNER}
    return MetaNASModule(space, nas_values, meta_values | more, image_shape=(1, 12, 12), n_ways=3)


def two_outer_steps(module: MetaNASModule) -> tuple[Theta, Theta, list[float]]:
    """Theta before and after two steps of plain descent, and the query losses."""
    start = theta = module.theta()
    losses = []
    for step in range(2):
        episode = random_episode(tasks=2, seed=step)
        result, _ = module.learner.meta_gradient(
            theta, episode, seed=0, mask=module.mask(), progress=OuterProgress(step, 4)
        )
        losses.append(float(result.loss))
        theta = Theta(
            *(
                {k: v - 0.1 * gradient[k] for k, v in part.items()}
                for part, gradient in zip(theta, result.gradient, strict=True)
            )
        )
    return start, theta, losses


def moves(meta: str, nas: str, module: MetaNASModule, part: str, name: str) -> bool | None:
    """Whether two outer steps should change this tensor; None where the draw decides."""
    config = module.meta
    if part == "weights":
        if name in HEAD:
            return config.head == "learned"
        if config.step_norms and name in affine_norms(module.space):
            return False  # each inner step has its own
        return None if nas in ("gdas", "random", "path") else True
    alpha = name.removeprefix("rate:")
    if part == "alphas" or alpha in module.alphas:
        decided = alpha.endswith(("pair_0", "edge_0")) and module.alphas[alpha].numel() == 1
        if nas == "path":  # in a first step no loss is usual, and there is nothing to compare with
            return None if alpha != name else False
        return not decided and nas != "random"
    if nas in ("gdas", "random", "path"):
        return None
    if meta == "mamlpp" and not name.startswith(STEP):
        return None  # rates of what the other inner step reads
    return True


def test_the_design_covers_what_can_clash() -> None:
    design = covering_design()
    assert {nas for kind in KINDS for nas in kind} | {"fixed", "random", "path"} == set(NASES)
    for meta in METAS:
        assert all(any((meta, nas) in design for nas in kind) for kind in KINDS)
    for nas in NASES:
        orders = {values("meta", meta)["gradient_order"] for meta in METAS if (meta, nas) in design}
        assert len(orders) > 1, f"{nas} meets meta-learners of one gradient order"


@pytest.mark.parametrize(("meta", "nas"), PAIRS)
def test_pair(meta: str, nas: str, tmp_path: Path) -> None:
    if (meta, nas) in REFUSED:
        with pytest.raises(ValueError, match=REFUSED[meta, nas]):
            make(meta, nas, tmp_path)
        return
    module = make(meta, nas, tmp_path)
    before, after, losses = two_outer_steps(module)
    assert all(torch.isfinite(torch.tensor(losses)))
    drawn = []  # whether what the draw decides moved
    for part in Theta._fields:
        for name, old in getattr(before, part).items():
            new = getattr(after, part)[name]
            assert new.isfinite().all(), name
            expected = moves(meta, nas, module, part, name)
            if expected is None:
                drawn.append(not torch.equal(old, new))
            if expected is True:
                assert not torch.equal(old, new), f"{part} {name} stays"
            if expected is False:
                assert torch.allclose(old, new, rtol=0, atol=1e-6), f"{part} {name} moves"
    assert any(drawn) or not drawn, "nothing moves"


@pytest.mark.parametrize(
    ("meta", "nas"),
    [
        ("maml", "gdas"),
        ("protonet", "pc_darts"),
        ("reptile", "fair_darts"),
        pytest.param("mamlpp", "sdarts", marks=pytest.mark.slow),
        pytest.param("imaml", "darts_second_order", marks=pytest.mark.slow),
        pytest.param("boil", "darts_minus", marks=pytest.mark.slow),
        *(
            pytest.param(meta, nas, marks=pytest.mark.nightly)
            for meta, nas in (
                ("meta_sgd", "drnas"),
                ("protomaml", "snas"),
                ("anil", "tse_darts"),
                ("fomaml", "random"),
                ("maml", "darts_second_order_fd"),
                ("fomaml", "joint"),
            )
        ),
    ],
)
def test_every_backend_gives_the_same_meta_gradient(meta: str, nas: str, tmp_path: Path) -> None:
    gradients = []
    ways = ("loop", None), ("vmap", None), ("vmap", 1), ("grouped", None), ("grouped", 1)
    for backend in ({"backend": name, "chunk_size": chunk} for name, chunk in ways):
        module = make(meta, nas, tmp_path, **backend).double()
        episode = random_episode(tasks=3)
        double = [x.double() if x.is_floating_point() else x for x in episode]
        result, _ = module.learner.meta_gradient(
            module.theta(),
            type(episode)(*double),
            seed=0,
            mask=module.mask(),
            progress=OuterProgress(60, 100),
        )
        gradients.append(result.gradient)
    tolerance = (
        1e-5 if nas in ("darts_second_order_fd", "gdas", "snas", "drnas", "sdarts") else 1e-9
    )
    for other in gradients[1:]:
        torch.testing.assert_close(other, gradients[0], rtol=tolerance, atol=tolerance)


OFTEN = ("darts_first_order", "pc_darts", "gdas", "fair_darts", "darts_second_order", "random")


@pytest.mark.parametrize(
    "nas",
    [
        pytest.param(nas, marks=() if nas in OFTEN else pytest.mark.nightly)
        for nas in NASES
        if nas != "fixed"
    ],
)
def test_primitives_without_weight_are_not_computed_and_not_missed(
    nas: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Tasks whose architectures differ, at thresholds that switch off; against computing everything."""
    monkeypatch.setattr(
        compiled, "library", lambda: None
    )  # it calls no module that could be counted
    meta, gradients, calls = "protomaml", [], []
    for skip in (True, False):
        if not skip:
            everything = lambda f: [[True] * f.shape[-1]] * f.shape[-2]  # noqa: E731
            monkeypatch.setattr(base, "nonzero", everything)
        module = make(meta, nas, tmp_path).double()
        module.nas.threshold = module.nas.test_threshold = 0.2
        count: list[int] = []
        for primitive in (p for c in module.space.cells for e in c.nodes[0] for p in e):  # type: ignore[union-attr, index]
            primitive.register_forward_hook(lambda *_, count=count: count.append(1))
        theta = module.theta()
        theta = theta._replace(alphas={k: 2 * torch.randn_like(a) for k, a in theta.alphas.items()})
        episode = random_episode(tasks=3)
        double = [x.double() if x.is_floating_point() else x for x in episode]
        inputs = {"seed": 0, "mask": module.mask()}
        result, _ = module.learner.meta_gradient(theta, type(episode)(*double), **inputs)
        tested = module.learner.evaluate(
            theta, type(episode)(*double), plan=module.evaluation, **inputs
        )
        gradients.append((result.gradient, tested))
        calls.append(len(count))
    torch.testing.assert_close(*gradients, rtol=1e-12, atol=1e-12)
    assert calls[0] < calls[1]


CASES: list[tuple[dict[str, Any], dict[str, Any]]] = [
    ({"needs_weight_step": True}, {"adapts": "none", "head": "prototypes"}),
    ({"anneals": False}, {}),
    ({"step": "joint", "perturb": "metanas_pl.algorithms.nas.perturbations.random_ball"}, {}),
    ({}, {"adapts": "body"}),
    ({}, {"head": "prototypes", "adapts": "head"}),
    ({}, {"head": "prototypes", "inner": {"batch_size": 5}}),
    ({}, {"adapts": "none", "head": "prototypes", "gradient_order": "displacement"}),
    ({}, {"rates": "metanas_pl.algorithms.inner_rates.per_parameter"}),
    ({"choose_among": 2, "alpha_signal": "path_loss", "sampled_options": 1}, {}),
    ({"choose_among": 2}, {"inner": {"state": "carried"}}),
]


@pytest.mark.parametrize("number", range(len(RULES)))
def test_each_rule_refuses_its_case_with_its_reason(number: int) -> None:
    nas, meta = CASES[number]
    with pytest.raises(ValueError, match="nas=darts_first_order with meta=fomaml: ") as error:
        check_pair(from_plain(NASConfig, nas), from_plain(MetaConfig, meta))
    assert RULES[number].reason in str(error.value)


def test_an_empty_head_must_adapt_with_any_body() -> None:
    meta = {"adapts": "none", "gradient_order": "exact"}
    with pytest.raises(ValueError, match="an empty head that does not adapt"):
        check_pair(NASConfig(), from_plain(MetaConfig, meta))
    check_pair(NASConfig(), from_plain(MetaConfig, meta | {"head": "prototypes"}))


def test_the_lists_name_every_configuration_file() -> None:
    for group, names in (("meta", METAS), ("nas", NASES)):
        assert {p.stem for p in Path(app.CONFIG_DIR, group).glob("*.yaml")} == set(names)
