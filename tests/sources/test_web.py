"""Sources on a web server: a real one on loopback, that answers parts of files and breaks off now and then."""

from __future__ import annotations

import email.utils
import io
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.client import HTTPMessage
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar
from unittest.mock import patch
from urllib.parse import quote
from urllib.request import Request

import pytest

import hsrgeo
from hsrgeo.engine.cube.cube_options import CubeOptions
from hsrgeo.engine.export_options import ExportOptions
from hsrgeo.engine.qgis import write_project
from hsrgeo.engine.series.series_options import SeriesOptions
from hsrgeo.errors import HsrGeoError, OptionsError, SourceError
from hsrgeo.places.places import Points
from hsrgeo.sources import web
from hsrgeo.sources.remote import RemotePath, place
from tests.conftest import TIME, frame_name, make_tar
from tests.faults import STEP

OPTIONS = ExportOptions(window=(420, 620, 48, 32), jobs=1)


class Server(ThreadingHTTPServer):
    """Serves a folder; `cut` tells after how many bytes an answer breaks off, by the number of the request."""

    daemon_threads = True

    def __init__(self, folder: Path, cut: Callable[[int], int | None], kind: type[Handler]) -> None:
        super().__init__(("127.0.0.1", 0), kind)
        self.folder, self.cut, self.count = folder, cut, 0

    def handle_error(self, request: object, client_address: object) -> None: ...


class Handler(SimpleHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Server
    parts = True

    def translate_path(self, path: str) -> str:
        return str(self.server.folder) + super().translate_path(path).removeprefix(str(Path.cwd()))

    def do_GET(self) -> None:
        path = Path(self.translate_path(self.path))
        if not path.is_file():
            self.send_error(404)
            return
        data = path.read_bytes()
        part = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range") or "") if self.parts else None
        first, last = (int(part[1]), min(int(part[2] or len(data)), len(data) - 1)) if part else (0, len(data) - 1)
        self.send_response(206 if part else 200)
        if part:
            self.send_header("Content-Range", f"bytes {first}-{last}/{len(data)}")
        self.send_header("Content-Length", str(last - first + 1))
        self.send_header("Last-Modified", email.utils.formatdate(path.stat().st_mtime, usegmt=True))
        self.end_headers()
        self.server.count += 1
        cut = self.server.cut(self.server.count)
        self.wfile.write(data[first : last + 1][:cut])
        self.close_connection = cut is not None

    def log_message(self, *_args: object) -> None: ...


@contextmanager
def serving(
    folder: Path, cut: Callable[[int], int | None] = lambda _number: None, kind: type[Handler] | None = None
) -> Iterator[str]:
    with Server(folder, cut, kind or Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()


@pytest.fixture
def folder(make_file: Callable[..., bytes], tmp_path: Path) -> Path:
    path = tmp_path / "web"
    path.mkdir()
    sound = [(frame_name(TIME + n * STEP), make_file(time=TIME + n * STEP)) for n in range(3)]
    (path / "레이더 2022.tar.gz").write_bytes(make_tar(sound))
    (path / sound[0][0]).write_bytes(sound[0][1])
    return path


@pytest.mark.slow
@pytest.mark.parametrize("cut", [None, 1000])
def test_an_archive_is_read_to_its_end_wherever_it_breaks_off(folder: Path, cut: int | None) -> None:
    eager = patch.multiple("hsrgeo.sources.web", _CHUNK=1), patch("hsrgeo.sources.service._PAUSE_S", 0)
    with eager[0], eager[1], serving(folder, lambda _number: cut) as address:
        frames = list(hsrgeo.iter_frames(f"{address}/{quote('레이더 2022.tar.gz')}"))
    assert [frame.time for frame in frames] == [TIME, TIME + STEP, TIME + 2 * STEP]


def test_a_frame_of_a_web_server_is_that_of_the_disk(folder: Path, tmp_path: Path) -> None:
    with serving(folder) as address:
        assert (
            hsrgeo.open_frame(f"{address}/{frame_name(TIME)}").crc32
            == hsrgeo.open_frame(folder / frame_name(TIME)).crc32
        )
        run = hsrgeo.export(f"{address}/{frame_name(TIME)}", tmp_path / "out", OPTIONS)
        assert [outcome.status for outcome in run] == ["ok"]


def test_a_frame_that_breaks_off_is_asked_for_again(folder: Path) -> None:
    with patch.object(web, "_PAUSE_S", 0), serving(folder, lambda number: 1000 if number == 1 else None) as address:
        assert (
            hsrgeo.open_frame(f"{address}/{frame_name(TIME)}").crc32
            == hsrgeo.open_frame(folder / frame_name(TIME)).crc32
        )
    with (
        patch.object(web, "_PAUSE_S", 0),
        serving(folder, lambda _number: 1000) as address,
        pytest.raises(OSError, match=r"the connection broke off: .* bytes are missing"),
    ):
        RemotePath(f"{address}/{frame_name(TIME)}").read_bytes()


def test_a_server_that_knows_no_parts_of_files(folder: Path) -> None:
    with patch.object(Handler, "parts", new=False), serving(folder) as address:
        frame = hsrgeo.open_frame(f"{address}/{frame_name(TIME)}")
        assert frame.crc32 == hsrgeo.open_frame(folder / frame_name(TIME)).crc32
        assert (
            RemotePath(f"{address}/{frame_name(TIME)}").read_bytes(10) == (folder / frame_name(TIME)).read_bytes()[:10]
        )


def test_a_web_server_has_no_folders_to_list(folder: Path) -> None:
    with serving(folder) as address, pytest.raises(SourceError, match="a web server lists no folders"):
        list(hsrgeo.iter_frames(f"{address}/nothing/"))


def test_a_web_server_takes_no_outputs(folder: Path) -> None:
    with pytest.raises(OptionsError, match="outputs go to a disk or a bucket"):
        hsrgeo.export(folder, "http://127.0.0.1:1/out", OPTIONS)
    with pytest.raises(OSError, match="outputs go to a disk or a bucket"):
        RemotePath("http://127.0.0.1:1/out").unlink()


# Redirects, and what nobody is to see.


class Sending(Handler):
    """Sends on whoever asks for `from`, to a place that is put together with what came in."""

    where = ""
    heard: ClassVar[list[dict[str, str]]] = []

    def do_GET(self) -> None:
        type(self).heard.append({name.lower(): value for name, value in self.headers.items()})
        if not self.path.startswith("/from/"):
            super().do_GET()
            return
        self.send_response(302)
        self.send_header("Location", type(self).where + self.path.removeprefix("/from"))
        self.send_header("Content-Length", "0")
        self.end_headers()

    def do_HEAD(self) -> None:
        if self.path.startswith("/from/"):
            self.do_GET()
        else:
            super().do_HEAD()


@contextmanager
def sending(folder: Path, where: str) -> Iterator[str]:
    with patch.object(Sending, "where", where), patch.object(Sending, "heard", []), serving(folder, kind=Sending) as at:
        yield at


@pytest.mark.parametrize("where", ["", "/", "{own}"])
def test_a_redirect_within_a_host_is_followed(folder: Path, where: str) -> None:
    with sending(folder, "") as address:
        Sending.where = where.format(own=address).removesuffix("/")
        frame = hsrgeo.open_frame(f"{address}/from/{frame_name(TIME)}")
    assert frame.crc32 == hsrgeo.open_frame(folder / frame_name(TIME)).crc32


def test_a_redirect_to_another_host_is_not_followed(folder: Path, tmp_path: Path) -> None:
    """The other is the same machine by another name: had it been asked, it would have answered."""
    with serving(folder) as other, sending(folder, other.replace("127.0.0.1", "localhost")) as address:
        text = "sends on to another place, http://localhost, which is not followed; .* HSRGEO_REDIRECT_HOSTS=localhost"
        with pytest.raises(SourceError, match=text):
            hsrgeo.open_frame(f"{address}/from/{frame_name(TIME)}")
        with patch.dict("os.environ", HSRGEO_REDIRECT_HOSTS="elsewhere localhost"):
            run = hsrgeo.export(f"{address}/from/{frame_name(TIME)}", tmp_path / "out", OPTIONS)
            assert [outcome.status for outcome in run] == ["ok"]


@pytest.mark.parametrize(
    "where",
    [
        "http://169.254.169.254/latest/meta-data",
        "http://127.0.0.1:1",
        "http://127.0.0.2:{port}",
        "http://user:secret@127.0.0.1:{port}",
        "ftp://127.0.0.1:{port}",
        "file://",
        "gopher://127.0.0.1:{port}",
    ],
)
@pytest.mark.parametrize("method", ["stat", "read"])
def test_where_a_redirect_may_not_lead(folder: Path, where: str, method: str) -> None:
    """An address of a cloud's keys, another port of the same machine, another kind of address."""
    with sending(folder, "") as address:
        Sending.where = where.format(port=address.rpartition(":")[2])
        path = RemotePath(f"{address}/from/{frame_name(TIME)}")
        with pytest.raises(OSError, match=r"not followed|not allowed") as caught:
            path.stat() if method == "stat" else path.read_bytes(10)
        assert len(Sending.heard) == 1
        assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    "where", ["http://[::1/x", "http://127.0.0.1:99999999", "http://127.0.0.1:port", "http://\x07"]
)
def test_a_redirect_to_no_address_is_an_error(folder: Path, where: str) -> None:
    with sending(folder, where) as address, pytest.raises(OSError, match=r"no address|not followed"):
        RemotePath(f"{address}/from/{frame_name(TIME)}").stat()


class Lying(Handler):
    """Says what cannot be of a file."""

    said: tuple[str, str] = ("", "")

    def do_HEAD(self) -> None:
        self.send_response(200)
        for name, value in {"Content-Length": "5", **dict([self.said])}.items():
            self.send_header(name, value)
        self.end_headers()


@pytest.mark.parametrize("size", ["9" * 5000, "-5", "5x", "\xb2", ""])
def test_a_size_that_cannot_be(folder: Path, size: str) -> None:
    with (
        patch.object(Lying, "said", ("Content-Length", size)),
        serving(folder, kind=Lying) as address,
        pytest.raises(OSError, match="does not report its size"),
    ):
        RemotePath(f"{address}/{frame_name(TIME)}").stat()


@pytest.mark.parametrize("date", ["Mon, 99 Jan 99999 99:99:99 GMT", "yesterday", "Mon, 01 Jan 0000 00:00:00 +999999"])
def test_a_date_that_cannot_be(folder: Path, date: str) -> None:
    with patch.object(Lying, "said", ("Last-Modified", date)), serving(folder, kind=Lying) as address:
        assert RemotePath(f"{address}/{frame_name(TIME)}").stat().size == 5


def test_an_https_server_may_not_send_on_to_http() -> None:
    old = Request("https://host/a")
    with pytest.raises(PermissionError, match="not followed"):
        web._OneHost().redirect_request(old, io.BytesIO(), 302, "", HTTPMessage(), "http://host/a")
    for scheme in ("http", "https"):
        old = Request(f"{scheme}://host/a", headers={"Authorization": "secret", "Cookie": "secret"}, method="HEAD")  # noqa: S310
        new = web._OneHost().redirect_request(old, io.BytesIO(), 302, "", HTTPMessage(), "https://host/b")
        assert new is not None
        assert (new.get_method(), new.header_items()) == ("HEAD", [])


URLS = [
    "http://user:secret@127.0.0.1:1/a.bin.gz",
    "https://user:secret@127.0.0.1/a.bin.gz",
    "http://secret@127.0.0.1:1/a.bin.gz",
    "http://user:sec/ret@127.0.0.1:1/a.bin.gz",
    "http://user:secret@127.0.0.1:1/a.bin.gz?b",
    "https://127.0.0.1:1/a.bin.gz?X-Amz-Signature=secret",
    "HTTP://user:secret@127.0.0.1:1/a.bin.gz",
    "s3://key:secret@bucket/a.bin.gz",
    "sftp://user:secret@host/a.bin.gz",
    "http://user:secret@",
]
CASES = [
    *((url, command) for url in URLS for command in ("frame", "path", "unknown kind", "out")),
    *((URLS[0], command) for command in ("export", "series", "cube", "virtual")),
]


@pytest.mark.parametrize(("url", "command"), CASES)
def test_a_password_in_a_url_is_refused_and_not_repeated(url: str, command: str, tmp_path: Path) -> None:
    commands: dict[str, Callable[[], object]] = {
        "export": lambda: list(hsrgeo.export(url, tmp_path / "out", OPTIONS)),
        "series": lambda: list(
            hsrgeo.series(url, tmp_path / "t.csv", SeriesOptions(points=Points(("a",), ((127, 37),))))
        ),
        "cube": lambda: list(hsrgeo.make_cube(url, tmp_path / "c.zarr")),
        "frame": lambda: hsrgeo.open_frame(url),
        "virtual": lambda: list(hsrgeo.make_cube(url, tmp_path / "c.json", CubeOptions(virtual=True))),
        "path": lambda: place(Path(url)),
        "unknown kind": lambda: place(url.replace(url.partition(":")[0], "ftp")),
        "out": lambda: write_project(url),
    }
    with pytest.raises(HsrGeoError) as caught:
        commands[command]()
    assert "sec" not in str(caught.value)
    assert not list(tmp_path.iterdir())
