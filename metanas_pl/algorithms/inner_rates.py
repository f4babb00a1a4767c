"""Inner rates: constant, or meta-learned per parameter or per layer and step.

A function ``(rate of each name, steps) -> Rates``; a meta-learner names one in ``meta.rates``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch

from metanas_pl.types import Params

RateOf = Callable[[str], float]
PREFIX = "rate:"


class Rates(NamedTuple):
    """Inner rates.

    Attributes:
        init: ``parameters -> hyper``: what is meta-learned, by ``rate:`` + name; ``{}`` if nothing.
        at: ``(hyper, step) -> (name -> rate)``.
    """

    init: Callable[[Params], Params]
    at: Callable[[Params, int], Callable[[str], float | torch.Tensor]]


def constant(rate: RateOf, steps: int) -> Rates:
    """Returns the configured rates; nothing is learned.

    >>> rates = constant(lambda name: 0.1, steps=5)
    >>> rates.init({"w": torch.ones(2)}), rates.at({}, 3)("w")
    ({}, 0.1)
    """
    return Rates(lambda parameters: {}, lambda hyper, step: rate)


def per_parameter(rate: RateOf, steps: int) -> Rates:
    """Meta-SGD (Li et al. 2017): a rate for every single number, weights and alphas.

    >>> per_parameter(lambda name: 0.5, steps=5).init({"w": torch.ones(2)})
    {'rate:w': tensor([0.5000, 0.5000])}
    """

    def init(parameters: Params) -> Params:
        return {PREFIX + k: torch.full_like(p, rate(k)) for k, p in parameters.items()}

    return Rates(init, lambda hyper, step: lambda name: hyper[PREFIX + name])


def per_layer_and_step(rate: RateOf, steps: int) -> Rates:
    """MAML++ (Antoniou et al. 2019): a rate for every tensor and inner step; the last one stays.

    >>> per_layer_and_step(lambda name: 0.5, steps=3).init({"w": torch.ones(2)})
    {'rate:w': tensor([0.5000, 0.5000, 0.5000])}
    """

    def init(parameters: Params) -> Params:
        return {PREFIX + k: p.new_full((steps,), rate(k)) for k, p in parameters.items()}

    def at(hyper: Params, step: int) -> Callable[[str], torch.Tensor]:
        return lambda name: hyper[PREFIX + name][min(step, steps - 1)]

    return Rates(init, at)
