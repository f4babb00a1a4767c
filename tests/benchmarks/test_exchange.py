"""The computed exchange against a ring that is played through."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks import exchange
from benchmarks.exchange import Link, efficiency, exchange_seconds


def ring_all_reduce(values: np.ndarray) -> tuple[np.ndarray, list[int]]:
    """Sum the rows of ``values`` by neighbours; and the numbers that one rank sends, message by message."""
    n_ranks, sent = len(values), []
    parts = [list(np.array_split(row.copy(), n_ranks)) for row in values]
    for gathering in (False, True):
        for turn in range(n_ranks - 1):
            messages = []
            for rank in range(n_ranks):
                which = (rank - turn + gathering) % n_ranks
                messages.append((which, parts[rank][which].copy()))
            sent.append(messages[0][1].size)
            for rank, (which, message) in enumerate(messages):
                receiver = parts[(rank + 1) % n_ranks]
                receiver[which] = message if gathering else receiver[which] + message
    return np.stack([np.concatenate(row) for row in parts]), sent


@pytest.mark.parametrize("n_ranks", [2, 3, 8])
def test_volume_and_messages_are_those_of_a_ring(n_ranks: int) -> None:
    values = np.random.default_rng(0).integers(0, 9, (n_ranks, 24 * n_ranks))
    total, sent = ring_all_reduce(values)
    assert (total == values.sum(0)).all()
    n = values.shape[1]
    assert exchange_seconds(n, n_ranks, Link(1.0, 0.0)) == pytest.approx(4 * sum(sent))
    messages = len(sent) * (1 + exchange.SMALL_EXCHANGES)
    assert exchange_seconds(n, n_ranks, Link(1e30, 1.0)) == pytest.approx(messages)


def test_efficiency() -> None:
    assert efficiency(3.0, 1.0) == 0.75


@pytest.mark.slow
def test_the_table_counts_the_parameters(capsys: pytest.CaptureFixture[str]) -> None:
    exchange.main()
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2 + len(exchange.JOBS) * len(exchange.LINKS)
    convolutions, norms, head = 9 * 64 + 3 * 9 * 64 * 64, 4 * 2 * 64, 65 * 20
    assert exchange.n_parameters("omniglot_maml_conv4") == convolutions + norms + head
