"""How commands end on an error: a line for what the user can mend, a report for a fault of the software."""

from __future__ import annotations

import argparse
import errno
import os
import platform
import sys
import tempfile
import traceback
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import NoReturn, TypeVar

import metanas_pl
from metanas_pl.errors import AFTER_SIGNAL, RunFailed, UserError

T = TypeVar("T")

SHOW_TRACE = "HYDRA_FULL_ERROR"  # the environment variable with which Hydra shows traces, too
INTERRUPTED = AFTER_SIGNAL + 2  # SIGINT
REPORT = "fault"  # begins the names of the files that hold traces
PACKAGES = ("torch", "pytorch_lightning", "hydra-core", "numpy")
OF_THE_MACHINE = {
    errno.EACCES: "you may not use it: change its permissions, or name another place",
    errno.EPERM: "you may not use it: change its permissions, or name another place",
    errno.EROFS: "its file system is read-only: name another place",
    errno.ENOTDIR: "a part of this path is a file, where a folder is expected",
    errno.EISDIR: "it is a folder, where a file is expected",
    errno.EEXIST: "there is a file of this name, where a folder is expected",
    errno.ENAMETOOLONG: "this name is too long for its file system",
    errno.ELOOP: "its symbolic links go in a circle",
    errno.ENOSPC: "its disk is full: make space, or name another place",
    errno.EDQUOT: "your disk quota is used up: make space, or name another place",
    errno.EMFILE: "too many files are open: raise the limit (ulimit -n), or set data.num_workers=0",
    errno.EIO: "its disk reports an error",
    errno.ESTALE: "its network file system has lost it: try again",
}
"""Errors of the operating system that a user can mend, and what to do."""


def with_short_errors(action: Callable[[], T], run_dir: str | Path | None = None) -> T:
    """Runs ``action``; what it raises becomes a line or two, and an exit code.

    2 after a mistake of the user, 1 after a failed run or a fault of this package, 130 after Ctrl-C. The
    trace of a fault is written to ``run_dir``, or to a folder for temporary files. ``HYDRA_FULL_ERROR=1``
    lets every error through.
    """
    try:
        return action()
    except BrokenPipeError:  # of "metanas-data list | head"
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise SystemExit(1) from None
    except KeyboardInterrupt:
        print("\ninterrupted: no half-built store is left behind", file=sys.stderr)
        raise SystemExit(INTERRUPTED) from None
    except Exception as error:
        if os.environ.get(SHOW_TRACE) == "1":
            raise
        if isinstance(error, RunFailed):
            fail(str(error), code=1)
        if isinstance(error, UserError):
            fail(str(error))
        if isinstance(error, OSError) and error.errno in OF_THE_MACHINE:
            place = f"{error.filename}: " if error.filename is not None else ""
            fail(f"{place}{error.strerror}: {OF_THE_MACHINE[error.errno]}")
        print(explain(error, run_dir), file=sys.stderr)
        raise SystemExit(1) from error


def fail(message: str, code: int = 2) -> NoReturn:
    """Prints what is wrong in one line, and exits."""
    line = " ".join(part.strip() for part in message.splitlines())
    print(f"error: {line}", file=sys.stderr)
    raise SystemExit(code)


def explain(error: Exception, run_dir: str | Path | None = None) -> str:
    """Returns two lines on a fault: what it is, and where its trace was written."""
    first = next(iter(str(error).strip().splitlines()), "")
    what = type(error).__name__ + (f": {first}" if first else "")
    lines = f"error: this is a fault of metanas_pl (or of a library that it uses): {what}\n"
    path = write_report(error, run_dir)
    if path is None:
        return f"{lines}please report it, with what {SHOW_TRACE}=1 shows"
    return (
        f"{lines}please report it with {path}, which holds the trace, the versions and the command"
    )


def write_report(error: Exception, run_dir: str | Path | None) -> Path | None:
    """Writes trace, versions and command to a file of its own; None if nothing can be written anywhere."""
    trace = "".join(traceback.format_exception(error))
    command = " ".join(sys.argv)
    text = f"{command}\n{platform.platform()}, Python {platform.python_version()}\n"
    text += f"{versions()}\n\n{trace}"
    for folder in (run_dir, tempfile.gettempdir()):
        if folder is None or not Path(folder).is_dir():
            continue
        try:
            handle, name = tempfile.mkstemp(".txt", f"{REPORT}-", Path(folder).resolve())
            with open(handle, "w", encoding="utf-8", errors="backslashreplace") as file:
                file.write(text)
        except OSError:
            continue
        return Path(name)
    return None


class ShowVersions(argparse.Action):
    """``--version`` of a parser; the versions are looked up only when it is asked for."""

    def __call__(self, parser: argparse.ArgumentParser, *args: object) -> NoReturn:
        print(versions())
        parser.exit()


def versions() -> str:
    """Returns versions of this package and of those that it stands on, without loading them."""
    theirs = [f"{name} {version(name)}" for name in PACKAGES]
    return ", ".join([f"metanas_pl {metanas_pl.__version__}", *theirs])
