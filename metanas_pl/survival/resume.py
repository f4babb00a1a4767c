"""Where a run goes on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from metanas_pl.conf import Config
from metanas_pl.errors import UserError

LAST = "last"  # ckpt_path: the newest of the run folder


def choose_checkpoint(config: Config) -> str | None:
    """Path of the checkpoint to go on with: ``ckpt_path``, or the newest of the run folder.

    ``resume=auto`` begins anew where the run folder has none; ``ckpt_path=last`` refuses to.

    Raises:
        UserError: there is no such checkpoint.
    """
    if config.resume is None and config.ckpt_path != LAST:
        return config.ckpt_path
    found = newest(checkpoint_folder(config))
    if found is None and config.ckpt_path == LAST:
        raise UserError(f"ckpt_path=last: there is no checkpoint in {checkpoint_folder(config)}")
    return None if found is None else str(found)


def checkpoint_folder(config: Config) -> Path:
    """Where a run keeps its checkpoints."""
    return Path(config.run_dir).resolve() / "checkpoints"


def newest(folder: Path) -> Path | None:
    """The checkpoint of the most outer steps, the last written of several; what does not load is none."""
    from metanas_pl.survival import checkpoint  # loads torch

    found = []
    for path in folder.glob("*.ckpt"):
        try:
            step = steps_of(checkpoint.read(str(path)))
        except ValueError:
            continue
        found.append((step, path.stat().st_mtime_ns, path))
    return max(found)[-1] if found else None


def steps_of(content: dict[str, Any]) -> int:
    """Outer steps behind a checkpoint.

    Raises:
        UserError: it does not say.
    """
    if "global_step" not in content:
        raise UserError("the checkpoint to go on with is damaged: it has no global_step")
    return int(content["global_step"])


def is_inside(path: str | Path | None, folder: str | Path) -> bool:
    """Whether there is a ``path``, and it lies in ``folder``.

    >>> is_inside("runs/a/checkpoints/last.ckpt", "runs/a"), is_inside(None, "runs/a")
    (True, False)
    """
    return path is not None and Path(folder).resolve() in Path(path).resolve().parents
