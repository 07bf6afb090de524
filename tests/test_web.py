"""Sources on a web server: a real one on loopback, that answers parts of files and breaks off now and then."""

from __future__ import annotations

import email.utils
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from unittest.mock import patch
from urllib.parse import quote

import pytest

import hsrgeo
from hsrgeo.engine.options import ExportOptions
from hsrgeo.errors import OptionsError, SourceError
from hsrgeo.sources.remote import RemotePath
from tests.conftest import TIME, frame_name, make_tar
from tests.faults import STEP

pytest.importorskip("obstore")
OPTIONS = ExportOptions(window=(420, 620, 48, 32), jobs=1)


class Server(ThreadingHTTPServer):
    """Serves a folder; `cut` tells after how many bytes an answer breaks off, by the number of the request."""

    daemon_threads = True

    def __init__(self, folder: Path, cut: Callable[[int], int | None]) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
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
def serving(folder: Path, cut: Callable[[int], int | None] = lambda _number: None) -> Iterator[str]:
    with Server(folder, cut) as server:
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


@pytest.mark.parametrize("cut", [None, 1000])
def test_an_archive_is_read_to_its_end_wherever_it_breaks_off(folder: Path, cut: int | None) -> None:
    eager = patch.multiple("hsrgeo.sources.buckets", _CHUNK=1), patch("hsrgeo.sources.service._PAUSE_S", 0)
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
