"""What noise in place of meta-gradients would decide."""

from __future__ import annotations

import pytest

from metanas_pl.cli.app import to_config
from metanas_pl.config import InnerConfig, MetaConfig, NASConfig, OuterConfig
from metanas_pl.training.noise_trial import decided_by_noise, reach_in_task
from tests.runs import compose


def test_the_main_job_leaves_it_open() -> None:
    config = to_config(compose(["run_dir=here"]))
    steps = config.trainer["max_steps"]
    share = decided_by_noise(config.nas, config.meta, steps)
    assert share is None or share > 0.5
    assert reach_in_task(config.nas, config.meta, steps) <= 1


def test_what_was_the_main_job_is_decided_by_noise_at_once() -> None:
    nas = NASConfig(t_max=0.3, t_min=0.02, outer_t_factor=1.0)
    meta = MetaConfig(outer=OuterConfig(alpha_lr=0.05, warm_up_steps=25, schedule="cosine"))
    share = decided_by_noise(nas, meta, 700)
    assert share is not None
    assert share < 0.02


@pytest.mark.parametrize("smaller", [0.5, 0.1])
def test_smaller_rates_decide_later(smaller: float) -> None:
    nas = NASConfig(t_max=0.05, t_min=0.05, outer_t_factor=1.0)
    shares = [
        decided_by_noise(nas, MetaConfig(outer=OuterConfig(alpha_lr=rate)), 1000)
        for rate in (0.05, 0.05 * smaller)
    ]
    assert shares[0] is not None
    assert shares[1] is None or shares[1] > shares[0]


def test_displacements_are_as_large_as_the_inner_loop_moves() -> None:
    reptile = MetaConfig(
        gradient_order="displacement",
        outer=OuterConfig(optimizer="sgd", alpha_lr=0.6),
        inner=InnerConfig(alpha_lr=0.05),
    )
    nas = NASConfig(t_max=0.02, t_min=0.02, outer_t_factor=1.0)
    early = decided_by_noise(nas, reptile, 500)
    assert early is not None
    assert early < 0.1


def test_gradient_descent_on_gradients_of_unknown_size_is_left_to_a_training() -> None:
    assert (
        decided_by_noise(NASConfig(), MetaConfig(outer=OuterConfig(optimizer="sgd")), 100) is None
    )
