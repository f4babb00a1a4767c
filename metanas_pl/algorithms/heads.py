"""Linear heads from class means (Snell et al. 2017; Triantafillou et al. 2020).

Shapes: S support images, F features, N ways, M ways of another head.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from metanas_pl.types import Params

if TYPE_CHECKING:
    from jaxtyping import Float, Int

HEAD = ("head.weight", "head.bias")


def class_means(
    features: Float[Tensor, "S F"], labels: Int[Tensor, " S"], n_ways: int
) -> Float[Tensor, "{n_ways} F"]:
    """Returns the mean feature of each class; zero for a class without samples.

    Args:
        features: of the support images.
        labels: classes ``0 .. n_ways - 1``; another label counts for no class.
        n_ways: N.

    >>> class_means(torch.tensor([[1.0], [3.0], [5.0]]), torch.tensor([0, 0, 1]), 2)
    tensor([[2.],
            [5.]])
    """
    member = (labels.unsqueeze(0) == torch.arange(n_ways, device=labels.device)[:, None]).to(
        features
    )
    return member @ features / member.sum(1, keepdim=True).clamp_min(1)


def prototype_head(
    features: Float[Tensor, "S F"], labels: Int[Tensor, " S"], n_ways: int
) -> Params:
    """Returns the linear head whose softmax is that of negative squared distances to the class means.

    ``-||f - c||^2 = 2 c f - ||c||^2 - ||f||^2``, and the last term is the same for every class
    (Snell et al. 2017, eq. 8): ``head.weight (N, F)`` is ``2 c`` and ``head.bias (N,)`` is ``-||c||^2``.

    >>> head = prototype_head(torch.tensor([[1.0], [3.0]]), torch.tensor([0, 1]), 2)
    >>> head["head.weight"].flatten(), head["head.bias"]
    (tensor([2., 6.]), tensor([-1., -9.]))
    """
    means = class_means(features, labels, n_ways)
    return {"head.weight": 2 * means, "head.bias": -(means**2).sum(1)}


def empty_head(weight: Float[Tensor, "M F"], n_ways: int) -> Params:
    """Returns a head of zeros for N classes, with the features of a head of M classes.

    >>> empty_head(torch.ones(5, 3), 2)["head.weight"].shape
    torch.Size([2, 3])
    """
    return {
        "head.weight": weight.new_zeros(n_ways, weight.shape[1]),
        "head.bias": weight.new_zeros(n_ways),
    }
