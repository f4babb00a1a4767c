"""What one inner step looks at: batches of the support set, relaxation and loss, the adapting point.

Shapes: S support images, R rows of the alpha-steps, B and A of them in a w- and an alpha-step, C, H, W an
image, N ways, k steps, O operations; ``*T`` is nothing for one task and T for the tasks of a meta-batch.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

from torch import Tensor

from metanas_pl.algorithms.inner_optimizers import InnerOptimizer, State
from metanas_pl.types import Alphas, Mixing, Params

if TYPE_CHECKING:
    from jaxtyping import Bool, Float, Int


class Batch(NamedTuple):
    """Labelled images and the noise of this pass over them, if any.

    ``drop_path`` are factors; ``noise`` is what the relaxation draws with, by alpha; ``real`` and ``ways``
    are as in :class:`Support`.
    """

    x: Float[Tensor, "B C H W"]
    y: Int[Tensor, " B"]
    drop_path: Float[Tensor, "cells edges O B"] | None = None
    noise: Params | None = None
    real: Float[Tensor, " B"] | None = None
    ways: Bool[Tensor, " N"] | None = None


class Support(NamedTuple):
    """The support set of one episode and the minibatch that each of ``k`` inner steps takes from it.

    Attributes:
        x: images.
        y: labels.
        train_index: rows for the w-step.
        arch_index: rows for the alpha-step.
        drop_path: factors for both, or None.
        noise: noise of the relaxation for both, ``(k, 2, ...)`` by alpha, or None.
        real: 1 for a row with an image, 0 for one that fills up a smaller episode; such rows have a label
            below 0 and come last. None: all are images.
        ways: which classes the episode has; None: all.
        arch_x, arch_y: images and labels of the alpha-steps, row by row; None takes ``x`` and ``y``.
        arch_real: as ``real``, of these; None: all are images.
    """

    x: Float[Tensor, "*T S C H W"]
    y: Int[Tensor, "*T S"]
    train_index: Int[Tensor, "*T k B"]
    arch_index: Int[Tensor, "*T k A"]
    drop_path: Float[Tensor, "*T k 2 cells edges O B"] | None = None
    noise: Params | None = None
    real: Float[Tensor, "*T S"] | None = None
    ways: Bool[Tensor, "*T N"] | None = None
    arch_x: Float[Tensor, "*T R C H W"] | None = None
    arch_y: Int[Tensor, "*T R"] | None = None
    arch_real: Float[Tensor, "*T R"] | None = None

    def train(self, step: int) -> Batch:
        """Returns the batch of the w-step."""
        return self._take((self.x, self.y, self.real), self.train_index[step], step, 0)

    def arch(self, step: int) -> Batch:
        """Returns the batch of the alpha-step."""
        rows = self.arch_index[step]
        if self.arch_x is None or self.arch_y is None:
            return self._take((self.x, self.y, self.real), rows, step, 1)
        return self._take((self.arch_x, self.arch_y, self.arch_real), rows, step, 1)

    @property
    def n_ways(self) -> Int[Tensor, ""]:
        """Classes of the episode."""
        return self.y.max() + 1

    def first_noise(self) -> Params | None:
        """Returns the first noise drawn, for a forward pass outside the inner steps."""
        return None if self.noise is None else {k: n[0, 0] for k, n in self.noise.items()}

    def whole(self) -> Batch:
        """Returns all of it as one batch, without noise."""
        return Batch(self.x, self.y, real=self.real, ways=self.ways)

    def _take(
        self, images: tuple[Tensor, Tensor, Tensor | None], rows: Tensor, step: int, which: int
    ) -> Batch:
        drop = None if self.drop_path is None else self.drop_path[step, which, ..., : len(rows)]
        noise = None if self.noise is None else {k: n[step, which] for k, n in self.noise.items()}
        x, y, all_real = images
        real = None if all_real is None else all_real[rows]
        return Batch(x[rows], y[rows], drop, noise, real, self.ways)


class Objective(NamedTuple):
    """What an inner step descends on.

    Attributes:
        mixing: ``(alphas, temperature, noise) -> mixing weights``: the relaxation.
        loss: ``(weights, mixing, batch) -> scalar``.
    """

    mixing: Callable[[Alphas, float, Params | None], Mixing]
    loss: Callable[[Params, Mixing, Batch], Tensor]


class Pass(NamedTuple):
    """One forward pass of an inner step: a batch with its noise, at the step's temperature."""

    objective: Objective
    batch: Batch
    temperature: float
    frozen: Params

    def mixing(self, alphas: Alphas) -> Mixing:
        """Returns the mixing weights of this pass."""
        return self.objective.mixing(alphas, self.temperature, self.batch.noise)

    def loss_at(self, weights: Params, mixing: Mixing) -> Float[Tensor, ""]:
        """Returns the loss as a function of the adapting weights and the mixing weights."""
        return self.objective.loss({**self.frozen, **weights}, mixing, self.batch)

    def loss(self, weights: Params, alphas: Alphas) -> Float[Tensor, ""]:
        """Returns the loss as a function of the adapting weights and the alphas."""
        return self.loss_at(weights, self.mixing(alphas))


class InnerProblem(NamedTuple):
    """What a NAS method may look at in one inner step.

    Attributes:
        train, arch: the passes of the w-step and of the alpha-step.
        weights: those that adapt.
        alphas: the architecture logits.
        weight_optimizer, weight_state: the actual w-step: ``update(gradient, state, weights)``.
    """

    train: Pass
    arch: Pass
    weights: Params
    alphas: Alphas
    weight_optimizer: InnerOptimizer
    weight_state: State
