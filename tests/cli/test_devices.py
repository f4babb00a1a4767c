"""How many processes a training takes."""

from __future__ import annotations

import pytest

from metanas_pl.cli import devices
from metanas_pl.cli.app import to_config
from metanas_pl.errors import UserError
from tests.runs import compose


def resolved(*overrides: str) -> object:
    return to_config(compose(["run_dir=here", *overrides])).trainer["devices"]


@pytest.mark.parametrize(
    ("cores", "tasks", "expected"), [(2, 6, 2), (4, 6, 3), (8, 5, 5), (1, 6, 1)]
)
def test_the_main_job_takes_a_process_for_each_core_that_its_tasks_can_use(
    cores: int, tasks: int, expected: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(devices, "n_cores", lambda: cores)
    assert resolved(f"data.meta_batch_size={tasks}", "data.n_train_episodes=300") == expected


def test_one_process_where_others_would_not_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(devices, "n_cores", lambda: 2)
    assert resolved("meta.inner.state=carried") == 1
    assert resolved("trainer.devices=1") == 1
    with pytest.raises(UserError, match="divide evenly among 4 devices"):
        resolved("trainer.devices=4")


def test_launchers_choose_by_themselves(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "1")
    assert resolved() == "auto"
