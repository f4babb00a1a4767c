"""Linear heads from class means (Snell et al. 2017; Triantafillou et al. 2020)."""

from __future__ import annotations

import torch
from torch import Tensor

from metanas_pl.types import Params

HEAD = ("head.weight", "head.bias")


def class_means(features: Tensor, labels: Tensor, n_ways: int) -> Tensor:
    """Mean feature of each class, ``(S, F), (S,) -> (N, F)``; zero for a class without samples.

    >>> class_means(torch.tensor([[1.0], [3.0], [5.0]]), torch.tensor([0, 0, 1]), 2)
    tensor([[2.],
            [5.]])
    """
    member = (labels.unsqueeze(0) == torch.arange(n_ways, device=labels.device)[:, None]).to(
        features
    )
    return member @ features / member.sum(1, keepdim=True).clamp_min(1)


def prototype_head(features: Tensor, labels: Tensor, n_ways: int) -> Params:
    """The linear head whose softmax is that of negative squared distances to the class means.

    ``-||f - c||^2 = 2 c f - ||c||^2 - ||f||^2``, and the last term is the same for every class.
    """
    means = class_means(features, labels, n_ways)
    return {"head.weight": 2 * means, "head.bias": -(means**2).sum(1)}


def empty_head(weight: Tensor, n_ways: int) -> Params:
    """A head of zeros for ``n_ways`` classes, with the features of ``weight (N', F)``."""
    return {
        "head.weight": weight.new_zeros(n_ways, weight.shape[1]),
        "head.bias": weight.new_zeros(n_ways),
    }
