"""Two clocks of T, and the inner steps that move the alphas."""

from __future__ import annotations

import math

import pytest

from metanas_pl.config import EvaluationConfig, MetaConfig, NASConfig, from_plain
from metanas_pl.engine import inner_schedules
from metanas_pl.engine.inner_schedules import outer_factor, training_schedule
from metanas_pl.types import OuterProgress
from tests.conftest import make_module, random_episode

NAS = NASConfig(t_max=0.4, t_min=0.1, outer_t_factor=16.0, outer_t_until=0.8)


def at(step: int, total: float = 100, warm_up: int = 20) -> OuterProgress:
    return OuterProgress(step, total, warm_up)


def meta(**values: object) -> MetaConfig:
    return from_plain(MetaConfig, values)


def test_the_outer_clock_falls_in_equal_ratios_between_warm_up_and_its_end() -> None:
    factors = [outer_factor(NAS, at(step)) for step in (0, 20, 35, 50, 65, 80, 100)]
    assert factors == pytest.approx([16, 16, 8, 4, 2, 1, 1])
    assert outer_factor(NAS, at(5, math.inf, 0)) == 16
    assert outer_factor(NASConfig(outer_t_factor=1.0), at(0)) == 1


def test_both_ends_of_the_inner_clock_follow_the_outer_one() -> None:
    inner = {"steps": 3}
    for step in (0, 20, 50, 90):
        schedule = training_schedule(NAS, meta(inner=inner), at(step))
        factor = outer_factor(NAS, at(step))
        first, *_, last = schedule.temperatures
        assert first == pytest.approx(factor * 0.4)
        assert last == pytest.approx(factor * (0.4 if step < 20 else 0.1))
        assert schedule.query_temperature == last


def test_a_test_takes_the_last_values() -> None:
    schedule = inner_schedules.test_schedule(NAS, meta(), EvaluationConfig())
    assert schedule.temperatures[0] == pytest.approx(0.4)
    assert schedule.query_temperature == pytest.approx(0.1)


@pytest.mark.parametrize(
    ("settings", "moving"),
    [
        ({"head": "zero"}, [False, True, True]),
        ({"head": "learned"}, [True, True, True]),
        ({"head": "zero", "adapts": "body"}, [True, True, True]),
        ({"head": "zero", "inner": {"steps": 3, "arch_steps": 1}}, [False, False, False]),
        ({"head": "learned", "inner": {"steps": 3, "arch_steps": 1}}, [True, False, False]),
    ],
)
def test_which_steps_move_the_alphas(settings: dict[str, object], moving: list[bool]) -> None:
    settings = {"inner": {"steps": 3}, **settings}
    schedule = training_schedule(NASConfig(), meta(**settings), at(50))
    assert [schedule.moves_alphas(step) for step in range(3)] == moving
    assert schedule.n_alpha_steps == sum(moving)
    assert training_schedule(NASConfig(), meta(**settings), at(5)).n_alpha_steps == 0


@pytest.mark.parametrize(("head", "first"), [("zero", 1), ("learned", 0)])
def test_with_an_empty_head_the_first_inner_step_leaves_the_alphas_alone(
    head: str, first: int
) -> None:
    module, episode = make_module(meta={"head": head}), random_episode()
    for steps in (1, 2):
        plan = EvaluationConfig(steps=steps, arch_steps=steps)
        adapted = module.learner.adapted_alphas(
            module.theta(), episode, seed=0, mask=module.mask(), plan=plan
        )
        moved = [(adapted[k] != a).any() for k, a in module.theta().alphas.items()]
        assert all(
            moved[i] == (steps > first) for i, a in enumerate(adapted.values()) if a.shape[-1] > 1
        )
