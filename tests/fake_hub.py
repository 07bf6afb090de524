"""An imitation of KMA's API hub on the loopback, made of what others saw of the real one.

`python -m tests.fake_hub` runs one that serves a blank frame for every time.
"""

from __future__ import annotations

import gzip
import json
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import numpy as np
import pytest

from tests.conftest import NX, NY, SEOUL_TIME, MakeFile

KEY = "aB3xY9-_kQ7vT+z0/LmN4p"
"""With letters that an address must escape."""
FILE, LIST = "/api/typ04/url/rdr_cmp_file.php", "/api/typ01/url/rdr_cmp_file_list.php"
BLANK = np.full((NY, NX), -30000, np.int16)


def empty_home(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Let a user's home be this folder, where no key is kept, and return it."""
    for name, below in (("XDG_STATE_HOME", "state"), ("XDG_CONFIG_HOME", "config")):
        monkeypatch.setenv(name, str(folder / below))
    for name in ("CREDENTIALS_DIRECTORY", "KMA_APIHUB_KEY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setitem(sys.modules, "keyring", None)
    return folder


@dataclass(frozen=True)
class Reply:
    """What the service answers."""

    body: bytes = b""
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    cut: int | None = None
    """Bytes of the body after which it breaks off."""
    drip_s: float = 0.0
    """Between single bytes."""


@dataclass(frozen=True)
class Asked:
    """What was asked."""

    path: str
    query: dict[str, str]
    begun: float
    """By `time.monotonic`."""

    @property
    def time(self) -> str:
        return self.query["tm"]


Script = Callable[[Asked, int], Reply | None]
"""Gives the answer to a question and its number, from 0; None for the usual one."""


class FakeHub(ThreadingHTTPServer):
    """Answers as its script says, and remembers what was asked."""

    daemon_threads = True

    def __init__(self, script: Script, port: int = 0) -> None:
        super().__init__(("127.0.0.1", port), _Handler)
        self.script = script
        self.asked: list[Asked] = []
        self.at_once = self.most_at_once = 0
        self.lock = threading.Lock()

    @property
    def host(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    @property
    def times(self) -> list[str]:
        """Times of the frames that were asked for."""
        return [one.time for one in self.asked if one.path == FILE]

    def handle_error(self, request: object, client_address: object) -> None: ...


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: FakeHub

    def do_GET(self) -> None:
        server, parts = self.server, urlsplit(self.path)
        query = {name: values[0] for name, values in parse_qs(parts.query).items()}
        with server.lock:
            number = len(server.asked)
            asked = Asked(parts.path, query, time.monotonic())
            server.asked.append(asked)
            server.at_once += 1
            server.most_at_once = max(server.most_at_once, server.at_once)
        try:
            self._send(server.script(asked, number) or usual(asked))
        finally:
            with server.lock:
                server.at_once -= 1

    def _send(self, reply: Reply) -> None:
        self.send_response(reply.status)
        headers = {"Content-Length": str(len(reply.body)), "Connection": "close", **reply.headers}
        for name, value in headers.items():
            if value:
                self.send_header(name, value)
        self.end_headers()
        sent = reply.body[: reply.cut]
        for at in range(0, len(sent), 1 if reply.drip_s else max(len(sent), 1)):
            self.wfile.write(sent[at : at + (1 if reply.drip_s else len(sent))])
            time.sleep(reply.drip_s)
        self.close_connection = True

    def log_message(self, *_args: object) -> None: ...


def usual(asked: Asked) -> Reply:
    """Return what the service answers on a good day."""
    if asked.query.get("authKey") != KEY:
        return Reply(refusal(401, "유효하지 않은 인증키입니다."), 401)
    if asked.path == FILE:
        return Reply(frame(asked.time, hsp=asked.query["cmp"] == "hsp"))
    if asked.path == LIST:
        day = datetime.strptime(asked.time, "%Y%m%d").replace(tzinfo=SEOUL_TIME)
        return Reply(listing(asked.query["cmp"].upper(), [day + n * timedelta(minutes=5) for n in range(288)]))
    return Reply(b"<html>not found</html>", 404)


_FRAMES: dict[tuple[str, int, bool], bytes] = {}
_MAKE = MakeFile()


def frame(tm: str, *, stations: int = 3, hsp: bool = False) -> bytes:
    """Return a blank frame of the small grid."""
    key = tm, stations, hsp
    if key not in _FRAMES:
        moment = datetime.strptime(tm, "%Y%m%d%H%M").replace(tzinfo=SEOUL_TIME)
        fields = (moment.year, moment.month, moment.day, moment.hour, moment.minute, 0)
        codes = [(name.encode(), fields, fields) for name in ("KWK", "GDK", "BRI", "GNG", "KSN")[:stations]]
        blocks: dict[str, Any] = {"data_codes": (5, 2, 3)} if hsp else {}
        _FRAMES[key] = _MAKE(BLANK, time=moment, stations=codes, **blocks)
    return _FRAMES[key]


def listing(product: str, times: list[datetime]) -> bytes:
    """Return a list as the service writes it; it names another kind than the files have."""
    lines = [f"RDR_CMP_{product}_EXT_{time:%Y%m%d%H%M}.bin.gz,=" for time in times]
    return "\r\n".join(["# 레이더 합성자료 목록", *lines, ""]).encode("euc-kr")


def missing(tm: str) -> Reply:
    """Return the answer for a frame that is not there."""
    return Reply(f"# file not exist (RDR_CMP_HSR_PUB_{tm}.bin.gz)\n".encode())


def refusal(status: int, message: str) -> bytes:
    """Return the service's JSON."""
    return json.dumps({"result": {"status": status, "message": message}}, ensure_ascii=False).encode()


def packed_again(data: bytes) -> Reply:
    """Return a file that a server packed once more, though nobody asked for it."""
    return Reply(gzip.compress(data), headers={"Content-Encoding": "gzip"})


def always(reply: Reply) -> Script:
    """Return a script of one answer."""
    return lambda _asked, _number: reply


@contextmanager
def fake_hub(script: Script = lambda _asked, _number: None) -> Iterator[FakeHub]:
    """Run one."""
    with FakeHub(script) as hub:
        thread = threading.Thread(target=hub.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        try:
            yield hub
        finally:
            hub.shutdown()
            thread.join()
