"""How many inner steps are taken, how many of them move the alphas, and at which temperatures.

An inner schedule is made here, once for training and once for validation and test, and read everywhere.
"""

from __future__ import annotations

from metanas_pl.algorithms.inner_loop import InnerSchedule
from metanas_pl.algorithms.nas.relaxations import temperatures
from metanas_pl.config import EvaluationConfig, InnerConfig, NASConfig


def training_schedule(nas: NASConfig, inner: InnerConfig, warm_up: bool = False) -> InnerSchedule:
    """Returns the inner steps of training; in warm-up no alpha-step is taken and T stays at t_max."""
    anneal = 0 if warm_up else most(inner.steps, inner.anneal_steps)
    temps = temperatures(inner.steps, anneal, nas.t_max, nas.t_min, nas.temperature_schedule)
    moving = nas.adapts_alphas and not warm_up
    arch_steps = most(inner.steps, inner.arch_steps) if moving else 0
    return InnerSchedule(temps, arch_steps, temps[-1])


def test_schedule(nas: NASConfig, inner: InnerConfig, plan: EvaluationConfig) -> InnerSchedule:
    """Returns the inner steps of validation and test.

    T and the temperature of the queries, t_min, do not depend on what adapts, so that every arm of a
    comparison is the same network.
    """
    steps = plan.steps or inner.test_steps
    t_max, t_min = plan.t_max or nas.t_max, plan.t_min or nas.t_min
    anneal = most(steps, inner.test_anneal_steps)
    temps = temperatures(steps, anneal, max(t_max, t_min), t_min, nas.temperature_schedule)
    asked = inner.test_arch_steps if plan.arch_steps is None else plan.arch_steps
    moving = nas.adapts_alphas and plan.adapt != "weights"
    taken = () if plan.adapt == "nothing" else temps
    return InnerSchedule(taken, most(steps, asked) if moving else 0, t_min)


def most(steps: int, asked: int | None) -> int:
    """Returns ``asked`` of ``steps`` inner steps; None is all of them.

    >>> most(5, None), most(5, 3), most(5, 50)
    (5, 3, 5)
    """
    return steps if asked is None else min(asked, steps)
