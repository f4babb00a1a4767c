"""What is in the folders of a user: folders, files that may be images, and what is left out."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

from metanas_pl.data.sources.decoding import SUFFIXES

PICTURES = SUFFIXES | {".eps", ".heic", ".heif", ".psd", ".svg"}
"""Endings of files that people take for images; those that are not read are refused, not skipped."""
LITTER = {"__macosx", "@eadir", "thumbs.db", "desktop.ini"}
NAMED = 3


class Skipped:
    """Lists folders, and keeps account of what in them is no image.

    Args:
        root: paths are shown relative to it.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self._seen: dict[Path, tuple[list[Path], list[Path]]] = {}
        self._by_reason: dict[str, list[str]] = defaultdict(list)

    def folders(self, folder: Path) -> list[Path]:
        """Folders in ``folder`` that may hold classes, by name."""
        return self._listed(folder)[0]

    def images(self, folder: Path) -> list[Path]:
        """Files in ``folder`` that may be images, by name."""
        return self._listed(folder)[1]

    def _listed(self, folder: Path) -> tuple[list[Path], list[Path]]:
        if folder not in self._seen:
            self._seen[folder] = ([], [])
            for entry in sorted(folder.iterdir()):
                reason = _no_image(entry)
                if reason is None:
                    self._seen[folder][0 if entry.is_dir() else 1].append(entry)
                else:
                    self._by_reason[reason].append(str(entry.relative_to(self.root)))
        return self._seen[folder]

    def lines(self) -> list[str]:
        """One line for each reason."""
        reasons = self._by_reason.items()
        return [f"left out, {reason}: {len(n):,} ({few(n)})" for reason, n in reasons]


def _no_image(entry: Path) -> str | None:
    """Why ``entry`` is neither an image nor a folder of images; None if it may be one."""
    if entry.name.startswith(".") or entry.name.lower() in LITTER:
        return "hidden or made by the system"
    if not entry.exists():
        return "broken links"
    if entry.is_dir():
        loops = entry.is_symlink() and entry.resolve() in entry.parent.resolve().parents
        return "links to a folder that they are in" if loops else None
    if not entry.is_file():
        return "no regular files"
    if entry.suffix.lower() in PICTURES or not entry.suffix:
        return None
    return f"{entry.suffix.lower()} files are no images"


def shown(name: str) -> str:
    """A file name as text that can be written, whatever its bytes.

    >>> shown("caf\\udce9")
    'caf\\\\xe9'
    """
    return os.fsencode(name).decode("utf-8", "backslashreplace")


def few(names: Sequence[str]) -> str:
    more = ", …" if len(names) > NAMED else ""
    return ", ".join(map(shown, names[:NAMED])) + more
