"""A state of a cell, and what the edges that read it have in common."""

from __future__ import annotations

from functools import cached_property

import torch.nn.functional as F
from torch import Tensor, nn

from metanas_pl.search_spaces.ops.layers import Reference, scaled
from metanas_pl.search_spaces.ops.primitives import Rectifying


class State:
    """A feature map that several primitives read: what is the same for them is computed once.

    Args:
        x: ``(B, C, H, W)``.
    """

    def __init__(self, x: Tensor) -> None:
        self.x = x
        self._known: dict[int, Tensor] = {}

    @cached_property
    def rectified(self) -> Tensor:
        """``x`` after ReLU."""
        return F.relu(self.x)

    def through(
        self,
        primitive: nn.Module,
        reference: Reference = None,
        factor: Tensor | None = None,
        number: int | None = None,
    ) -> Tensor:
        """Returns what ``primitive(x, reference, factor)`` is.

        ``number`` says which primitive it is, if others of that number may read this state: without
        parameters, they give the same.
        """
        if isinstance(primitive, Rectifying) and primitive.relu:
            return primitive(self.rectified, reference, factor, rectified=True)  # type: ignore[no-any-return]
        if number is None or any(True for _ in primitive.parameters()):
            return primitive(self.x, reference, factor)  # type: ignore[no-any-return]
        if number not in self._known:
            self._known[number] = primitive(self.x, reference)
        return scaled(self._known[number], factor)
