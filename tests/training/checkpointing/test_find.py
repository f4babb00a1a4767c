"""Which file of a run folder ``ckpt_path`` means, and where a resumed epoch stands."""

from __future__ import annotations

from pathlib import Path

import pytest

from metanas_pl.errors import UserError
from metanas_pl.training.checkpointing import resume


@pytest.fixture
def run_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of a run whose ``last.ckpt`` is the newest."""
    folder = tmp_path / "a=b 'c'" / "checkpoints"
    folder.mkdir(parents=True)
    for step, name in enumerate(("best", "last")):
        (folder / f"{name}.ckpt").write_text(str(step))
    monkeypatch.setattr(resume, "step_in", lambda path: int(path.read_text()))
    return folder.parent


@pytest.mark.parametrize(
    ("name", "default", "file"),
    [
        ("{run}", "best", "best"),
        ("{run}", "last", "last"),
        ("{run}/best", "last", "best"),
        ("{run}/last", "best", "last"),
        ("{run}/checkpoints", "best", "best"),
        ("{run}/checkpoints/last.ckpt", "best", "last"),
        ("best", "last", "best"),
        ("last", "best", "last"),
    ],
)
def test_names(name: str, default: str, file: str, run_dir: Path) -> None:
    found = resume.find(name.format(run=run_dir), run_dir, default)
    assert Path(found) == run_dir / "checkpoints" / f"{file}.ckpt"


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("{run}/worst", "there is no such file or run folder"),
        ("{run}/..", "there is no best.ckpt in .*checkpoints: none"),
        ("nowhere/last", "there is no such file or run folder"),
    ],
)
def test_what_is_not_there(name: str, told: str, run_dir: Path) -> None:
    with pytest.raises(UserError, match=told):
        resume.find(name.format(run=run_dir), run_dir)


def test_three_batches_of_four_tasks_are_six_of_two() -> None:
    counts = {"ready": 3, "started": 3, "processed": 3, "completed": 2}
    loops = {"fit_loop": {"epoch_loop.batch_progress": {"current": counts}}}
    resume.recount_batches(
        {"loops": loops, "datamodule_hyper_parameters": {"meta_batch_size": 4}}, 2
    )
    assert counts == {"ready": 6, "started": 6, "processed": 6, "completed": 5}
