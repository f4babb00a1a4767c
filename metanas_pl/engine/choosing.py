"""A choice among N meta-genotypes: each task takes the one that fits its support set.

The search keeps N sets of alphas over shared weights. A task adapts its weights under each of them and
takes the set with the lowest loss on the images of the alpha-steps. The strongest published evidence for
choosing an architecture by the task is of this kind (NFTS, ICLR 2024).

Shapes: N sets of alphas; everything else as in ``episode_problem``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from metanas_pl.engine.episode_problem import EpisodeProblem
from metanas_pl.types import Alphas, Mask, Theta

if TYPE_CHECKING:
    from jaxtyping import Float, Int


def with_sets(alphas: Alphas, n: int) -> Alphas:
    """Returns N sets of initial alphas: the given ones, each with noise of its own that tells them apart.

    >>> with_sets({"a": torch.zeros(2, 3)}, 4)["a"].shape
    torch.Size([4, 2, 3])
    """
    return {name: a + 0.1 * torch.randn(n, *a.shape) for name, a in alphas.items()}


def member(values: Alphas | Mask, index: int | Tensor) -> Alphas:
    """Returns one of N sets of alphas, or of masks."""
    return {name: value[index] for name, value in values.items()}


def scattered(gradient: Alphas, index: Tensor, n: int) -> Alphas:
    """Returns the gradient of N sets of alphas, all of it at the set ``index``.

    >>> scattered({"a": torch.ones(2)}, torch.tensor(1), 2)["a"]
    tensor([[0., 0.],
            [1., 1.]])
    """
    taken = torch.arange(n, device=index.device) == index
    return {name: taken.view(-1, *(1,) * g.ndim).to(g) * g for name, g in gradient.items()}


def losses(problem: EpisodeProblem, theta: Theta, n: int) -> Float[Tensor, " {n}"]:
    """Returns the support loss of an episode under each of N sets of alphas, its weights adapted to it."""
    schedule = problem.loop.schedule._replace(arch_steps=0)
    found = []
    for index in range(n):
        one = of_member(problem, index)._replace(loop=problem.loop._replace(schedule=schedule))
        adapted = one.adapt(theta._replace(alphas=member(theta.alphas, index))).theta
        batch = one.task.support.arch(0)._replace(drop_path=None, noise=None)
        found.append(one.network.loss(*one.at(adapted, one.n_steps), batch))
    return torch.stack(found)


def chosen(problem: EpisodeProblem, theta: Theta, n: int) -> tuple[EpisodeProblem, Theta, Tensor]:
    """Returns the episode and theta with the set of alphas that fits the support set, and its index.

    The choice itself has no gradient.

    Args:
        problem: the episode, with masks of N sets.
        theta: with N sets of alphas.
        n: N.
    """
    fixed = theta._replace(weights={k: w.detach() for k, w in theta.weights.items()})
    index: Int[Tensor, ""] = losses(problem, fixed, n).detach().argmin()
    own = theta._replace(alphas=member(theta.alphas, index))
    return of_member(problem, index), own, index


def of_member(problem: EpisodeProblem, index: int | Tensor) -> EpisodeProblem:
    """Returns the episode under one of N masks."""
    network = problem.network._replace(mask=member(problem.network.mask, index))
    return problem._replace(network=network)
