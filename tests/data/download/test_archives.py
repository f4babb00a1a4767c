"""Reading folders, zips and tars, and what is refused in them."""

from __future__ import annotations

import io
import os
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path, PurePosixPath

import pytest

from metanas_pl.data.download import archives
from metanas_pl.data.download.archives import open_files
from metanas_pl.data.download.errors import ArchiveError

FILES = {"top/b/2.txt": b"two", "top/a/1.txt": b"one", "top/a/._1.txt": b"-", "top/x.bin": b"x"}


def is_text(path: PurePosixPath) -> bool:
    return path.suffix == ".txt"


def make_folder(root: Path) -> Path:
    for name, data in FILES.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(data)
    return root


def make_zip(path: Path, files: dict[str, bytes] = FILES) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return path


def make_tar(path: Path, files: dict[str, bytes] = FILES, kind: bytes = tarfile.REGTYPE) -> Path:
    with tarfile.open(path, "w:gz" if path.suffix == ".gz" else "w") as archive:
        for name, data in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(data) if kind == tarfile.REGTYPE else 0
            member.type, member.linkname = kind, "/etc/passwd"
            archive.addfile(member, io.BytesIO(data))
    return path


def read_all(root: Path) -> dict[str, bytes]:
    with open_files(root, is_text, root.parent) as files:
        return {str(name): files.read(name) for name in files.names}


@pytest.mark.parametrize(
    ("make", "name"),
    [(make_folder, "f"), (make_zip, "f.zip"), (make_tar, "f.tar"), (make_tar, "f.tar.gz")],
)
def test_the_wanted_files_in_order(tmp_path: Path, make: Callable[[Path], Path], name: str) -> None:
    root = make(tmp_path / name)
    assert list(read_all(root).items()) == [("top/a/1.txt", b"one"), ("top/b/2.txt", b"two")]
    assert [entry.name for entry in tmp_path.iterdir()] == [name]  # nothing is unpacked


def test_a_linked_folder_of_the_user_is_followed(tmp_path: Path) -> None:
    make_folder(tmp_path / "far")
    (tmp_path / "near").mkdir()
    os.symlink(tmp_path / "far" / "top", tmp_path / "near" / "link")
    assert set(read_all(tmp_path / "near")) == {"link/a/1.txt", "link/b/2.txt"}


@pytest.mark.parametrize("name", ["../out.txt", "a/../../out.txt", "/out.txt", "a\\..\\out.txt"])
@pytest.mark.parametrize("make", [make_zip, make_tar])
def test_paths_that_lead_outside(tmp_path: Path, make: Callable[..., Path], name: str) -> None:
    root = make(tmp_path / "slip", {"a.txt": b"a", name: b"out"})
    with pytest.raises(ArchiveError, match=r"slip is not safe: its member .*out\.txt.* outside"):
        read_all(root)


@pytest.mark.parametrize(
    "kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE]
)
def test_links_and_devices_in_a_tar(tmp_path: Path, kind: bytes) -> None:
    root = make_tar(tmp_path / "links.tar.gz", {"a.txt": b""}, kind)
    with pytest.raises(ArchiveError, match=r"'a\.txt' is a link or device"):
        read_all(root)


def test_a_link_in_a_zip(tmp_path: Path) -> None:
    info = zipfile.ZipInfo("a.txt")
    info.external_attr = 0o120777 << 16
    with zipfile.ZipFile(tmp_path / "links.zip", "w") as archive:
        archive.writestr(info, "/etc/passwd")
    with pytest.raises(ArchiveError, match="link or device"):
        read_all(tmp_path / "links.zip")


@pytest.mark.parametrize("limit", ["MAX_FILE_BYTES", "MAX_TOTAL_BYTES"])
@pytest.mark.parametrize("make", [make_zip, make_tar])
def test_bombs(
    tmp_path: Path, make: Callable[..., Path], limit: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = make(tmp_path / "bomb", {f"{k}.txt": bytes(1000) for k in range(3)})
    monkeypatch.setattr(archives, limit, 999)
    with pytest.raises(ArchiveError, match="grows beyond"):
        read_all(root)


def test_more_files_than_any_data_set_has(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archives, "MAX_FILES", 3)
    roots = make_zip(tmp_path / "a.zip"), make_tar(tmp_path / "b.tar"), make_folder(tmp_path / "c")
    for root in roots:
        with pytest.raises(ArchiveError, match="more than 3 files"):
            read_all(root)


def test_damaged_archives(tmp_path: Path) -> None:
    files = {f"{k}.txt": os.urandom(30_000) for k in range(3)}
    root = make_tar(tmp_path / "cut.tar.gz", files)
    root.write_bytes(root.read_bytes()[:40_000])
    with pytest.raises(ArchiveError, match=r"cut\.tar\.gz is cut short or damaged"):
        read_all(root)
    zipped = make_zip(tmp_path / "bad.zip", files)
    data = bytearray(zipped.read_bytes())
    data[500] ^= 1
    zipped.write_bytes(data)
    with pytest.raises(ArchiveError, match=r"0\.txt cannot be read"):
        read_all(zipped)
    zipped.write_bytes(data[1000:])  # the list at the end is there, the files are not
    with pytest.raises(ArchiveError, match=r"bad\.zip is cut short or damaged|cannot be read"):
        read_all(zipped)
    data[data.rindex(b"PK\x01\x02")] = 0
    zipped.write_bytes(data)
    with pytest.raises(ArchiveError, match=r"bad\.zip is cut short or damaged"):
        read_all(zipped)
    (tmp_path / "page.zip").write_text("<html>")
    with pytest.raises(ArchiveError, match="neither a folder, a zip nor a tar file"):
        read_all(tmp_path / "page.zip")


@pytest.mark.parametrize("kind", [tarfile.GNUTYPE_LONGNAME, tarfile.XHDTYPE, tarfile.XGLTYPE])
def test_names_without_end_are_not_read(tmp_path: Path, kind: bytes) -> None:
    """A name of gigabytes packs into a small file; tarfile would hold all of it in memory."""
    for position in (0, 1):
        with tarfile.open(tmp_path / "x.tar.gz", "w:gz") as archive:
            for _ in range(position):
                archive.addfile(tarfile.TarInfo("a.txt"))
            member = tarfile.TarInfo("long")
            member.type, member.size = kind, 2 << 20
            archive.addfile(member, io.BytesIO(bytes(2 << 20)))
        with pytest.raises(ArchiveError, match="not safe: a name of 2,097,152 bytes"):
            read_all(tmp_path / "x.tar.gz")


def test_a_pipe_in_a_folder_is_not_waited_for(tmp_path: Path) -> None:
    (tmp_path / "x").mkdir()
    os.mkfifo(tmp_path / "x" / "a.txt")
    with pytest.raises(ArchiveError, match=r"a\.txt is a device, a pipe or a broken link"):
        read_all(tmp_path / "x")


def test_links_in_rings_come_to_an_end(tmp_path: Path) -> None:
    root = make_folder(tmp_path / "x")
    for name in "abcdef":
        os.symlink(root, root / "top" / f"to_{name}")
    assert set(read_all(root)) == {"top/a/1.txt", "top/b/2.txt"}
