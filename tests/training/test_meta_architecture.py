"""What rests, and what meta-pruning switches off."""

from __future__ import annotations

import pytest
import torch

from tests.conftest import TINY_SPACE, loader, make_module, trainer
from tests.runs import assert_equal

BY_WEIGHT = {"meta_prune_threshold": 0.9, "meta_prune_from": 0.0, "meta_prune_deviation": 0.0}
"""Meta-pruning that asks for no evidence."""


def test_warm_up_moves_weights_only_then_alphas() -> None:
    module = make_module(meta={"outer": {"warm_up_steps": 2}})
    start = {k: a.clone() for k, a in module.alphas.items()}
    trainer(max_steps=2).fit(module, loader())
    assert all(torch.equal(start[k], a) for k, a in module.alphas.items())
    assert all(a.grad is None for a in module.alphas.values())
    trainer(max_steps=4).fit(module, loader())  # a new trainer counts from zero again
    assert any(not torch.equal(start[k], a) for k, a in module.alphas.items())


def test_what_rests_has_no_state_in_the_outer_optimizer() -> None:
    """Else Adam's bias correction would make the first steps of the alphas too long."""
    outer = {"optimizer": "adam", "weight_lr": 0.01, "alpha_lr": 0.05, "warm_up_steps": 2}
    module = make_module("fomaml", meta={"outer": outer})
    run = trainer(max_steps=2)
    run.fit(module, loader())
    known = run.optimizers[0].state
    assert not any(alpha in known for alpha in module.alphas.values())
    assert not any(parameter in known for parameter in module.space.head.parameters())
    start = {k: a.detach().clone() for k, a in module.alphas.items()}
    run = trainer(max_steps=3)
    run.fit_loop.epoch_loop.batch_progress.reset()
    run.fit(module, loader())
    moved = [(a - start[k]).abs().max() for k, a in module.alphas.items() if a.shape[-1] > 1]
    torch.testing.assert_close(
        torch.stack(moved), torch.full((len(moved),), 0.05), rtol=0.01, atol=0
    )


@pytest.mark.parametrize(("step", "pruned"), [(2, False), (4, True)])
def test_no_meta_pruning_before_the_alphas_have_moved(step: int, pruned: bool) -> None:
    nas = {"meta_prune_interval": 2, "t_min": 1e-4, **BY_WEIGHT}
    module = make_module(nas=nas, meta={"outer": {"warm_up_steps": 2}})
    trainer(max_steps=step).fit(module, loader())
    operations = module.space.of_kind("operation", module.mask())
    assert all(mask.all() for mask in operations.values()) != pruned


def test_meta_pruning_compares_the_weights_of_the_method() -> None:
    """Gates of FairDARTS do not compete: three that are open stay, where a softmax would leave one."""
    gates = "metanas_pl.algorithms.nas.sampled_relaxations.sigmoid"
    nas = {
        "relaxation": gates,
        "t_max": 1.0,
        "t_min": 1.0,
        **BY_WEIGHT,
        "meta_prune_threshold": 0.5,
    }
    module = make_module(nas=nas)
    with torch.no_grad():
        for alpha in module.alphas.values():
            alpha.fill_(-3.0)[..., :3] = torch.tensor([9.0, 5.0, 5.0])[: alpha.shape[-1]]
    module.meta_prune(module.progress)
    for mask in module.space.of_kind("operation", module.mask()).values():
        assert mask[..., :3].all() and not mask[..., 3:].any()


def test_meta_pruning_is_for_good_and_keeps_one_primitive_of_an_edge() -> None:
    module = make_module(nas={"t_min": 0.01, **BY_WEIGHT})
    with torch.no_grad():
        for alpha in module.alphas.values():
            alpha.copy_(torch.randn_like(alpha))
    module.meta_prune(module.progress)
    for name, mask in module.mask().items():
        assert mask.all() if "pair" in name else (mask.sum(-1) == 1).all()
    with torch.no_grad():
        for name, alpha in module.alphas.items():
            alpha[~module.mask()[name]] = 50.0
    for name, weight in module.mixing().items():
        assert (weight[~module.mask()[name]] == 0).all()

    copy = make_module(nas={"t_min": 0.01, **BY_WEIGHT})
    copy.load_state_dict(module.state_dict())
    assert_equal(copy.mask(), module.mask())


def test_meta_pruning_leaves_a_primitive_that_a_genotype_may_name() -> None:
    primitives = ["none", "skip_connect", "conv_3x3"]
    space = {**TINY_SPACE, "primitives": primitives, "pair_inputs": False}
    module = make_module(space=space, nas={"t_max": 1.0, "t_min": 1.0, **BY_WEIGHT})
    with torch.no_grad():
        for alpha in module.alphas.values():
            alpha.copy_(torch.tensor([9.0, 0.0, 1.0]).expand_as(alpha))
    module.meta_prune(module.progress)
    expected = torch.tensor([True, False, True])
    assert all(torch.equal(mask, expected.expand_as(mask)) for mask in module.mask().values())
    pruned = module.space.prune(module.mixing())
    assert all(torch.equal(w != 0, (w != 0) & module.mask()[k]) for k, w in pruned.items())
