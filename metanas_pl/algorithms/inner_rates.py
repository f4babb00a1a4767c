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
    """The configured rates; nothing is learned."""
    return Rates(lambda parameters: {}, lambda hyper, step: rate)


def per_parameter(rate: RateOf, steps: int) -> Rates:
    """Meta-SGD (Li et al. 2017): a rate for every single number, weights and alphas."""

    def init(parameters: Params) -> Params:
        return {PREFIX + k: torch.full_like(p, rate(k)) for k, p in parameters.items()}

    return Rates(init, lambda hyper, step: lambda name: hyper[PREFIX + name])


def per_layer_and_step(rate: RateOf, steps: int) -> Rates:
    """MAML++ (Antoniou et al. 2019): a rate for every tensor and inner step; the last one goes on."""

    def init(parameters: Params) -> Params:
        return {PREFIX + k: p.new_full((steps,), rate(k)) for k, p in parameters.items()}

    def at(hyper: Params, step: int) -> Callable[[str], torch.Tensor]:
        return lambda name: hyper[PREFIX + name][min(step, steps - 1)]

    return Rates(init, at)
