"""The functions that a NAS method and a meta-learner consist of, found by their configuration."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypedDict, cast

import torch
from torch import Tensor

from metanas_pl.algorithms.inner_problem import InnerProblem
from metanas_pl.algorithms.inner_rates import RateOf, Rates
from metanas_pl.algorithms.meta.meta_gradients import MetaGradient, Problem
from metanas_pl.config import MetaConfig, NASConfig
from metanas_pl.types import Alphas, Mixing, Relaxation, Theta
from metanas_pl.utils.functions import resolve_all

Draw = Callable[[tuple[int, ...], torch.Generator], Tensor]
"""``(shape, generator) -> noise``."""


class NASFunctions(TypedDict):
    """What a NAS method is made of, by its key in ``configs/nas``."""

    relaxation: Relaxation
    input_relaxation: Relaxation | None
    meta_prune_relaxation: Relaxation | None
    alpha_gradient: Callable[[InnerProblem], Alphas]
    noise: Draw | None
    perturb: Callable[[InnerProblem], Mixing] | None
    regulariser: Callable[[Mixing], Tensor] | None


class MetaFunctions(TypedDict):
    """What a meta-learner is made of, by its key in ``configs/meta``."""

    meta_gradient: Callable[[Theta, Problem], MetaGradient]
    rates: Callable[[RateOf, int], Rates]


def nas_functions(nas: NASConfig) -> NASFunctions:
    """Returns the functions that a NAS method names.

    Raises:
        UserError: one cannot be imported, or an option belongs to none.

    >>> nas_functions(NASConfig())["relaxation"].__name__
    'softmax'
    """
    return cast(NASFunctions, resolve_all(nas, "nas", tuple(NASFunctions.__annotations__)))


def meta_functions(meta: MetaConfig) -> MetaFunctions:
    """Returns the functions that a meta-learner names; raises as :func:`nas_functions`.

    >>> meta_functions(MetaConfig())["rates"].__name__
    'constant'
    """
    return cast(MetaFunctions, resolve_all(meta, "meta", tuple(MetaFunctions.__annotations__)))
