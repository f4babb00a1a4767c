"""A local HTTP server that serves files and misbehaves on demand."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class Server:
    """What is served, how, and what was asked for.

    Attributes:
        files: content by path.
        cuts: how many bytes each coming answer has before the connection breaks.
        ranges: whether ranges are honoured.
        etag: what a version of a file is called.
        status: of every answer, if not the usual one.
        content_type: of every answer.
        redirects: from path to path.
        asked: the ``Range`` of each request (None without one).
    """

    files: dict[str, bytes]
    url: str = ""
    cuts: list[int] = field(default_factory=list)
    ranges: bool = True
    etag: str = '"1"'
    status: int | None = None
    content_type: str = "application/octet-stream"
    redirects: dict[str, str] = field(default_factory=dict)
    pause: float = 0.0
    asked: list[str | None] = field(default_factory=list)


@contextmanager
def serving(files: dict[str, bytes]) -> Iterator[Server]:
    """A server on a free port of this machine, in threads of its own."""
    server = Server(files)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            answer(self, server)

        def log_message(self, *arguments: object) -> None:
            pass

    http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.url = f"http://127.0.0.1:{http.server_port}/"
    thread = threading.Thread(target=http.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield server
    finally:
        http.shutdown()
        thread.join()
        http.server_close()


def answer(handler: BaseHTTPRequestHandler, server: Server) -> None:
    path = handler.path.lstrip("/")
    if path in server.redirects:
        handler.send_response(302)
        handler.send_header("Location", server.url + server.redirects[path])
        handler.end_headers()
        return
    asked = handler.headers["Range"]
    server.asked.append(asked)
    status = server.status or (200 if path in server.files else 404)
    body = server.files.get(path, b"no such file")
    total, start = len(body), 0
    unchanged = handler.headers["If-Range"] in (None, server.etag)
    if asked and server.ranges and unchanged and status == 200:
        start = int(asked.removeprefix("bytes=").rstrip("-"))
        status = 206 if start < total else 416
    handler.send_response(status)
    handler.send_header("Content-Type", server.content_type)
    if server.etag:
        handler.send_header("ETag", server.etag)
    if status == 206:
        handler.send_header("Content-Range", f"bytes {start}-{total - 1}/{total}")
    if status == 416:
        handler.send_header("Content-Range", f"bytes */{total}")
        start = total
    handler.send_header("Content-Length", str(total - start))
    handler.end_headers()
    end = start + server.cuts.pop(0) if server.cuts else total
    time.sleep(server.pause)
    handler.wfile.write(body[start:end])
