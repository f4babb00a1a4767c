"""Relaxations that draw: Gumbel, Dirichlet, and what departs from a softmax.

Each is ``(alphas, temperature, mask, noise) -> mixing`` as in ``relaxations.py``. ``noise`` comes from the
function of ``noise.py`` that the NAS method names; without it they give the most likely or mean weights.

Shapes: ``*E`` edges or nodes, O options of one choice; 16 is ``2 CANDIDATES + BOOST``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor

from metanas_pl.algorithms.nas.relaxations import (
    one_hot,
    softmax,
    switch_off,
)
from metanas_pl.algorithms.noise import BOOST, CANDIDATES
from metanas_pl.types import Alphas, Mask, Mixing, Params

if TYPE_CHECKING:
    from jaxtyping import Float


def concrete(
    alphas: Alphas, temperature: float, mask: Mask | None = None, noise: Params | None = None
) -> Mixing:
    """SNAS (Xie et al. 2019): ``softmax((alpha + g) / T)`` with Gumbel noise g.

    >>> g = {"normal_0": torch.tensor([0.0, 3.0])}
    >>> concrete({"normal_0": torch.tensor([3.0, 0.0])}, 1.0, None, g)["normal_0"]
    tensor([0.5000, 0.5000])
    """
    if noise is not None:
        alphas = {name: alpha + noise[name] for name, alpha in alphas.items()}
    return softmax(alphas, temperature, mask)


def straight_through(
    alphas: Alphas, temperature: float, mask: Mask | None = None, noise: Params | None = None
) -> Mixing:
    """GDAS (Dong & Yang 2019): the one-hot of the concrete sample, with the gradient of the sample.

    >>> straight_through({"normal_0": torch.tensor([1.0, 0.0])}, 1.0)["normal_0"]
    tensor([1., 0.])
    """
    soft = concrete(alphas, temperature, mask, noise)
    return {name: one_hot(weight) + weight - weight.detach() for name, weight in soft.items()}


def dirichlet(
    alphas: Alphas, temperature: float, mask: Mask | None = None, noise: Params | None = None
) -> Mixing:
    """DrNAS (Chen et al. 2021): a draw from Dirichlet(elu(alpha) + 1) with its pathwise gradient.

    The distribution has no temperature: ``temperature`` must be 1. Without noise it is the mean.

    >>> dirichlet({"normal_0": torch.tensor([0.0, 2.0])}, 1.0)["normal_0"]
    tensor([0.2500, 0.7500])
    """
    mixing = {}
    for name, alpha in alphas.items():
        concentration = F.elu(alpha) + 1
        draw = concentration if noise is None else gamma_draw(concentration, noise[name])
        if mask is not None and name in mask:
            draw = draw * mask[name]
        mixing[name] = draw / draw.sum(-1, keepdim=True)
    return mixing


def gamma_draw(
    concentration: Float[Tensor, "*E O"], noise: Float[Tensor, "*E O 16"]
) -> Float[Tensor, "*E O"]:
    """Returns Gamma(concentration, 1) as a smooth function of the concentration and given noise.

    Marsaglia & Tsang (2000) with shape augmentation (Naesseth et al. 2017): a draw for concentration + B
    times ``prod_i u_i^(1 / (concentration + i))``. At + B hardly a proposal is rejected, so the gradient
    of the accepted one is the pathwise gradient.

    Args:
        concentration: above 0.
        noise: from :func:`metanas_pl.algorithms.noise.gamma`: CANDIDATES normals and as many uniforms
            (proposals and their acceptance), BOOST uniforms.

    >>> from metanas_pl.algorithms.noise import episode_generator, gamma
    >>> draws = gamma_draw(torch.full((10_000,), 3.0), gamma((10_000,), episode_generator(0, 0)))
    >>> f"{draws.mean():.1f}"  # the mean of the distribution is its concentration
    '3.0'
    """
    normal, accept, boost = noise.split([CANDIDATES, CANDIDATES, BOOST], dim=-1)
    d = concentration.unsqueeze(-1) + BOOST - 1 / 3
    v = (1 + normal / (9 * d).sqrt()) ** 3
    safe = v.clamp_min(1e-6)
    accepted = (v > 0) & (accept.log() < normal**2 / 2 + d - d * v + d * safe.log())
    first = accepted & (accepted.int().cumsum(-1) == 1)
    draw = (torch.where(first, d * v, 0.0)).sum(-1)
    shapes = concentration.unsqueeze(-1) + torch.arange(BOOST, device=noise.device)
    return draw * (boost.log() / shapes).sum(-1).exp() + 1e-12


def sigmoid(
    alphas: Alphas, temperature: float, mask: Mask | None = None, noise: Params | None = None
) -> Mixing:
    """FairDARTS (Chu et al. 2020): ``sigmoid(alpha / T)``, so operations do not compete.

    >>> sigmoid({"normal_0": torch.zeros(2)}, 1.0)["normal_0"]
    tensor([0.5000, 0.5000])
    """
    return {
        name: torch.sigmoid(switch_off(alpha, mask, name) / temperature)
        for name, alpha in alphas.items()
    }


def uniform_one_hot(
    alphas: Alphas, temperature: float, mask: Mask | None = None, noise: Params | None = None
) -> Mixing:
    """Returns a random architecture, whatever the alphas are: the control. ``noise`` is uniform.

    >>> noise = {"normal_0": torch.tensor([0.1, 0.7])}
    >>> uniform_one_hot({"normal_0": torch.tensor([9.0, 0.0])}, 1.0, None, noise)["normal_0"]
    tensor([0., 1.])
    """
    if noise is None:
        return softmax(alphas, temperature, mask)
    return {
        name: one_hot(noise[name] if mask is None else noise[name] * mask[name]) for name in alphas
    }
