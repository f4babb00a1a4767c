"""What is refused, with the reason: pairs of a NAS method and a meta-learner, settings of Lightning."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from metanas_pl.config import EvaluationConfig, MetaConfig, NASConfig
from metanas_pl.errors import UserError


class Rule(NamedTuple):
    """What is refused, and why."""

    refuses: Callable[[NASConfig, MetaConfig], bool]
    reason: str


RULES = (
    Rule(
        lambda nas, meta: nas.needs_weight_step and meta.adapts == "none",
        "the NAS method looks at the w-step, and with meta.adapts=none there is none",
    ),
    Rule(
        lambda nas, meta: (
            not nas.anneals and (nas.t_max, nas.t_min, nas.outer_t_factor) != (1, 1, 1)
        ),
        "the relaxation has no temperature: set nas.t_max=1, nas.t_min=1 and nas.outer_t_factor=1",
    ),
    Rule(
        lambda nas, meta: nas.step == "joint" and nas.perturb is not None,
        "a joint step has no w-step of its own to perturb: set nas.step=alternating",
    ),
    Rule(
        lambda nas, meta: meta.adapts in ("body", "none") and meta.head == "zero",
        "an empty head that does not adapt gives the body no gradient: set meta.head=learned",
    ),
    Rule(
        lambda nas, meta: meta.head == "prototypes" and meta.adapts in ("head", "body"),
        "a head from class means is no parameter: set meta.adapts=none or all",
    ),
    Rule(
        lambda nas, meta: meta.head == "prototypes" and meta.inner.batch_size is not None,
        "class means need the whole support set: set meta.inner.batch_size=null",
    ),
    Rule(
        lambda nas, meta: meta.gradient_order == "displacement" and meta.adapts == "none",
        "it moves theta towards adapted weights, and none adapt",
    ),
    Rule(
        lambda nas, meta: meta.gradient_order != "exact" and not meta.rates.endswith(".constant"),
        "learned inner rates need a meta-gradient through the inner loop: one with "
        "meta.gradient_order=exact, as maml or mamlpp",
    ),
    Rule(
        lambda nas, meta: nas.choose_among > 1 and nas.alpha_signal == "path_loss",
        "a path has no set of alphas to choose: set nas.choose_among=1",
    ),
    Rule(
        lambda nas, meta: nas.choose_among > 1 and meta.inner.state == "carried",
        "carried inner states belong to one architecture: set nas.choose_among=1",
    ),
)


def check_pair(nas: NASConfig, meta: MetaConfig) -> None:
    """Refuses what cannot work.

    Raises:
        UserError: names the pair and the reason.

    >>> check_pair(NASConfig(), MetaConfig())
    """
    for rule in RULES:
        if rule.refuses(nas, meta):
            raise UserError(f"nas={nas.name} with meta={meta.name}: {rule.reason}")


def check_alpha_steps(meta: MetaConfig, plan: EvaluationConfig) -> None:
    """Refuses an evaluation that asks for one inner step, in which an empty head lets no alpha move.

    Raises:
        UserError: says how many steps to take.

    >>> check_alpha_steps(MetaConfig(head="zero"), EvaluationConfig(steps=2))
    """
    rests = meta.head == "zero" and meta.adapts in ("all", "head")
    if rests and plan.steps == 1 and plan.adapt == "both" and plan.arch_steps != 0:
        raise UserError(
            "evaluation.steps=1: from an empty head the first inner step moves the weights alone, and no "
            "alpha would adapt: take 2 or more, or evaluation.adapt=weights"
        )


def check_temperatures(nas: NASConfig, plan: EvaluationConfig) -> None:
    """Refuses temperatures of an evaluation that would change nothing.

    Raises:
        UserError: names the temperature and the reason.

    >>> check_temperatures(NASConfig(), EvaluationConfig(t_max=0.5, t_min=0.1))
    """
    t_min = plan.t_min or nas.t_min
    for name, value in (("t_max", plan.t_max), ("t_min", plan.t_min)):
        if value is not None and not nas.anneals:
            raise UserError(
                f"evaluation.{name}={value}: the relaxation of nas={nas.name} has no temperature"
            )
    if plan.t_max is not None and plan.t_max < t_min:
        raise UserError(
            f"evaluation.t_max={plan.t_max} makes no sense: T falls to t_min={t_min:g}, set "
            "evaluation.t_min, too"
        )


STRATEGIES = ("auto", "ddp", "ddpstrategy", "single_device", "singledevicestrategy")


def check_strategy(name: str) -> None:
    """Refuses a strategy that leaves each process a part of theta, or the results in another process.

    Args:
        name: ``trainer.strategy``, or the name of its class.

    Raises:
        UserError: names the strategy and the reason.

    >>> for name in ("auto", "ddp", "SingleDeviceStrategy"):
    ...     check_strategy(name)
    """
    if name.lower() not in STRATEGIES:
        raise UserError(
            f"trainer.strategy={name}: each process adapts all parameters to its own tasks, and uses all: "
            "set trainer.strategy=ddp"
        )
