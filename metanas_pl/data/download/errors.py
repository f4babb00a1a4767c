"""What can be wrong with fetched data; every message says where, and what to do."""

from __future__ import annotations

from metanas_pl.errors import UserError


class FetchError(UserError):
    """Data that was fetched is absent or not what it should be."""


class DownloadError(FetchError):
    """A file could not be had in full."""


class WebPageError(DownloadError):
    """The server sent a web page in place of the file."""


class ChecksumError(DownloadError):
    """A file came in full, but it is another one."""


class ArchiveError(FetchError):
    """An archive is damaged, or holds what no archive of data needs."""


class PickleError(FetchError):
    """A pickle is damaged, or asks for more than plain values and arrays."""
