"""What many ranks cost: the exchange of gradients in an outer step, computed, not measured.

``python -m benchmarks.exchange`` prints a table for a small and a large job. A ring of n ranks moves
``2 (n - 1) / n`` times the gradient over its slowest link, in ``2 (n - 1)`` messages (Patarasuk and Yuan,
2009, JPDC 69); four more tensors of a few numbers take as many messages each. The gradient of a
step is there at once, at its end, so nothing of the exchange is hidden behind computing: with steps of t
seconds and an exchange of c seconds, n ranks do the work of ``n t / (t + c)``.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from hydra import compose, initialize_config_dir

from metanas_pl.cli import app
from metanas_pl.cli.factories import make_module

SMALL_EXCHANGES = 4  # tasks and scores; signals; Lightning's of signals; what meta-pruning left
JOBS = {"main job": "glyphs_5way_1shot", "paper, miniImageNet": "paper_miniimagenet_5way_1shot"}


class Link(NamedTuple):
    """The slowest connection of a ring.

    Attributes:
        bandwidth: bytes a second, each way.
        latency: seconds until a message begins to arrive.
    """

    bandwidth: float
    latency: float


LINKS = {
    (2, "PCIe 4.0 x16, 16 GB/s"): Link(16e9, 10e-6),
    (8, "NVLink, 200 GB/s"): Link(200e9, 5e-6),
    (16, "Ethernet, 10 Gbit/s"): Link(1.25e9, 50e-6),
    (64, "Ethernet, 10 Gbit/s"): Link(1.25e9, 50e-6),
    (64, "InfiniBand, 200 Gbit/s"): Link(25e9, 5e-6),
}
"""Typical values by number of ranks and name; a fabric of one's own may be far from them."""


def exchange_seconds(n_parameters: int, n_ranks: int, link: Link) -> float:
    """Seconds an outer step to average gradients of single precision.

    >>> f"{exchange_seconds(250_000, 2, Link(1e9, 0.0)):.3f}"
    '0.001'
    """
    volume = 2 * (n_ranks - 1) / n_ranks * 4 * n_parameters
    messages = 2 * (n_ranks - 1) * (1 + SMALL_EXCHANGES)
    return volume / link.bandwidth + messages * link.latency


def efficiency(step_s: float, exchange_s: float) -> float:
    """Share of the ranks' time that goes into their tasks."""
    return step_s / (step_s + exchange_s)


def n_parameters(experiment: str) -> int:
    """Numbers that a step exchanges: weights, alphas, learned inner rates."""
    app.register_schemas()
    with initialize_config_dir(app.CONFIG_DIR, version_base="1.3"):
        config: Any = compose("config", [f"experiment={experiment}", "run_dir=unused"])
    return sum(p.numel() for p in make_module(app.to_config(config)).parameters())


def main() -> None:
    """Print the table."""
    print(
        "| job | ranks | slowest link | exchange, ms a step | efficiency, steps of 0.1 s | of 1 s |"
    )
    print("|---|---|---|---|---|---|")
    for job, experiment in JOBS.items():
        n = n_parameters(experiment)
        for (n_ranks, name), link in LINKS.items():
            seconds = exchange_seconds(n, n_ranks, link)
            shares = " | ".join(f"{efficiency(step, seconds):.1%}" for step in (0.1, 1.0))
            print(
                f"| {job}, {4e-6 * n:.1f} MB | {n_ranks} | {name} | {1e3 * seconds:.2g} | {shares} |"
            )


if __name__ == "__main__":
    main()
