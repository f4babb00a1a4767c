"""Which process is the first, and what is told of one that is gone."""

from __future__ import annotations

import subprocess
import sys
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from metanas_pl.errors import RunFailed
from metanas_pl.training import ranks


def trainer_of_rank(rank: int, *codes: int) -> Any:
    """Stands for a Trainer whose launcher started processes that have ended with these codes."""
    started = [subprocess.Popen([sys.executable, "-S", "-c", exit_with(code)]) for code in codes]
    for process in started:
        process.wait()
    strategy = SimpleNamespace(launcher=SimpleNamespace(procs=started))
    return SimpleNamespace(global_rank=rank, local_rank=rank, strategy=strategy)


def exit_with(code: int) -> str:
    return f"import os; os.kill(os.getpid(), {-code})" if code < 0 else f"raise SystemExit({code})"


@pytest.mark.parametrize("error", [RuntimeError("[gloo] closed"), torch.distributed.DistError("x")])
@pytest.mark.parametrize(
    ("codes", "told"),
    [
        ((-9,), "rank 1 ended by SIGKILL"),
        ((0, 3), "rank 2 ended with code 3"),
    ],
)
def test_the_rank_that_died_is_named(codes: tuple[int, ...], told: str, error: Exception) -> None:
    with (
        pytest.raises(RunFailed, match=f"rank 0 ends: {told}; resume with resume=auto"),
        ranks.naming_lost_ranks(trainer_of_rank(0, *codes)),
    ):
        raise error


def test_a_launched_rank_sees_that_the_first_is_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    with (
        pytest.raises(RunFailed, match="rank 1 ends: rank 0 is gone"),
        ranks.naming_lost_ranks(trainer_of_rank(1)),
    ):
        monkeypatch.setattr("os.getppid", lambda: 1)
        raise RuntimeError("[gloo] closed")


def test_where_nobody_is_known_to_be_gone_the_reason_is_told(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(ranks, "PATIENCE_S", 0.1)
    with (
        pytest.raises(
            RunFailed, match=r"another rank cannot be reached \(\[gloo\] closed by peer\)"
        ),
        ranks.naming_lost_ranks(trainer_of_rank(0)),
    ):
        raise RuntimeError("[gloo] closed\n  by peer")


def test_other_errors_come_through() -> None:
    with pytest.raises(RuntimeError, match="shapes differ"), ranks.naming_lost_ranks(None):  # type: ignore[arg-type]
        raise RuntimeError("shapes differ")


@pytest.mark.parametrize(("name", "number", "first"), [("RANK", "1", False), ("RANK", "0", True)])
def test_the_first_process(
    name: str, number: str, first: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    for other in ranks.RANKS:
        monkeypatch.delenv(other, raising=False)
    monkeypatch.setenv(name, number)
    assert ranks.is_first_process() is first


def test_items_of_all_ranks(monkeypatch: pytest.MonkeyPatch) -> None:
    def gather(parts: list[Any], items: list[Any]) -> None:
        parts[:] = [items, ["of the other"]]

    assert ranks.of_all_ranks(["mine"]) == ["mine"]
    monkeypatch.setattr("torch.distributed.is_initialized", lambda: True)
    monkeypatch.setattr("torch.distributed.get_world_size", lambda: 2)
    monkeypatch.setattr("torch.distributed.all_gather_object", gather)
    assert ranks.of_all_ranks(["mine"]) == ["mine", "of the other"]
