"""Downloads from a server that is slow, breaks off, lies, or answers with something else."""

from __future__ import annotations

import errno
import hashlib
import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from metanas_pl.data.download import download as room
from metanas_pl.data.download.download import download
from metanas_pl.data.download.errors import ChecksumError, DownloadError, WebPageError
from tests.data.download.server import Server, serving

DATA = np.random.default_rng(0).bytes(1_000_000)
MD5 = f"md5:{hashlib.md5(DATA).hexdigest()}"
SHA256 = f"sha256:{hashlib.sha256(DATA).hexdigest()}"


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setattr(room, "PAUSE", 0.001)
    monkeypatch.setattr(room, "CHUNK", 10_000)
    with serving({"data.bin": DATA}) as server:
        yield server


def files(folder: Path) -> set[str]:
    """What a user sees, without the lock."""
    return {file.name for file in folder.iterdir() if not file.name.startswith(".")}


@pytest.mark.parametrize("checksum", [MD5, SHA256, None])
def test_a_file_comes_once(tmp_path: Path, server: Server, checksum: str | None) -> None:
    for _ in range(2):
        path = download(server.url + "data.bin", tmp_path / "new" / "data.bin", checksum)
        assert path.read_bytes() == DATA
    assert server.asked == [None] and files(path.parent) == {"data.bin"}


def test_a_redirect_is_followed(tmp_path: Path, server: Server) -> None:
    server.redirects = {"old": "older", "older": "data.bin"}
    assert download(server.url + "old", tmp_path / "data.bin", MD5).read_bytes() == DATA


@pytest.mark.parametrize(("checksum", "etag"), [(MD5, '"1"'), (None, '"1"'), (MD5, "")])
def test_a_broken_transfer_goes_on_where_it_broke(
    tmp_path: Path, server: Server, checksum: str | None, etag: str
) -> None:
    server.cuts, server.etag = [300_000, 0, 400_000], etag
    path = download(server.url + "data.bin", tmp_path / "data.bin", checksum)
    assert path.read_bytes() == DATA and files(tmp_path) == {"data.bin"}
    assert server.asked == [None, "bytes=300000-", "bytes=300000-", "bytes=700000-"]


def test_what_has_come_is_kept_for_the_next_run(tmp_path: Path, server: Server) -> None:
    server.cuts = [300_000, 0, 0, 0, 0]
    with pytest.raises(
        DownloadError, match=r"data\.bin did not come in full.*300,000 bytes are kept"
    ):
        download(server.url + "data.bin", tmp_path / "data.bin", MD5)
    assert (tmp_path / "data.bin.part").read_bytes() == DATA[:300_000]
    server.asked.clear()
    server.cuts = []
    assert download(server.url + "data.bin", tmp_path / "data.bin", MD5).read_bytes() == DATA
    assert server.asked == ["bytes=300000-"]


def test_a_server_without_ranges_begins_anew(tmp_path: Path, server: Server) -> None:
    server.cuts, server.ranges = [300_000], False
    assert download(server.url + "data.bin", tmp_path / "data.bin", MD5).read_bytes() == DATA
    server.cuts = [10] * 5
    with pytest.raises(DownloadError, match="did not come in full"):
        download(server.url + "data.bin", tmp_path / "again.bin", MD5)


@pytest.mark.parametrize("checksum", [True, False])
def test_a_file_that_changed_meanwhile_is_not_joined(
    tmp_path: Path, server: Server, checksum: bool
) -> None:
    new = DATA[::-1]
    (tmp_path / "data.bin.part").write_bytes(DATA[:300_000])
    (tmp_path / "data.bin.part.version").write_text('"0"')
    server.files["data.bin"] = new
    expected = f"md5:{hashlib.md5(new).hexdigest()}" if checksum else None
    assert download(server.url + "data.bin", tmp_path / "data.bin", expected).read_bytes() == new


def test_a_part_of_unknown_origin_is_not_used_without_a_checksum(
    tmp_path: Path, server: Server
) -> None:
    (tmp_path / "data.bin.part").write_bytes(b"x" * 10)
    assert download(server.url + "data.bin", tmp_path / "data.bin").read_bytes() == DATA
    assert server.asked == [None]


@pytest.mark.parametrize(("size", "asked"), [(len(DATA), 1), (len(DATA) + 5, 2)])
def test_a_part_that_needs_nothing_more(
    tmp_path: Path, server: Server, size: int, asked: int
) -> None:
    (tmp_path / "data.bin.part").write_bytes((DATA + b"12345")[:size])
    assert download(server.url + "data.bin", tmp_path / "data.bin", MD5).read_bytes() == DATA
    assert len(server.asked) == asked


def test_a_wrong_checksum_names_both_and_keeps_nothing(tmp_path: Path, server: Server) -> None:
    wrong = "md5:" + 32 * "0"
    with pytest.raises(ChecksumError, match=f"{wrong} expected, {MD5} found in 1,000,000 bytes"):
        download(server.url + "data.bin", tmp_path / "data.bin", wrong)
    assert files(tmp_path) == set()


def test_a_damaged_file_of_the_right_name_is_replaced(tmp_path: Path, server: Server) -> None:
    (tmp_path / "data.bin").write_bytes(DATA[:-1])
    assert download(server.url + "data.bin", tmp_path / "data.bin", MD5).read_bytes() == DATA


@pytest.mark.parametrize("content_type", ["text/html; charset=utf-8", "application/octet-stream"])
@pytest.mark.parametrize("page", [b"\n<!DOCTYPE html><title>Quota</title>", b"<HTML>log in"])
def test_a_web_page_is_no_data(
    tmp_path: Path, server: Server, content_type: str, page: bytes
) -> None:
    (tmp_path / "data.bin.part").write_bytes(DATA[:1000])
    server.files["data.bin"], server.content_type, server.ranges = page, content_type, False
    with pytest.raises(WebPageError, match="a web page in place of the file"):
        download(server.url + "data.bin", tmp_path / "data.bin", MD5)
    assert (tmp_path / "data.bin.part").read_bytes() == DATA[:1000]  # the good part stays
    server.files["data.bin"], server.content_type, server.ranges = DATA, "", True
    assert download(server.url + "data.bin", tmp_path / "data.bin", MD5).read_bytes() == DATA


def test_an_absent_file_is_asked_for_once_and_a_busy_server_again(
    tmp_path: Path, server: Server
) -> None:
    with pytest.raises(DownloadError, match="404 Not Found.*data.root"):
        download(server.url + "absent", tmp_path / "absent")
    assert len(server.asked) == 1
    server.status = 503
    with pytest.raises(DownloadError, match="503 Service Unavailable.*is there a network"):
        download(server.url + "data.bin", tmp_path / "data.bin")
    assert len(server.asked) == 1 + room.ATTEMPTS
    assert files(tmp_path) == set()


def test_silence_counts_as_broken(
    tmp_path: Path, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(room, "TIMEOUT", 0.02)
    server.pause = 1.0  # long enough that a busy machine does not make up for it
    with pytest.raises(DownloadError, match="timed out"):
        download(server.url + "data.bin", tmp_path / "data.bin")


def test_no_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "PAUSE", 0.001)
    with pytest.raises(DownloadError, match=r"refused.*is there a network"):
        download("http://127.0.0.1:9/data.bin", tmp_path / "data.bin")


def test_a_full_disk_is_seen_before_and_while_writing(
    tmp_path: Path, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: SimpleNamespace(free=10))
    with pytest.raises(DownloadError, match=r"disk of .* is full: 1,000,000 bytes.*10 free"):
        download(server.url + "data.bin", tmp_path / "data.bin")
    monkeypatch.undo()

    def no_room(*arguments: Any) -> Any:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(room, "byte_count", no_room)
    with pytest.raises(DownloadError, match="is full: no byte is free"):
        download(server.url + "data.bin", tmp_path / "data.bin")


def test_two_at_once_fetch_once(tmp_path: Path, server: Server) -> None:
    server.pause = 0.1
    url, path = server.url + "data.bin", tmp_path / "data.bin"
    with ThreadPoolExecutor(2) as pool:
        paths = list(pool.map(lambda k: download(url, path, MD5), range(2)))
    assert server.asked == [None] and [p.read_bytes() for p in paths] == [DATA, DATA]
