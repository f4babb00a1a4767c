"""Names for the values that pass between the rooms."""

from __future__ import annotations

from typing import Literal, NamedTuple

from torch import Tensor

Params = dict[str, Tensor]
"""Tensors by name, as weights of a network or their gradients."""

Alphas = dict[str, Tensor]
"""Architecture logits by name; the last dimension of each holds the options of one choice."""

Mixing = dict[str, Tensor]
"""Mixing weights, shaped as the alphas they were made from."""

Mask = dict[str, Tensor]
"""Boolean tensors shaped as the alphas: False is pruned for good."""

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
