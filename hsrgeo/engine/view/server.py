"""A server for one page: it answers this machine only, and gives nothing that the page does not name."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from contextlib import closing
from hashlib import sha256
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BytesIO
from pathlib import Path
from socketserver import TCPServer
from typing import BinaryIO, cast
from urllib.parse import unquote

from hsrgeo.engine.view.pages import INDEX_FILE, Page
from hsrgeo.errors import OptionsError
from hsrgeo.outputs.names import PAGE
from hsrgeo.sources.texts import open_file

LOOPBACK = "127.0.0.1"
PORT = 8766
"""Where the page is served unless asked otherwise; the next free port where it is taken."""
_MORE_PORTS = 50
_IDLE_S = 60  # a connection without a request is closed
_BLOCK = 1 << 18
_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".json": "application/json",
    ".tif": "image/tiff",
}
_HEADERS = {
    "Cache-Control": "no-cache",
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
_RANGE = re.compile(r"(\d{0,15})-(\d{0,15})")


class PageServer(ThreadingHTTPServer):
    """Serves a page: use it in a ``with`` statement and call `serve_forever`.

    Args:
        page: What to serve; or a function that gives it, which is called where the page's index is asked for.
        port: On the loopback; 0 is any free one, None `PORT` or the next free one.

    Raises:
        OptionsError: The port is taken, or none is free.
    """

    daemon_threads = True

    def __init__(self, page: Page | Callable[[], Page], port: int | None = None) -> None:
        self._now = page if callable(page) else lambda: page
        self.page = self._now()
        ports = range(PORT, PORT + _MORE_PORTS) if port is None else [port]
        for one in ports:
            try:
                super().__init__((LOOPBACK, one), _Handler)
            except (OSError, OverflowError) as error:
                if one == ports[-1]:
                    reason = getattr(error, "strerror", None) or error
                    raise OptionsError(f"port {one} of {LOOPBACK} cannot be used: {reason}; take another") from error
            else:
                break
        self.hosts = frozenset(f"{name}:{self.server_port}" for name in (LOOPBACK, "localhost"))
        """What a browser may call this machine: any other name is a stranger's that leads here."""

    @property
    def url(self) -> str:
        """Address of the page."""
        return f"http://{LOOPBACK}:{self.server_port}/"

    def renew(self) -> None:
        """Look for what is new."""
        self.page = self._now()

    def server_bind(self) -> None:
        """Take the port. The parent would ask a name server what this machine is called."""
        TCPServer.server_bind(self)
        self.server_name, self.server_port = LOOPBACK, self.server_address[1]


class _Handler(BaseHTTPRequestHandler):
    """Answers GET and HEAD of a page's own files, whole or one range of bytes."""

    protocol_version = "HTTP/1.1"  # connections stay open: a day is 300 requests
    timeout = _IDLE_S
    wbufsize = _BLOCK
    disable_nagle_algorithm = True

    def version_string(self) -> str:
        """Return the header ``Server``, without the version of Python."""
        return "hsrgeo"

    def do_GET(self) -> None:
        """Answer with a file."""
        self._answer(body=True)

    def do_HEAD(self) -> None:
        """Answer with the headers of a file."""
        self._answer(body=False)

    def _refuse_method(self) -> None:
        self.close_connection = True  # what it sends is not read
        self._send(HTTPStatus.METHOD_NOT_ALLOWED, {"Allow": "GET, HEAD"})

    do_POST = do_PUT = do_DELETE = do_PATCH = do_OPTIONS = _refuse_method  # noqa: N815

    def log_message(self, *_args: object) -> None:
        """Say nothing: a request is no news."""

    def _answer(self, *, body: bool) -> None:
        server = cast("PageServer", self.server)
        if self.headers.get_all("Host", []) not in [[host] for host in server.hosts]:
            self._send(HTTPStatus.FORBIDDEN)
            return
        try:
            path = unquote(self.path.partition("?")[0].partition("#")[0], errors="strict").removeprefix("/") or PAGE
            if path == INDEX_FILE:
                server.renew()
            found = _found(server.page, path)
        except (OSError, UnicodeDecodeError):
            found = None
        if found is None:
            self._send(HTTPStatus.NOT_FOUND)
            return
        file, size, etag, content_type = found
        with closing(file):
            headers = {"ETag": etag, "Accept-Ranges": "bytes", "Content-Type": content_type}
            if self.headers.get("If-None-Match") == etag:
                self._send(HTTPStatus.NOT_MODIFIED, headers)
                return
            asked = self.headers.get("Range", "") if self.headers.get("If-Range", etag) == etag else ""
            unit, _equals, span = asked.partition("=")
            if unit.strip().lower() != "bytes" or "," in span:  # several ranges: the whole file (RFC 9110, 14.2)
                self._send(HTTPStatus.OK, headers, (file, 0, size) if body else None, size)
            elif (part := _part(span, size)) is None:
                self._send(HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE, {"Content-Range": f"bytes */{size}"})
            else:
                headers["Content-Range"] = f"bytes {part[0]}-{part[1] - 1}/{size}"
                self._send(HTTPStatus.PARTIAL_CONTENT, headers, (file, *part) if body else None, part[1] - part[0])

    def _send(
        self,
        status: HTTPStatus,
        headers: dict[str, str] | None = None,
        body: tuple[BinaryIO, int, int] | None = None,
        length: int = 0,
    ) -> None:
        self.send_response(status)
        for name, value in {**_HEADERS, **(headers or {})}.items():
            self.send_header(name, value)
        if status is not HTTPStatus.NOT_MODIFIED:
            self.send_header("Content-Length", str(length))
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        if body is None:
            return
        file, start, end = body
        file.seek(start)
        while start < end:
            block = file.read(min(end - start, _BLOCK))
            if not block:  # the file got shorter: the browser sees that bytes are missing
                self.close_connection = True
                return
            try:
                self.wfile.write(block)
            except OSError:  # the browser went
                self.close_connection = True
                return
            start += len(block)


def _found(page: Page, path: str) -> tuple[BinaryIO, int, str, str] | None:
    """Return a file that the page names, its size, ETag and type; None for any other target.

    Raises:
        OSError: It cannot be read.
    """
    content_type = _TYPES.get(Path(path).suffix, "application/octet-stream")
    data = page.files.get(path)
    if data is not None:
        return BytesIO(data), len(data), f'"{sha256(data).hexdigest()[:32]}"', content_type
    if path not in page.cogs:
        return None
    whole, root = os.path.realpath(page.out / path), os.path.realpath(page.out)
    if not Path(whole).is_relative_to(root):  # a link, which somebody else may have put there
        return None
    file = open_file(whole)
    if isinstance(file, BytesIO):  # it is empty
        return file, 0, '"0"', content_type
    status = os.fstat(file.fileno())
    return file, status.st_size, f'"{status.st_size}-{status.st_mtime_ns}"', content_type


def _part(span: str, size: int) -> tuple[int, int] | None:
    """Return start and end of a range of bytes; None where it is not one, or beyond the file (RFC 9110, 14.1.2)."""
    match = _RANGE.fullmatch(span.strip())
    if match is None or not (match[1] or match[2]):
        return None
    if not match[1]:
        start, end = max(size - int(match[2]), 0), size
    else:
        start, end = int(match[1]), min(int(match[2] or size) + 1, size)
    return (start, end) if start < end else None
