"""Small inner problems in double precision, and finite differences for them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.func import functional_call

from metanas_pl.algorithms.inner_loop import Adapted, InnerLoop, InnerSchedule
from metanas_pl.algorithms.inner_optimizers import InnerOptimizer
from metanas_pl.algorithms.inner_problem import Batch, InnerProblem, Objective, Pass, Support
from metanas_pl.algorithms.nas.relaxations import softmax
from metanas_pl.search_spaces import Supernet
from metanas_pl.types import Theta


def toy(pair_inputs: bool = True, **options: Any) -> tuple[Supernet, Theta]:
    """A supernet of two small cells with random alphas."""
    net = Supernet(
        in_channels=1,
        n_ways=3,
        channels=4,
        n_cells=2,
        n_nodes=2,
        reductions=[1],
        pair_inputs=pair_inputs,
        **options,
    ).double()
    alphas = {k: torch.randn_like(a, dtype=torch.float64) for k, a in net.alphas().items()}
    return net, Theta({k: p.detach() for k, p in net.named_parameters()}, alphas)


def objective_of(net: Supernet, relaxation: Callable[..., Any] = softmax) -> Objective:
    """Cross-entropy of ``net`` under a relaxation."""

    def loss(weights: Any, mixing: Any, batch: Batch) -> Tensor:
        return F.cross_entropy(functional_call(net, weights, (batch.x, mixing)), batch.y)

    return Objective(lambda alphas, t, noise: relaxation(alphas, t, None, noise), loss)


def inner_loop(
    gradient: Any, optimizers: Any, temperatures: Sequence[float], arch_steps: int, **more: Any
) -> InnerLoop:
    """An inner loop whose queries see the last temperature."""
    last = temperatures[-1] if temperatures else 1.0
    schedule = InnerSchedule(tuple(temperatures), arch_steps, last)
    return InnerLoop(gradient, optimizers, schedule, **more)


@dataclass(frozen=True)
class FunctionProblem:
    """A problem of a meta-learner that is made of functions."""

    adapt: Callable[[Theta], Adapted]
    query_loss: Callable[..., tuple[Tensor, Tensor]]
    inner_steps: Callable[..., Iterator[Adapted]] = lambda *_: iter(())
    support_loss: Callable[[Theta], Tensor] = lambda _: torch.tensor(0.0)
    outer_step: int = 0
    n_steps: int = 1
    proximal: float = 0.0
    adapting: Callable[[Theta], Theta] = lambda theta: theta


def make_support(steps: int, n: int = 6, noise: Any = None) -> Support:
    """Random images; the alpha-step sees other rows than the w-step."""
    rows = torch.arange(n).expand(steps, n)
    x = torch.randn(n, 1, 8, 8, dtype=torch.float64)
    return Support(x, torch.arange(n) % 3, rows, rows.flip(1)[:, :4], None, noise)


def inner_problem(
    objective: Objective,
    theta: Theta,
    optimizer: InnerOptimizer,
    support: Support | None = None,
    temperature: float = 0.7,
) -> InnerProblem:
    """The first inner step."""
    support = support or make_support(1)
    passes = [
        Pass(objective, batch, temperature, {}) for batch in (support.train(0), support.arch(0))
    ]
    return InnerProblem(*passes, *theta[:2], optimizer, optimizer.init(theta.weights))


def coordinates(values: dict[str, Tensor], per_tensor: int) -> Iterator[tuple[str, int]]:
    """Some coordinates of every tensor, spread over it."""
    for name, value in values.items():
        stride = max(1, value.numel() // per_tensor)
        yield from ((name, i) for i in range(0, value.numel(), stride))


def finite_difference(
    function: Callable[[dict[str, Tensor]], Tensor],
    values: dict[str, Tensor],
    name: str,
    position: int,
    eps: float = 1e-6,
) -> Tensor:
    """Central difference of a scalar function along one coordinate."""
    shift = torch.zeros_like(values[name]).reshape(-1)
    shift[position] = eps
    shift = shift.view_as(values[name])
    up, down = (function({**values, name: values[name] + s * shift}) for s in (1, -1))
    return (up - down) / (2 * eps)


def assert_gradient(
    gradient: dict[str, Tensor],
    function: Callable[[dict[str, Tensor]], Tensor],
    values: dict[str, Tensor],
    per_tensor: int = 2,
    rtol: float = 1e-4,
    atol: float = 1e-7,
    every: int = 1,
) -> None:
    """Compare a gradient with finite differences of an independent function, at every n-th coordinate."""
    for name, position in list(coordinates(values, per_tensor))[::every]:
        expected = finite_difference(function, values, name, position)
        actual = gradient[name].reshape(-1)[position]
        torch.testing.assert_close(
            actual, expected, rtol=rtol, atol=atol, msg=lambda text, n=name: f"{n}: {text}"
        )
