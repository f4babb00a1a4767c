"""Names for the values that pass between the folders of the package.

Shapes: T tasks, S support images, Q queries, C, H, W an image.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Protocol

import torch
from torch import Tensor

if TYPE_CHECKING:
    from jaxtyping import Float, Int

Params = dict[str, Tensor]
"""Tensors by name, as weights of a network or their gradients."""

Alphas = dict[str, Tensor]
"""Architecture logits by name; the last dimension of each holds the options of one choice."""

Mixing = dict[str, Tensor]
"""Mixing weights, shaped as the alphas they were made from."""

Mask = dict[str, Tensor]
"""Boolean tensors shaped as the alphas: False is pruned for good."""

Relaxation = Callable[[Alphas, float, Mask | None, Params | None], Mixing]
"""``(alphas, temperature, mask, noise) -> mixing``."""

Settings = dict[str, Any]
"""Plain settings by name, as YAML and a checkpoint hold them: what a value may be, its schema says."""

Checkpoint = dict[str, Any]
"""What Lightning saves and restores, by part."""

Kind = Literal["operation", "input_pair", "edge"]
"""What an architecture parameter weighs: operations of an edge, pairs of inputs of a node, or edges."""


class ArchitectureParameter(NamedTuple):
    """One tensor of architecture logits that a search space declares.

    Attributes:
        name: its key among the alphas.
        shape: ``(E, O)`` for operations on E edges, ``(P,)`` for P input pairs, ``(E,)`` for edges.
        kind: what it chooses.
    """

    name: str
    shape: tuple[int, ...]
    kind: Kind = "operation"


class Theta(NamedTuple):
    """Everything meta-learned: weights, architecture logits, learned inner hyper-parameters, by name."""

    weights: Params
    alphas: Alphas
    hyper: Params = {}  # noqa: RUF012  (never written to)


class OuterProgress(NamedTuple):
    """How far meta-training is.

    Attributes:
        outer_step: outer steps taken.
        total_steps: their number at the end.
        warm_up_steps: those in which the alphas rest.
        usual_loss: running mean of the query loss; NaN at first.
    """

    outer_step: int = 0
    total_steps: float = 1
    warm_up_steps: int = 0
    usual_loss: Tensor = torch.tensor(torch.nan)

    @property
    def warm_up(self) -> bool:
        """Whether the alphas still rest."""
        return self.outer_step < self.warm_up_steps

    @property
    def share(self) -> float:
        """How much of the training is over, from 0 to 1."""
        return min(self.outer_step / self.total_steps, 1.0)

    def share_until(self, end: float) -> float:
        """Returns how much is over of the time from the warm-up to ``end``, a share of the training.

        >>> OuterProgress(30, 100, warm_up_steps=10).share_until(0.5)
        0.5
        """
        if self.total_steps == math.inf:
            return 0.0
        last = end * self.total_steps
        if self.outer_step <= self.warm_up_steps:
            return 0.0
        if self.outer_step >= last:
            return 1.0
        return (self.outer_step - self.warm_up_steps) / (last - self.warm_up_steps)


class AutogradContext(Protocol):
    """What autograd keeps of a call between forward and backward."""

    saved_tensors: tuple[Tensor, ...]
    needs_input_grad: tuple[bool, ...]

    def save_for_backward(self, *tensors: Tensor | None) -> None: ...


class Episodes(Protocol):
    """T episodes: what a loader gives and the method learns from.

    Attributes:
        support_x: support images.
        support_y: their labels; below 0 for a row that fills up a smaller episode.
        query_x: query images.
        query_y: their labels, also below 0 for what fills up.
        index: number of each episode in its split.
    """

    @property
    def support_x(self) -> Float[Tensor, "T S C H W"]: ...
    @property
    def support_y(self) -> Int[Tensor, "T S"]: ...
    @property
    def query_x(self) -> Float[Tensor, "T Q C H W"]: ...
    @property
    def query_y(self) -> Int[Tensor, "T Q"]: ...
    @property
    def index(self) -> Int[Tensor, " T"]: ...
