"""Which images lie below a folder, and what else lies there that is passed over."""

from __future__ import annotations

import os
import stat
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from metanas_pl.data.conversion.decoding import SUFFIXES, known_formats
from metanas_pl.errors import UserError

PICTURES = SUFFIXES | {".eps", ".heic", ".heif", ".psd", ".svg"}
"""Suffixes of what people take for images; files that are not read are refused with a reason."""
NAMED = 3
"""Places that a line names."""
SYSTEM_NAMES = frozenset({"thumbs.db", "ehthumbs.db", "desktop.ini", "__macosx", "@eadir"})
HIDDEN = "hidden or of the operating system"
BROKEN = "broken links"
CIRCLES = "links back to a folder above"
SPECIAL = "pipes, sockets or devices"
NO_IMAGES = "files that are no images"
EMPTY = "folders without images"

Parts = tuple[str, ...]
"""Path of a folder below the root, name by name."""


class Listing(NamedTuple):
    """What lies below a folder.

    Attributes:
        images: folder to the images directly in it, both sorted; folders without any are absent.
        left_out: kind to what is passed over, as paths below the root.
    """

    images: dict[Parts, list[Path]]
    left_out: dict[str, list[str]]

    def lines(self) -> list[str]:
        """Returns a line for each kind of what is passed over."""
        return [f"left out, {kind}: {several(names)}" for kind, names in self.left_out.items()]


def list_images(root: Path) -> Listing:
    """Returns images below ``root`` at any depth, links followed; only names and kinds of files are read.

    A file is an image by its suffix; one with another suffix is opened to see whether it is one.

    Raises:
        UserError: a folder cannot be read.
    """
    images: dict[Parts, list[Path]] = {}
    left_out: dict[str, list[str]] = defaultdict(list)
    seen: list[Parts] = []
    above = {str(root): frozenset({_identity(root)})}  # of each folder: itself and those it is in
    for here, folders, files in os.walk(root, onerror=_refuse, followlinks=True):
        place = Path(here).relative_to(root)
        chain, entered = above.pop(here), []
        for name in sorted(folders):
            path = os.path.join(here, name)
            if _is_hidden(name):
                left_out[HIDDEN].append(str(place / name))
            elif (itself := _identity(path)) in chain:
                left_out[CIRCLES].append(str(place / name))
            else:
                above[path] = chain | {itself}
                entered.append(name)
        folders[:] = entered
        seen.append(place.parts)
        for name in sorted(files):
            if kind := _why_left_out(Path(here, name)):
                left_out[kind].append(str(place / name))
            else:
                images.setdefault(place.parts, []).append(Path(here, name))
    filled = {parts[:n] for parts in images for n in range(len(parts) + 1)}
    for parts in seen:
        if parts not in filled and parts[:-1] in filled:
            left_out[EMPTY].append(os.path.join(*parts))
    return Listing(dict(sorted(images.items())), dict(left_out))


def _why_left_out(file: Path) -> str | None:
    """Returns the kind of a file that is passed over; None for an image."""
    if _is_hidden(file.name):
        return HIDDEN
    try:
        mode = file.stat().st_mode
    except OSError:
        return BROKEN
    if not stat.S_ISREG(mode):
        return SPECIAL
    return None if file.suffix.lower() in PICTURES or _is_image(file) else NO_IMAGES


def _is_hidden(name: str) -> bool:
    return name.startswith(".") or name.lower() in SYSTEM_NAMES


def _is_image(file: Path) -> bool:
    from PIL import Image

    formats = set(known_formats()) - {"TGA"}  # which has no first bytes of its own
    try:
        with Image.open(file, formats=list(formats)):
            return True
    except Image.DecompressionBombError:  # it is one; reading it says that it is too large
        return True
    except Exception:  # Pillow answers what it does not know with any of Python's
        return False


def _identity(folder: Path | str) -> tuple[int, int]:
    status = os.stat(folder)
    return status.st_dev, status.st_ino


def _refuse(error: OSError) -> None:
    raise UserError(f"{printable(str(error.filename))} cannot be read: {error.strerror}") from error


def printable(name: str) -> str:
    r"""Returns a name of a file as text; bytes that are no UTF-8 are written as ``\xe9``.

    >>> printable("caf\udce9")
    'caf\\xe9'
    """
    return os.fsencode(name).decode("utf-8", "backslashreplace")


def several(names: Sequence[str]) -> str:
    """Returns how many, and the first of them.

    >>> several(["a", "b"]), several(list("abcde"))
    ('2 (a, b)', '5 (a, b, c and 2 more)')
    """
    more = f" and {len(names) - NAMED:,} more" if len(names) > NAMED else ""
    return f"{len(names):,} ({', '.join(map(printable, names[:NAMED]))}{more})"
