"""Files of a folder, a zip or a tar, read where they are: nothing is ever unpacked.

So no member can be written outside a folder, through a link or into a device. What is refused
all the same: paths that lead outside (no archive of data has them), links in place of files, and
members without end. The files of a compressed tar can only be read in their order; the wanted ones
are copied, one behind the other, into one nameless temporary file.
"""

from __future__ import annotations

import lzma
import os
import shutil
import struct
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from metanas_pl.data.download.errors import ArchiveError
from metanas_pl.data.download.slices import Slices, Span
from metanas_pl.utils.progress import track

MAX_FILES = 2_000_000
MAX_FILE_BYTES = 1 << 29
MAX_TOTAL_BYTES = 1 << 36

MAX_NAME_BYTES = 1 << 20
NAME_RECORDS = (
    tarfile.GNUTYPE_LONGNAME,
    tarfile.GNUTYPE_LONGLINK,
    tarfile.XHDTYPE,
    tarfile.XGLTYPE,
    tarfile.SOLARIS_XHDTYPE,
)
"""Members of a tar that are names, or more attributes, of the next one."""
DAMAGE = (
    zipfile.BadZipFile,
    tarfile.TarError,
    zlib.error,
    lzma.LZMAError,
    struct.error,
    OSError,
    EOFError,
    RuntimeError,  # encrypted, or compressed in a way that Python does not know
    ValueError,
    LookupError,
    OverflowError,
)
"""What zipfile and tarfile answer to nonsense."""

Wanted = Callable[[PurePosixPath], bool]


@dataclass(frozen=True)
class Files:
    """The wanted files below one root.

    Attributes:
        names: their paths below the root, sorted.
        read: the bytes of one of them; may be called from any thread.
    """

    names: tuple[PurePosixPath, ...]
    read: Callable[[PurePosixPath], bytes]


@contextmanager
def open_files(root: Path, wanted: Wanted, scratch: Path) -> Iterator[Files]:
    """Returns the files of a folder, zip or tar (compressed or not) whose path is ``wanted``.

    Args:
        root: the folder or archive.
        wanted: called with each path. Hidden files are never asked about.
        scratch: an existing folder with room for the wanted files of a tar, which are gone
            when the context ends, however it ends.

    Raises:
        ArchiveError: ``root`` is none of these, is damaged, or holds what is refused.
    """
    if root.is_dir():
        yield _folder(root, wanted)
    elif zipfile.is_zipfile(root):
        with _opened_zip(root) as archive:
            yield _zip(root, archive, wanted)
    elif root.is_file():
        with tempfile.TemporaryFile(dir=scratch) as spool:
            spans = _copy(root, wanted, spool)
            slices = Slices(spool)
            yield Files(tuple(sorted(spans)), lambda name: slices.read(spans[name]))
    else:
        raise ArchiveError(f"{root} is neither a folder, a zip nor a tar file")


def _folder(root: Path, wanted: Wanted) -> Files:
    names = []
    visited = {os.path.realpath(root)}
    for folder, folders, files in os.walk(root, followlinks=True):
        below = PurePosixPath(Path(folder).relative_to(root).as_posix())
        names += [below / file for file in files]
        if len(names) > MAX_FILES:
            raise _too_many(root)
        real = {name: os.path.realpath(os.path.join(folder, name)) for name in folders}
        folders[:] = [name for name in folders if real[name] not in visited]  # links lead in rings
        visited.update(real.values())
    chosen = sorted(n for n in names if not n.name.startswith(".") and wanted(n))
    return Files(tuple(chosen), lambda name: _content(root / name))


def _content(file: Path) -> bytes:
    if not file.is_file():  # a pipe would be waited for
        raise ArchiveError(f"{file} is a device, a pipe or a broken link")
    return file.read_bytes()


def _opened_zip(root: Path) -> zipfile.ZipFile:
    try:
        return zipfile.ZipFile(root)
    except DAMAGE as error:
        raise ArchiveError(
            f"{root} is cut short or damaged ({error}): download it again"
        ) from error


def _zip(root: Path, archive: zipfile.ZipFile, wanted: Wanted) -> Files:
    guard = _Guard(root, wanted)
    members = {}
    for info in archive.infolist():
        is_link = (info.external_attr >> 16) & 0o170000 == 0o120000
        if not info.is_dir() and guard.lets_in(info.filename, info.file_size, not is_link):
            members[PurePosixPath(info.filename)] = info

    def read(name: PurePosixPath) -> bytes:
        try:
            return archive.read(members[name])
        except DAMAGE as error:
            raise ArchiveError(f"{root}: {name} cannot be read ({error})") from error

    return Files(tuple(sorted(members)), read)


class _Member(tarfile.TarInfo):
    """A member whose name is no longer than names are: tarfile would read one of any length."""

    def _proc_member(self, archive: tarfile.TarFile) -> tarfile.TarInfo:
        if self.type in NAME_RECORDS and self.size > MAX_NAME_BYTES:
            root = os.fsdecode(archive.name or "")
            raise ArchiveError(f"{root} is not safe: a name of {self.size:,} bytes")
        return super()._proc_member(archive)  # type: ignore[misc]


def _opened_tar(root: Path) -> tarfile.TarFile:
    try:
        return tarfile.open(root, "r|*", tarinfo=_Member)
    except ArchiveError:
        raise
    except DAMAGE as error:
        raise ArchiveError(f"{root} is neither a folder, a zip nor a tar file") from error


def _copy(root: Path, wanted: Wanted, spool: BinaryIO) -> dict[PurePosixPath, Span]:
    """Appends the wanted members of a tar to ``spool``; where each one is."""
    guard = _Guard(root, wanted)
    spans = {}
    try:
        with _opened_tar(root) as archive:
            for member in track(archive, f"Looking through {root.name}"):
                if member.isdir() or not guard.lets_in(member.name, member.size, member.isfile()):
                    continue
                spans[PurePosixPath(member.name)] = Span(spool.tell(), member.size)
                file = archive.extractfile(member)
                assert file is not None
                shutil.copyfileobj(file, spool)
    except ArchiveError:
        raise
    except DAMAGE as error:
        raise ArchiveError(
            f"{root} is cut short or damaged ({error}): download it again"
        ) from error
    return spans


class _Guard:
    """Decides on the members of one archive, and counts them."""

    def __init__(self, root: Path, wanted: Wanted) -> None:
        self.root = root
        self.wanted = wanted
        self.n_files = self.total = 0

    def lets_in(self, name: str, size: int, is_file: bool) -> bool:
        """Returns whether a member is wanted; ArchiveError if it is one that must not be there."""
        path = PurePosixPath(name)
        if path.is_absolute() or ".." in path.parts or "\\" in name:
            raise ArchiveError(f"{self.root} is not safe: its member {name!r} leads outside")
        self.n_files += 1
        if self.n_files > MAX_FILES:
            raise _too_many(self.root)
        if path.name.startswith(".") or not self.wanted(path):
            return False
        if not is_file:
            raise ArchiveError(f"{self.root} is not safe: its member {name!r} is a link or device")
        self.total += size
        if size > MAX_FILE_BYTES or self.total > MAX_TOTAL_BYTES:
            raise ArchiveError(
                f"{self.root} is not safe: at its member {name!r} it grows beyond "
                f"{MAX_FILE_BYTES:,} bytes a file or {MAX_TOTAL_BYTES:,} in all"
            )
        return True


def _too_many(root: Path) -> ArchiveError:
    return ArchiveError(f"{root} holds more than {MAX_FILES:,} files: name the data set's own")
