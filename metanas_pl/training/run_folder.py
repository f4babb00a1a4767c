"""A run folder belongs to one run at a time, and what a run left in it is not overwritten."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from metanas_pl.errors import UserError
from metanas_pl.training.checkpointing.resume import CHECKPOINTS, is_inside
from metanas_pl.training.ranks import is_first_process
from metanas_pl.utils.files import space_for

RESULTS = "results.json"
LOCK = ".lock"
PATIENCE_S = 8.0
"""For how long processes of a killed run may still be on their way out: a data loader's look every five."""


@contextmanager
def held(run_dir: str | Path) -> Iterator[None]:
    """Makes a run folder, and keeps other runs out of it for the block.

    The operating system gives the lock back however the process ends, so none is left by ``kill -9``. Only
    the first process of a run holds it, for all of them.

    Raises:
        UserError: another run is at work in it, or it cannot be made or written.
        RunFailed: there is no space left.
    """
    if not is_first_process():
        yield
        return
    lock = _acquired(Path(run_dir).resolve())
    try:
        yield
    finally:
        lock.release()


def _acquired(run_dir: Path) -> FileLock:
    lock = FileLock(run_dir / LOCK)
    try:
        with space_for(run_dir / LOCK):
            run_dir.mkdir(parents=True, exist_ok=True)
            probe = (
                run_dir / f"{LOCK}.part"
            )  # tells a folder that cannot be written from one without locks
            probe.touch()
            probe.unlink()
    except OSError as error:
        raise UserError(
            f"run_dir={run_dir} cannot be written ({error.strerror}): give another hydra.run.dir"
        ) from error
    try:
        lock.acquire(timeout=PATIENCE_S)
    except Timeout as error:
        raise UserError(
            f"run_dir={run_dir}: another run is at work in this folder; wait for its end, or give another "
            "hydra.run.dir"
        ) from error
    except (OSError, NotImplementedError) as error:
        warnings.warn(
            f"{run_dir}: its file system has no locks ({error}), so a second run in it is not noticed",
            stacklevel=2,
        )
    return lock


def has_checkpoints(run_dir: str | Path) -> bool:
    """Returns whether a training left checkpoints in the folder."""
    return any(Path(run_dir, CHECKPOINTS).glob("*.ckpt"))


def check_free(run_dir: str | Path, ckpt_path: str | None) -> None:
    """Refuses a folder with results, or with checkpoints, of a run that this one does not resume.

    Args:
        run_dir: the folder.
        ckpt_path: the file that the run resumes from; None if it starts a new one.

    Raises:
        UserError: they would be overwritten.
    """
    if is_inside(ckpt_path, run_dir) or not is_first_process():
        return
    resumable = has_checkpoints(run_dir)
    if Path(run_dir, RESULTS).exists():
        what = "a finished run"
    elif resumable:
        what = "a run that was stopped"
    else:
        return
    way_on = "resume=auto resumes it, another hydra.run.dir keeps it"
    raise UserError(
        f"run_dir={Path(run_dir).resolve()} holds {what}, which would be overwritten: "
        f"{way_on if resumable else 'give another hydra.run.dir'}"
    )
