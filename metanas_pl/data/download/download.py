"""Download of one file: resumed where it broke off, checked, and named when it is whole.

What has arrived is kept beside the file as ``<name>.part``. A later attempt, in this process or
another, asks the server for the rest; whether the rest belongs to what is there is decided by the
server (``If-Range``, RFC 9110 section 13.1.5) and by the checksum.
"""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

from metanas_pl.data.download.errors import ChecksumError, DownloadError, WebPageError
from metanas_pl.data.store.cache_folder import locked
from metanas_pl.utils.progress import byte_count

if TYPE_CHECKING:
    from requests import Response

CHUNK = 1 << 16
ATTEMPTS = 4
PAUSE = 1.0
"""Seconds before the second attempt; doubled before every further one."""
TIMEOUT = 30.0
"""Seconds of silence after which a connection counts as broken."""


class _Broken(Exception):
    """The transfer ended early; another attempt may go on."""


def download(url: str, path: Path, checksum: str | None = None) -> Path:
    """Fetches ``url`` as the file ``path``, unless it is there already.

    A transfer that breaks off is resumed; after ``ATTEMPTS`` attempts in a row without a new byte
    it is given up, and the next call resumes from there. Two processes that want the same file
    fetch it once.

    Args:
        url: address; redirects are followed.
        path: final place. Its folder is created.
        checksum: ``md5:<hex>`` or ``sha256:<hex>``; None takes whatever comes.

    Raises:
        WebPageError: the server sent HTML.
        ChecksumError: the file is another one; it is removed.
        DownloadError: no network, no such file, no room on the disk, or the transfer was given up.
    """
    with locked(path):
        if path.is_file() and (checksum is None or _digest(path, checksum) == checksum):
            return path
        part = path.with_name(f"{path.name}.part")
        _fetch(url, part, checksum)
        if checksum is not None and (found := _digest(part, checksum)) != checksum:
            size = part.stat().st_size
            _forget(part)
            raise ChecksumError(
                f"{url} is not the expected file: {checksum} expected, {found} found in "
                f"{size:,} bytes, which were removed. Try again; if it stays so, the file has "
                "changed: get it elsewhere and name it by data.root"
            )
        os.replace(part, path)
        _forget(part)
    return path


def _digest(path: Path, checksum: str) -> str:
    """Returns the checksum of a file, by the algorithm of ``checksum``."""
    algorithm = checksum.partition(":")[0]
    digest = hashlib.new(algorithm)
    with path.open("rb") as file:
        while chunk := file.read(CHUNK):
            digest.update(chunk)
    return f"{algorithm}:{digest.hexdigest()}"


def _fetch(url: str, part: Path, checksum: str | None) -> None:
    """Brings ``part`` to its full length, in as many attempts as it takes."""
    failures = 0
    while True:
        before = _size(part)
        try:
            return _attempt(url, part, checksum)
        except _Broken as error:
            failures = 1 if _size(part) > before else failures + 1
            if failures >= ATTEMPTS:
                advice = f"{_size(part):,} bytes are kept in {part}; run it again to resume"
                if not _size(part):
                    advice = "is there a network? A file from elsewhere is named by data.root"
                raise DownloadError(f"{url} did not come in full ({error}): {advice}") from error
            time.sleep(PAUSE * 2 ** (failures - 1))


def _attempt(url: str, part: Path, checksum: str | None) -> None:
    """Requests what is missing and writes it behind what is there."""
    label = _label(part)
    known = label.read_text() if label.is_file() else ""
    have = _size(part) if known or checksum else 0
    headers = {"Accept-Encoding": "identity"}
    if have:
        headers["Range"] = f"bytes={have}-"
        if known:
            headers["If-Range"] = known
    with _response(url, headers) as response:
        span = response.headers.get("Content-Range", "")  # "bytes 7-9/10", or "bytes */10"
        if response.status_code == 416:  # nothing comes after what is there
            if span.endswith(f"/{have}"):
                return
            _forget(part)
            raise _Broken("the file is shorter than what was there")
        _refuse_errors(url, response)
        chunks = response.iter_content(CHUNK)
        first = next(chunks, b"")
        goes_on = response.status_code == 206 and span.startswith(f"bytes {have}-")
        if not goes_on:
            if first.lstrip()[:9].lower().startswith((b"<!doctype", b"<html")):
                raise _web_page(url)
            have = 0
            label.write_text(_validator(response))
        length = response.headers.get("Content-Length")
        total = have + int(length) if length else None
        _write(chain([first], chunks), part, have, total)


@contextmanager
def _response(url: str, headers: dict[str, str]) -> Iterator[Response]:
    import requests

    passing = (
        requests.ConnectionError,
        requests.Timeout,
        requests.exceptions.ChunkedEncodingError,
    )
    try:
        with requests.get(url, headers=headers, stream=True, timeout=TIMEOUT) as response:
            yield response
    except passing as error:
        raise _Broken(_reason(error)) from error
    except requests.RequestException as error:
        raise DownloadError(f"{url} cannot be fetched: {_reason(error)}") from error


def _reason(error: Exception) -> str:
    """Returns innermost cause of a failed request: it says what is wrong, the layers around it where."""
    while inner := error.__cause__ or error.__context__:
        error = inner  # type: ignore[assignment]
    return str(error) or type(error).__name__


def _refuse_errors(url: str, response: Response) -> None:
    status = f"{response.status_code} {response.reason}"
    if response.status_code == 429 or response.status_code >= 500:
        raise _Broken(f"the server answered {status}")
    if response.status_code >= 400:
        raise DownloadError(
            f"{url} cannot be fetched: the server answered {status}. "
            "Get the file elsewhere and name it by data.root"
        )
    if response.headers.get("Content-Type", "").startswith("text/html"):
        raise _web_page(url)


def _web_page(url: str) -> WebPageError:
    return WebPageError(
        f"{url} answered with a web page in place of the file, as for a log-in, a quota or "
        "a notice. Open it in a browser, save the file, and name it by data.root"
    )


def _validator(response: Response) -> str:
    """Returns what the server calls this version of the file; empty if it has no exact name for it."""
    etag: str = response.headers.get("ETag", "")
    if etag.startswith('"'):
        return etag
    return str(response.headers.get("Last-Modified", ""))


def _write(chunks: Iterable[bytes], part: Path, have: int, total: int | None) -> None:
    """Puts ``chunks`` behind the first ``have`` bytes of ``part``, which then has ``total``."""
    free = shutil.disk_usage(part.parent).free
    if total is not None and total - have > free:
        raise _full(part, f"{total - have:,} bytes are needed and {free:,} free")
    name = part.name.removesuffix(".part")
    try:
        with part.open("ab") as file, byte_count(f"Downloading {name}", total, have) as advance:
            file.truncate(have)
            for chunk in chunks:
                file.write(chunk)
                advance(len(chunk))
    except OSError as error:  # the errors of requests are some, too
        if error.errno == errno.ENOSPC:
            raise _full(part, "no byte is free") from error
        raise
    if total is not None and _size(part) < total:
        raise _Broken(f"{_size(part):,} of {total:,} bytes")


def _full(part: Path, what: str) -> DownloadError:
    return DownloadError(
        f"the disk of {part.parent} is full: {what}. Make room, or choose another folder by "
        "data.cache_dir or METANAS_DATA; what has arrived is kept"
    )


def _label(part: Path) -> Path:
    return part.with_name(f"{part.name}.version")


def _size(part: Path) -> int:
    return part.stat().st_size if part.is_file() else 0


def _forget(part: Path) -> None:
    part.unlink(missing_ok=True)
    _label(part).unlink(missing_ok=True)
