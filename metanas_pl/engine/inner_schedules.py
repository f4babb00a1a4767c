"""How many inner steps are taken, how many of them move the alphas, and at which temperatures.

An inner schedule is made here, once for training and once for validation and test, and read everywhere.
"""

from __future__ import annotations

from metanas_pl.algorithms.inner_loop import InnerSchedule
from metanas_pl.algorithms.nas.relaxations import temperatures
from metanas_pl.config import EvaluationConfig, MetaConfig, NASConfig
from metanas_pl.types import OuterProgress


def outer_factor(nas: NASConfig, progress: OuterProgress) -> float:
    """Returns T over its value at the end of the training, by the clock of the outer steps.

    >>> nas = NASConfig(outer_t_factor=100.0, outer_t_until=1.0)
    >>> [outer_factor(nas, OuterProgress(step, 20)) for step in (0, 10, 20)]
    [100.0, 10.0, 1.0]
    """
    return float(nas.outer_t_factor ** (1 - progress.share_until(nas.outer_t_until)))


def training_schedule(nas: NASConfig, meta: MetaConfig, progress: OuterProgress) -> InnerSchedule:
    """Returns the inner steps of training; in warm-up no alpha-step is taken and T stays at t_max."""
    inner, factor = meta.inner, outer_factor(nas, progress)
    anneal = 0 if progress.warm_up else most(inner.steps, inner.anneal_steps)
    t_max, t_min = factor * nas.t_max, factor * nas.t_min
    temps = temperatures(inner.steps, anneal, t_max, t_min, nas.temperature_schedule)
    moving = alphas_adapt(nas) and not progress.warm_up
    arch_steps = most(inner.steps, inner.arch_steps) if moving else 0
    return InnerSchedule(temps, arch_steps, temps[-1], first_arch_step(meta))


def test_schedule(nas: NASConfig, meta: MetaConfig, plan: EvaluationConfig) -> InnerSchedule:
    """Returns the inner steps of validation and test.

    T and the temperature of the queries, t_min, do not depend on what adapts, so that every arm of a
    comparison is the same network.
    """
    inner = meta.inner
    steps = plan.steps or inner.test_steps
    t_max, t_min = plan.t_max or nas.t_max, plan.t_min or nas.t_min
    anneal = most(steps, inner.test_anneal_steps)
    temps = temperatures(steps, anneal, max(t_max, t_min), t_min, nas.temperature_schedule)
    asked = inner.test_arch_steps if plan.arch_steps is None else plan.arch_steps
    moving = alphas_adapt(nas) and plan.adapt != "weights"
    taken = () if plan.adapt == "nothing" else temps
    first = first_arch_step(meta) if plan.adapt == "both" else 0
    return InnerSchedule(taken, most(steps, asked) if moving else 0, t_min, first)


def alphas_adapt(nas: NASConfig) -> bool:
    """Returns whether the inner loop moves the alphas."""
    return nas.adapts_alphas and nas.alpha_signal == "gradient"


def first_arch_step(meta: MetaConfig) -> int:
    """Returns the first inner step that may move the alphas: an empty head gives them no gradient.

    >>> first_arch_step(MetaConfig(head="zero")), first_arch_step(MetaConfig(head="learned"))
    (1, 0)
    """
    return int(meta.head == "zero" and meta.adapts in ("all", "head"))


def most(steps: int, asked: int | None) -> int:
    """Returns ``asked`` of ``steps`` inner steps; None is all of them.

    >>> most(5, None), most(5, 3), most(5, 50)
    (5, 3, 5)
    """
    return steps if asked is None else min(asked, steps)
