"""Web servers (``http://``, ``https://``), by Python's own client: it alone of those at hand can be kept to one host.

A server may send whoever asks it on to any address, also to one that only this machine can reach, such as that of a
cloud's keys. A redirect to another host is an error, unless ``HSRGEO_REDIRECT_HOSTS`` names that host. Nothing secret
is ever sent: a user name or password is no part of an address here. Proxies and certificates come from the usual
variables: ``HTTP_PROXY``, ``HTTPS_PROXY``, ``NO_PROXY``, ``SSL_CERT_FILE``.
"""

from __future__ import annotations

import email.utils
import errno
import os
import re
import time
from collections.abc import Iterator
from contextlib import closing
from http import HTTPStatus
from http.client import HTTPException, HTTPMessage, HTTPResponse
from typing import IO, NoReturn
from urllib.error import HTTPError, URLError
from urllib.parse import SplitResult, quote, urlsplit
from urllib.request import HTTPRedirectHandler, Request, build_opener

from hsrgeo.sources.service import WHOLE, Listed

REDIRECT_HOSTS = "HSRGEO_REDIRECT_HOSTS"
"""The variable that names more hosts that redirects may lead to, with spaces between."""
_TIMEOUT_S = 60.0
_TRIES = 5
_PAUSE_S = 0.2  # after the first failure; each other pause is twice as long
_CHUNK = 1 << 16
_SIZE = re.compile(r"\d{1,18}", re.ASCII)
_PORTS = {"http": 80, "https": 443}
_NUMBERS: dict[int, int] = {
    HTTPStatus.NOT_FOUND: errno.ENOENT,
    HTTPStatus.GONE: errno.ENOENT,
    HTTPStatus.UNAUTHORIZED: errno.EACCES,
    HTTPStatus.FORBIDDEN: errno.EACCES,
    HTTPStatus.METHOD_NOT_ALLOWED: errno.ENOTSUP,
}


class Web:
    """A web server; a `Service`.

    Args:
        root: ``https://host``.
    """

    def __init__(self, root: str) -> None:
        self._root = root
        self._opener = build_opener(_OneHost())

    def stat(self, key: str) -> Listed:
        """See `Service`."""
        with closing(self._answer(key, "HEAD")) as answer:
            size = answer.headers.get("Content-Length") or ""
            if not _SIZE.fullmatch(size):
                raise OSError(errno.EINVAL, "the server does not report its size")
            return Listed(key, int(size), _version(answer), _changed(answer))

    def listed(self, prefix: str, *, deep: bool) -> Iterator[Listed]:
        """See `Service`; a web server lists nothing."""
        raise FileNotFoundError(errno.ENOENT, f"a web server lists no folders: {prefix}", deep)

    def read(self, key: str, size: int) -> bytes:
        """See `Service`."""
        for left in reversed(range(_TRIES)):
            data = bytearray()
            try:
                for chunk in self._chunks(key, 0, size):
                    data += chunk
                    if len(data) >= size:  # of a server that knows no parts
                        break
                return bytes(data[:size])
            except OSError as error:
                if not left or error.errno != errno.EIO:
                    raise
                time.sleep(_PAUSE_S * 2 ** (_TRIES - left - 1))
        raise AssertionError

    def stream(self, key: str, start: int, version: str) -> Iterator[bytes]:
        """See `Service`."""
        return self._chunks(key, start, WHOLE, version)

    def _chunks(self, key: str, start: int, size: int, version: str = "") -> Iterator[bytes]:
        end = "" if size >= WHOLE else start + size - 1
        headers = {"Range": f"bytes={start}-{end}"} if start or end != "" else {}
        with closing(self._answer(key, "GET", headers)) as answer:
            if version and _version(answer) != version:
                raise OSError(errno.ESTALE, "it was changed while it was read")
            skipped = start if answer.status != HTTPStatus.PARTIAL_CONTENT else 0
            while True:
                try:
                    chunk = answer.read1(_CHUNK)
                except (OSError, HTTPException) as error:
                    raise OSError(errno.EIO, f"the connection broke off: {error}") from error
                if not chunk:
                    if answer.length:  # read1 says nothing of what is missing
                        raise OSError(errno.EIO, f"the connection broke off: {answer.length:,} bytes are missing")
                    return
                if skipped < len(chunk):
                    yield chunk[skipped:]
                skipped = max(skipped - len(chunk), 0)

    def _answer(self, key: str, method: str, headers: dict[str, str] | None = None) -> HTTPResponse:
        request = Request(  # noqa: S310 - http or https, see hsrgeo.sources.remote
            f"{self._root}/{quote(key)}", headers={"User-Agent": "hsrgeo", **(headers or {})}, method=method
        )
        for left in reversed(range(_TRIES)):
            try:
                answer: HTTPResponse = self._opener.open(request, timeout=_TIMEOUT_S)
            except HTTPError as error:
                error.close()
                if error.code == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE and headers:  # of an empty file
                    del headers["Range"]
                    return self._answer(key, method)
                if not left or not _may_pass(error.code):
                    _refuse(error.code, error.reason)
            except (URLError, HTTPException, ConnectionError, TimeoutError) as error:
                reason = error.reason if isinstance(error, URLError) else error
                if not left:
                    raise OSError(errno.EIO, f"cannot be reached: {reason}") from error
            except ValueError as error:  # of urllib, for an address that it cannot take apart
                raise OSError(errno.EINVAL, f"the server sends on to what is no address: {error}") from error
            else:
                return answer
            time.sleep(_PAUSE_S * 2 ** (_TRIES - left - 1))
        raise AssertionError


class _OneHost(HTTPRedirectHandler):
    """Follows redirects within a host only, or to hosts that the user named."""

    def redirect_request(
        self,
        req: Request,
        fp: IO[bytes],
        code: int,  # noqa: ARG002
        msg: str,  # noqa: ARG002
        headers: HTTPMessage,  # noqa: ARG002
        newurl: str,
    ) -> Request | None:
        """See `urllib.request.HTTPRedirectHandler`."""
        old, new = urlsplit(req.full_url), urlsplit(newurl)
        named = os.environ.get(REDIRECT_HOSTS, "").split()
        secure = new.scheme == "https" or new.scheme == old.scheme == "http"
        same = new.hostname == old.hostname and (_port(new) == _port(old) or (_port(old), _port(new)) == (80, 443))
        if not secure or not (same or new.hostname in named) or "@" in new.netloc:
            fp.close()
            message = f"the server sends on to another place, {new.scheme}://{new.hostname}, which is not followed"
            raise PermissionError(
                errno.EACCES, f"{message}; give the address there, or {REDIRECT_HOSTS}={new.hostname}"
            )
        kept = {name: value for name, value in req.header_items() if name in ("Range", "User-agent")}
        return Request(newurl, headers=kept, method=req.get_method())  # noqa: S310 - its scheme was looked at


def _port(address: SplitResult) -> int | None:
    return address.port or _PORTS.get(address.scheme)


def _changed(answer: HTTPResponse) -> float:
    """Return when a file was changed, in seconds since 1970; 0 where the server does not say so."""
    try:
        changed = email.utils.parsedate_tz(answer.headers.get("Last-Modified"))
        return float(email.utils.mktime_tz(changed)) if changed else 0.0
    except (ValueError, OverflowError):
        return 0.0


def _version(answer: HTTPResponse) -> str:
    return answer.headers.get("ETag") or answer.headers.get("Last-Modified") or ""


def _may_pass(status: int) -> bool:
    """Tell whether the same request may be answered a moment later."""
    return status >= HTTPStatus.INTERNAL_SERVER_ERROR or status == HTTPStatus.TOO_MANY_REQUESTS


def _refuse(status: int, reason: str) -> NoReturn:
    number = _NUMBERS.get(status, errno.EIO if _may_pass(status) else errno.EINVAL)
    reason = "no such file" if number == errno.ENOENT else f"the server answers {status} {reason}"
    raise OSError(number, reason)
