"""From the configuration of a NAS method and a meta-learner to the inner loop of an episode."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from torch import Tensor

from metanas_pl.algorithms.heads import HEAD
from metanas_pl.algorithms.inner_loop import InnerLoop, InnerSchedule
from metanas_pl.algorithms.inner_optimizers import (
    InnerOptimizer,
    RateByName,
    decoupled,
    make_optimizer,
)
from metanas_pl.algorithms.inner_rates import RateOf, Rates
from metanas_pl.algorithms.nas.regularisers import cost_penalty
from metanas_pl.config import MetaConfig, NASConfig
from metanas_pl.engine.method_functions import NASFunctions
from metanas_pl.errors import UserError
from metanas_pl.search_spaces.base import SearchSpace
from metanas_pl.search_spaces.costs import Costs, expected_cost
from metanas_pl.search_spaces.ops.primitives import BatchStatNorm
from metanas_pl.types import Mixing, Params, Theta

if TYPE_CHECKING:
    from jaxtyping import Float

STEP = "step:"
EPS_ROOT = 1e-12
"""Of Adam where its update is differentiated, by an exact meta-gradient or by an architecture gradient that
unrolls the w-step: the slope of an update is at most 1e6 times the rate.

Squares of gradients are mostly larger: of the weights after a main job 90 % lay above 1e-11 (one episode).
"""


class InnerLoopFactory:
    """Makes the inner loop that the configuration of a NAS method and a meta-learner describes.

    Args:
        space, nas, meta: the search space and the two methods.
        method: functions of the NAS method, by configuration key.
        rates: ``(rate of each name, steps) -> Rates``.
        costs: costs of the parts of the space, for cost-aware search.
    """

    def __init__(
        self,
        space: SearchSpace,
        nas: NASConfig,
        meta: MetaConfig,
        method: NASFunctions,
        rates: Callable[[RateOf, int], Rates],
        costs: Costs | None = None,
    ) -> None:
        self.space, self.nas, self.meta = space, nas, meta
        self.method, self.rates = method, rates
        self.step_norms = affine_norms(space) if meta.step_norms else []
        if nas.cost.kind != "none" and (costs is None or not costs.parts):
            raise UserError(f"nas.cost.kind={nas.cost.kind}: this space has nothing to choose from")
        self.costs = costs
        penalised = method["regulariser"] is not None or nas.cost.kind != "none"
        self.regulariser = self._penalty if penalised else None

    def hyper(self, theta: Theta) -> Params:
        """Returns initial values of what is meta-learned beside weights and alphas."""
        moving = {k: w for k, w in theta.weights.items() if self.moves(k)}
        hyper = self._rates(theta).init({**moving, **theta.alphas})
        for name in self.step_norms:
            value = theta.weights[name]
            hyper[STEP + name] = value.expand(self.meta.inner.steps + 1, *value.shape).clone()
        return hyper

    def make(
        self,
        theta: Theta,
        schedule: InnerSchedule,
        unused: frozenset[str] = frozenset(),
        adapts_weights: bool = True,
    ) -> InnerLoop:
        """Returns an inner loop with the configured optimizers.

        Args:
            theta: names and shapes of what is learned.
            schedule: its steps.
            unused: weights that nothing depends on and that therefore stay.
            adapts_weights: False moves the alphas alone.
        """
        inner, rates = self.meta.inner, self._rates(theta)
        betas = (inner.beta1, inner.beta2)
        alpha_optimizer = inner.alpha_optimizer or inner.optimizer

        head = theta.weights["head.bias"]
        exact = self.meta.gradient_order == "exact"
        of_meta = EPS_ROOT if exact else 0.0
        of_weights = EPS_ROOT if exact or self.nas.needs_weight_step else 0.0

        def optimizers(
            hyper: Params, step: int, n_ways: Tensor
        ) -> tuple[InnerOptimizer, InnerOptimizer]:
            rate = of_ways(rates.at(hyper, step), n_ways.to(head) / head.shape[0])
            of_alphas = make_optimizer(alpha_optimizer, rate, betas, eps_root=of_meta)
            return (
                make_optimizer(inner.optimizer, rate, betas, inner.weight_decay, of_weights),
                decoupled(of_alphas, rate, inner.alpha_weight_decay),
            )

        def adapts(name: str) -> bool:
            return adapts_weights and name not in unused and self.moves(name)

        return InnerLoop(
            alpha_gradient=None if self.nas.step == "joint" else self.method["alpha_gradient"],
            optimizers=optimizers,
            schedule=schedule,
            adapts=adapts,
            step_weights=self._step_weights,
            perturb=self.method["perturb"],
            regulariser=self.regulariser,
            proximal=inner.proximal,
        )

    def moves(self, name: str) -> bool:
        """Returns whether the inner loop moves the weights called ``name``."""
        adapts, is_head = self.meta.adapts, name in HEAD
        if adapts == "none" or name in self.step_norms:
            return False
        if is_head and self.meta.head == "prototypes":
            return False
        return adapts == "all" or (adapts == "head") == is_head

    def _rates(self, theta: Theta) -> Rates:
        inner = self.meta.inner
        head_lr = inner.weight_lr if inner.head_lr is None else inner.head_lr

        def rate(name: str) -> float:
            if name in theta.alphas:
                return inner.alpha_lr
            return head_lr if name in HEAD else inner.weight_lr

        return self.rates(rate, inner.steps)

    def _step_weights(self, hyper: Params, step: int) -> Params:
        """Returns the batch norms' values at an inner step; later steps use the last ones."""
        last = self.meta.inner.steps
        return {n: hyper[STEP + n][min(step, last)] for n in self.step_norms}

    def _penalty(self, mixing: Mixing) -> Tensor:
        """Returns the penalty of cost-aware search plus that of the method."""
        own, cost, terms = self.method["regulariser"], self.nas.cost, list[Tensor]()
        if cost.kind != "none":
            assert self.costs is not None
            expected = expected_cost(self.space, self.costs, mixing)
            terms.append(cost_penalty(expected, cost.weight, cost.target, self.costs.largest))
        if own is not None:
            terms.append(own(self.space.of_kind("operation", mixing)))
        return sum(terms[1:], terms[0])


def of_ways(rate: RateByName, share: Float[Tensor, ""]) -> RateByName:
    """Returns rates for an episode with ``share`` times the ways of the training: the head's grow with it.

    The gradient of the mean loss at a row of the head shrinks as 1 / ways. With this rate the first step
    from an empty head gives every class  rate / trained ways * (its mean feature - that of all),  however
    many others there are, so a head trained with 20 ways adapts to 5 as it has learned to.

    >>> import torch
    >>> rate = of_ways(lambda name: 0.4, torch.tensor(0.25))
    >>> rate("head.bias"), rate("stem.weight")
    (tensor(0.1000), 0.4)
    """
    return lambda name: rate(name) * share if name in HEAD else rate(name)


def affine_norms(space: SearchSpace) -> list[str]:
    """Returns the names of the scales and shifts of batch norms."""
    norms = (n for n, m in space.named_modules() if isinstance(m, BatchStatNorm))
    known = dict(space.named_parameters())
    return [f"{n}.{p}" for n in norms for p in ("weight", "bias") if f"{n}.{p}" in known]
