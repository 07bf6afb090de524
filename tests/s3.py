"""A real S3 server (moto) as a process of its own on loopback, and a proxy that spoils what passes through it."""

from __future__ import annotations

import http.client
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Literal

Spoiling = Literal["", "403", "500", "503", "cut", "cut request", "slow", "no answer"]
"""What happens to a request: nothing; an error status; the answer, or the request itself, breaks off in its middle; an
answer after a second; or a connection that is closed without one."""

_START_S = 30.0
_SLOW_S = 1.0


@contextmanager
def s3_server(bucket: str) -> Iterator[str]:
    """Give the address of an S3 server that has an empty bucket."""
    for _attempt in range(5):
        port = free_port()
        command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
        server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            if _answers(server, port, bucket):
                yield f"http://127.0.0.1:{port}"
                return
        finally:
            server.kill()
            server.wait()
    raise RuntimeError("moto ends at its start")


def free_port() -> int:
    """Return a port that is free now; another program may take it before a server does."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _answers(server: subprocess.Popen[bytes], port: int, bucket: str) -> bool:
    """Wait for a server's first answer; return False where it ended instead."""
    end = time.monotonic() + _START_S
    while time.monotonic() < end:
        if server.poll() is not None:
            return False
        with suppress(OSError):
            make_bucket(f"http://127.0.0.1:{port}", bucket)
            return True
        time.sleep(0.1)
    raise TimeoutError("moto does not answer")


def make_bucket(address: str, bucket: str) -> None:
    """Make an empty bucket on a server."""
    connection = http.client.HTTPConnection(address.removeprefix("http://"), timeout=_START_S)
    connection.request("PUT", f"/{bucket}")
    assert connection.getresponse().status == http.HTTPStatus.OK
    connection.close()


class Proxy(ThreadingHTTPServer):
    """Hands requests on to a server, or spoils them.

    Args:
        address: Of the server.
        spoil: Tells for each request (its number from 0, method and path) what happens to it.
    """

    daemon_threads = True

    def __init__(self, address: str, spoil: Callable[[int, str, str], Spoiling]) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.server_host, self.server_port_ = address.removeprefix("http://").split(":")
        self.spoil = spoil
        self.requests: list[tuple[str, str, dict[str, str]]] = []
        """Method, path and headers of each request."""
        self.spoiled = 0
        self.lock = threading.Lock()

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    @contextmanager
    def running(self) -> Iterator[Proxy]:
        thread = threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        thread.start()
        try:
            yield self
        finally:
            self.shutdown()
            self.server_close()
            thread.join()

    def handle_error(self, request: object, client_address: object) -> None: ...


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Proxy

    def _handle(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        with self.server.lock:
            number = len(self.server.requests)
            self.server.requests.append((self.command, self.path, dict(self.headers.items())))
            how = self.server.spoil(number, self.command, self.path)
            self.server.spoiled += bool(how)
        # Nothing else closes it: the next request might go out on a connection that is closing, and fail otherwise.
        self.close_connection = how in ("cut request", "no answer", "cut")
        if how == "cut request":
            self.rfile.read(length // 2)
            return
        body = self.rfile.read(length)
        if how == "no answer":
            return
        if how in ("403", "500", "503"):
            self.send_response(int(how))
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        if how == "slow":
            time.sleep(_SLOW_S)
        upstream = http.client.HTTPConnection(self.server.server_host, int(self.server.server_port_), timeout=30)
        upstream.request(self.command, self.path, body, dict(self.headers.items()))
        answer = upstream.getresponse()
        data = answer.read()
        self.send_response_only(answer.status, answer.reason)
        for name, value in answer.getheaders():
            if name.lower() not in ("content-length", "transfer-encoding", "connection"):
                self.send_header(name, value)
        size = answer.getheader("Content-Length") if self.command == "HEAD" else str(len(data))
        self.send_header("Content-Length", size or "0")
        self.end_headers()
        self.wfile.write(data[: len(data) // 2] if how == "cut" else data)

    do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = _handle  # noqa: N815 - http.server's names

    def log_message(self, *_args: object) -> None: ...
