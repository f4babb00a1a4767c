"""The folder in which stores and downloads are kept: where it is, and the right to write in it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock

from metanas_pl.errors import UserError

REMEDY = "set METANAS_DATA or data.cache_dir to a folder in which you may write"


def default_cache_dir() -> Path:
    """``$METANAS_DATA``, or the user's cache folder.

    Raises:
        UserError: the user has no home folder, as in some containers.
    """
    if folder := os.environ.get("METANAS_DATA"):
        return expanded(folder, "METANAS_DATA")
    from platformdirs import user_cache_dir

    try:
        cache = Path(user_cache_dir("metanas_pl"))
    except RuntimeError:  # of newer releases; older ones leave the ~
        cache = Path("~")
    if not cache.is_absolute():
        raise UserError(f"there is no home folder for stores: {REMEDY}")
    return cache


def expanded(path: str, name: str) -> Path:
    """``path`` with the home folder in place of ``~``; ``name`` is the setting it comes from.

    Raises:
        UserError: there is no such home folder.
    """
    try:
        return Path(path).expanduser()
    except RuntimeError as error:
        raise UserError(f"{name}={path}: there is no such home folder, give a full path") from error


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Holds the right to write ``path`` in the cache for the block; others wait.

    Raises:
        UserError: the folder of ``path`` cannot be made, or nothing can be written in it.
    """
    lock = FileLock(path.with_name(f".{path.name}.lock"))
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock.acquire()
    except (OSError, NotImplementedError) as error:
        reason = getattr(error, "strerror", None) or error
        raise UserError(f"nothing can be kept in {path.parent} ({reason}): {REMEDY}") from error
    try:
        yield
    finally:
        lock.release()
