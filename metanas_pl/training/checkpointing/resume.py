"""Where a run resumes, and which file of a run folder is meant."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from metanas_pl.config import Config
from metanas_pl.errors import UserError

if TYPE_CHECKING:
    from metanas_pl.types import Checkpoint

CHECKPOINTS = "checkpoints"  # the folder of them in a run folder
BEST, LAST = "best", "last"  # ckpt_path: the best and the newest of a run folder


def choose_checkpoint(config: Config) -> str | None:
    """Returns the checkpoint to resume from: what ``ckpt_path`` names, or the newest of the run folder.

    ``resume=auto`` starts a new run where the run folder has none; ``ckpt_path=last`` refuses to.

    Raises:
        UserError: there is no such checkpoint.
    """
    run_dir = Path(config.run_dir).resolve()
    if config.resume is not None:
        found = newest(run_dir / CHECKPOINTS)
        return None if found is None else str(found)
    if config.ckpt_path is None:
        return None
    return find(config.ckpt_path, run_dir, default=LAST)


def find(name: str, run_dir: str | Path, default: str = BEST) -> str:
    """Returns the file that ``ckpt_path`` means.

    Args:
        name: a file; ``best`` or ``last`` (the newest) of ``run_dir``; or a run folder, alone or with one
            of these behind it, as ``runs/a/last``.
        run_dir: the folder of this run.
        default: what a run folder alone means, ``best`` or ``last``.

    Raises:
        UserError: there is no such file.
    """
    path = Path(name)
    if name in (BEST, LAST):
        folder, which = Path(run_dir), name
    elif path.is_dir():
        folder, which = path, default
    elif path.name in (BEST, LAST) and path.parent.is_dir():
        folder, which = path.parent, path.name
    else:
        if not path.is_file():
            raise UserError(f"ckpt_path={name}: there is no such file or run folder")
        return name
    folder = folder / CHECKPOINTS if (folder / CHECKPOINTS).is_dir() else folder
    found = newest(folder) if which == LAST else folder / f"{BEST}.ckpt"
    if found is None or not found.is_file():
        known = ", ".join(sorted(file.name for file in folder.glob("*.ckpt"))) or "none"
        what = f"{BEST}.ckpt" if which == BEST else "checkpoint that loads"
        raise UserError(f"ckpt_path={name}: there is no {what} in {folder} (checkpoints: {known})")
    return str(found)


def newest(folder: Path) -> Path | None:
    """Returns the checkpoint of the most outer steps, the last written of several that load."""
    found = []
    for path in folder.glob("*.ckpt"):
        step = step_in(path)
        if step is not None:
            found.append((step, path.stat().st_mtime_ns, path))
    return max(found)[-1] if found else None


def step_in(path: Path) -> int | None:
    """Returns outer steps behind a file; None if it is no checkpoint that loads."""
    from metanas_pl.training.checkpointing import checkpoint

    try:
        return steps_of(checkpoint.read(str(path)))
    except UserError:
        return None


def steps_of(content: Checkpoint) -> int:
    """Returns outer steps behind a checkpoint.

    Raises:
        UserError: it does not say.
    """
    if "global_step" not in content:
        raise UserError("the checkpoint to resume from is damaged: it has no global_step")
    return int(content["global_step"])


def is_inside(path: str | Path | None, folder: str | Path) -> bool:
    """Returns whether there is a ``path``, and it lies in ``folder``.

    >>> is_inside("runs/a/checkpoints/last.ckpt", "runs/a"), is_inside(None, "runs/a")
    (True, False)
    """
    return path is not None and Path(folder).resolve() in Path(path).resolve().parents


def recount_batches(checkpoint: Checkpoint, n_tasks: int) -> None:
    """Counts the batches of a checkpoint's epoch as batches of ``n_tasks``, in place.

    Lightning accumulates by that count, and a resumed run may accumulate where there were more ranks. A
    batch after which it was saved is not completed: at a resume Lightning adds it as one.
    """
    from metanas_pl.utils.lightning_private import batch_counts  # loads Lightning

    progress = batch_counts(checkpoint)
    then = checkpoint["datamodule_hyper_parameters"]["meta_batch_size"]
    open_batches = progress["ready"] - progress["completed"]
    for state, count in progress.items():
        progress[state] = count * then // n_tasks
    progress["completed"] = progress["ready"] - open_batches
