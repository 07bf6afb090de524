"""Sources and outputs in a bucket: a real S3 server on loopback, also where answers fail, break off or are late."""

from __future__ import annotations

import dataclasses
import errno
import http.client
import itertools
import json
import os
import signal
import subprocess
import sys
import time
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
from typer.testing import CliRunner

import hsrgeo
from hsrgeo.cli import app
from hsrgeo.engine.export import ledger, work
from hsrgeo.engine.export_options import ExportOptions
from hsrgeo.engine.watch.watch_run import Watch
from hsrgeo.errors import HsrGeoError, ManifestError, SourceError, WriteError
from hsrgeo.outputs.names import MANIFEST
from hsrgeo.sources import buckets, connections
from hsrgeo.sources.remote import RemotePath
from hsrgeo.sources.scan import scan
from hsrgeo.sources.select import Selection
from hsrgeo.writers.files import write_new
from tests import watched
from tests.conftest import TIME, frame_name, make_tar
from tests.faults import STEP, every_fault
from tests.s3 import Proxy, Spoiling, s3_server

obstore = pytest.importorskip("obstore")
pytest.importorskip("moto.server", reason="moto is not installed")

OPTIONS = ExportOptions(window=(420, 620, 48, 32), jobs=1)
FRAMES = 5


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with s3_server("radar") as address:
        yield address


@pytest.fixture
def url(server: str, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> str:
    """Give the URL of an empty folder in the bucket."""
    _connect_to(server, monkeypatch)
    for name, value in (("ACCESS_KEY_ID", "key"), ("SECRET_ACCESS_KEY", "secret"), ("REGION", "us-east-1")):
        monkeypatch.setenv(f"AWS_{name}", value)
    return f"s3://radar/{request.node.originalname}-{time.monotonic_ns()}"


def _connect_to(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", address)
    connections._connected.cache_clear()


@pytest.fixture
def frames(make_file: Callable[..., bytes], tmp_path: Path) -> Path:
    """Give a folder with an archive of sound and broken frames, and some frames as files."""
    sound = [(frame_name(TIME + n * STEP), make_file(time=TIME + n * STEP)) for n in range(FRAMES)]
    broken = [(fault.name, fault.data) for fault in every_fault(make_file, TIME + 20 * STEP)][:3]
    folder = tmp_path / "frames"
    folder.mkdir()
    (folder / "RDR_HSR_202206.tar.gz").write_bytes(make_tar([*sound[:3], *broken]))
    for name, data in (*sound[2:], broken[0]):  # one is in the archive too
        (folder / name).write_bytes(data)
    return folder


def upload(folder: Path, url: str) -> str:
    for path in folder.iterdir():
        (RemotePath(url) / path.name).write_bytes(path)
    return url


def run(source: Any, out: Any, **changes: Any) -> dict[str, int]:
    export = hsrgeo.export(source, out, dataclasses.replace(OPTIONS, **changes))
    list(export)
    return {status: count for status, count in export.counts.items() if count}


def tree(out: str | Path, source: str | Path) -> dict[str, bytes]:
    """Return every file below OUT; the manifest without seconds, stamps and what the sources are called."""
    if isinstance(out, Path):
        found = {path.relative_to(out).as_posix(): path.read_bytes() for path in out.rglob("*") if path.is_file()}
    else:
        home = RemotePath(out)
        found = {file.key.removeprefix(f"{home.key}/"): file.read_bytes() for file in home.below()}
    lines = [json.loads(line) for line in found[MANIFEST].decode().replace(str(source), "SOURCE").splitlines()]
    found[MANIFEST] = json.dumps([{**line, "seconds": 0, "stamp": ""} for line in lines]).encode()
    return found


@pytest.mark.slow
@pytest.mark.parametrize("jobs", [1, 2])
def test_a_bucket_gets_the_bytes_that_a_disk_gets(url: str, frames: Path, tmp_path: Path, jobs: int) -> None:
    source, out = upload(frames, f"{url}/frames"), f"{url}/out"
    here = run(frames, tmp_path / "out")
    assert here == {"ok": FRAMES, "failed": 4, "duplicate": 1}
    assert run(source, out, jobs=jobs) == here
    assert tree(out, source) == tree(tmp_path / "out", frames)
    assert run(source, out) == {"skipped": FRAMES + 1, "failed": 4}
    assert run(source, tmp_path / "mixed") == here
    assert tree(tmp_path / "mixed", source) == tree(tmp_path / "out", frames)


def test_only_what_is_missing_is_done_again(url: str, frames: Path, tmp_path: Path) -> None:
    run(frames, tmp_path / "out")
    out = f"{url}/out"
    run(frames, out)
    lost = next(file for file in RemotePath(out).below() if file.suffix == ".png")
    lost.unlink()
    assert run(frames, out) == {"ok": 1, "skipped": FRAMES, "failed": 4}
    assert tree(out, frames) == tree(tmp_path / "out", frames)


def test_what_somebody_else_put_there_is_not_replaced(url: str, frames: Path) -> None:
    theirs = RemotePath(f"{url}/out/{TIME:%Y%m/%d/%Y%m%d%H%M}.tif")
    theirs.write_bytes(b"somebody's work")
    assert run(frames, f"{url}/out")["failed"] == 5
    assert theirs.read_bytes() == b"somebody's work"
    assert run(frames, f"{url}/out", overwrite=True)["failed"] == 4
    assert theirs.read_bytes()[:2] == b"II"


def test_verify_reads_a_bucket(url: str, frames: Path) -> None:
    out = f"{url}/out"
    run(frames, out)
    assert list(hsrgeo.verify(out, frames, jobs=1)) == []
    tif = next(file for file in RemotePath(out).below() if file.suffix == ".tif")
    data = bytearray(tif.read_bytes())
    data[-1] ^= 1
    tif.write_bytes(bytes(data))
    assert "CRC-32 of the file" in {found.problem for found in hsrgeo.verify(out, frames, jobs=1)}


def test_verify_tells_a_bucket_that_cannot_be_read_from_a_source(
    url: str, frames: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = f"{url}/out"
    run(frames, out)
    whole = RemotePath.read_bytes

    def read(path: RemotePath, *rest: Any) -> bytes:
        if path.suffix == ".tif":
            raise PermissionError(errno.EACCES, "permission denied")
        return whole(path, *rest)

    monkeypatch.setattr(RemotePath, "read_bytes", read)
    found = list(hsrgeo.verify(out, frames, jobs=1))
    assert {one.problem for one in found} == {"reading the outputs"}
    assert all("permission denied" in str(one) for one in found)


@pytest.mark.slow
def test_other_options_are_refused_and_overwritten(url: str, frames: Path, tmp_path: Path) -> None:
    out = f"{url}/out"
    run(frames, out)
    with pytest.raises(ManifestError, match="was exported with other options"):
        run(frames, out, compress="zstd")
    (RemotePath(out) / f"{MANIFEST}.000001").write_bytes((RemotePath(out) / MANIFEST).read_bytes())  # as after a kill
    run(frames, out, compress="zstd", formats=("cog",), overwrite=True)
    run(frames, tmp_path / "out", compress="zstd", formats=("cog",))
    assert tree(out, frames) == tree(tmp_path / "out", frames)


@pytest.mark.slow
def test_a_killed_run_goes_on(url: str, frames: Path, tmp_path: Path) -> None:
    out = f"{url}/out"
    script = (
        "import os, sys, hsrgeo\n"
        "options = hsrgeo.ExportOptions(window=(420, 620, 48, 32), jobs=1)\n"
        "for number, _outcome in enumerate(hsrgeo.export(sys.argv[1], sys.argv[2], options)):\n"
        f"    if number == 4: os.kill(os.getpid(), {int(signal.SIGKILL)})\n"
    )
    killed = subprocess.run([sys.executable, "-c", script, str(frames), out], env=dict(os.environ), check=False)
    assert killed.returncode == -signal.SIGKILL
    assert (RemotePath(out) / f"{MANIFEST}.lock").is_file()
    run(frames, out)
    run(frames, tmp_path / "out")
    assert tree(out, frames) == tree(tmp_path / "out", frames)


@contextmanager
def _killed(after: int) -> Iterator[None]:
    """End a run as a kill would: once so many files are in the bucket, or all of the frame for 0."""
    sent = itertools.count(1)

    def send(path: Any, data: bytes, mark: str) -> None:
        write_new(path, data, mark)
        if next(sent) == after:
            raise KeyboardInterrupt

    def settle(_ledger: object, *_done: object) -> None:
        raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch, suppress(KeyboardInterrupt):
        patch.setattr(work, "write_new", send)
        patch.setattr(work, "_UPLOADS", 1)
        patch.setattr(ledger.Ledger, "settle", settle)
        yield


@pytest.mark.parametrize("after", [1, 0])
@pytest.mark.parametrize("then", ["better", "worse", "gone", "same"])
def test_a_source_that_changes_after_a_kill(url: str, tmp_path: Path, then: str, after: int) -> None:
    (source := tmp_path / "in").mkdir()
    name = frame_name(TIME, kind="EXT" if then != "same" else "PUB")
    (source / name).write_bytes(watched.content(0, 2, "whole"))
    out = f"{url}/out"
    with _killed(after):
        run(source, out)
    left = [file.name for file in RemotePath(out).below() if file.name.startswith(f"{TIME:%Y%m%d%H%M}")]
    assert len(left) == 5 if after == 0 else left  # COG, PNG and its sidecars, or what one thread sends after another
    (source / name).unlink()
    minute, stations = {"better": (0, 3), "worse": (0, 1), "gone": (5, 2), "same": (0, 2)}[then]
    when = TIME + timedelta(minutes=minute)
    (source / frame_name(when)).write_bytes(watched.content(minute, stations, "whole"))
    assert run(source, out) == {"ok": 1}
    run(source, tmp_path / "once")
    assert tree(out, source) == tree(tmp_path / "once", source)


def test_of_what_has_no_line_only_what_the_killed_run_wrote_goes(url: str, tmp_path: Path) -> None:
    (source := tmp_path / "in").mkdir()
    (source / frame_name()).write_bytes(watched.content(0, 2, "whole"))
    out = RemotePath(f"{url}/out")
    day = out / f"{TIME:%Y%m}" / f"{TIME:%d}"
    (day / "theirs.tif").write_bytes(b"theirs")
    with _killed(0):
        run(source, str(out))
    cog = day / f"{TIME:%Y%m%d%H%M}.tif"
    cog.write_bytes(b"somebody else's")
    (source / frame_name()).write_bytes(watched.content(0, 3, "whole"))
    assert run(source, str(out)) == {"failed": 1}
    assert (day / "theirs.tif").read_bytes() == b"theirs"
    assert cog.read_bytes() == b"somebody else's"
    cog.unlink()
    assert run(source, str(out)) == {"ok": 1}


@pytest.mark.parametrize("then", [2, 3])
def test_a_line_stands_for_its_files_while_its_source_is_issued_again(url: str, tmp_path: Path, then: int) -> None:
    (source := tmp_path / "in").mkdir()
    out = f"{url}/out"
    (source / frame_name()).write_bytes(watched.content(0, 2, "whole"))
    run(source, out)
    (source / frame_name()).write_bytes(watched.content(0, 3, "whole"))
    with _killed(0):
        run(source, out)
    [line] = (RemotePath(out) / MANIFEST).read_bytes().splitlines()
    for output in json.loads(line)["outputs"]:
        assert f"{zlib.crc32((RemotePath(out) / output['path']).read_bytes()):08x}" == output["crc32"]
    (source / frame_name()).write_bytes(watched.content(0, then, "whole"))
    run(source, out)
    run(source, tmp_path / "once")
    assert tree(out, source) == tree(tmp_path / "once", source)


# Sources that are not there, or change.


@pytest.mark.parametrize(
    ("source", "why"),
    [
        ("s3://radar/nothing-here", "no such file or folder"),
        ("s3://radar/nothing-*.gz", "no file matches"),
        ("s3://no-such-bucket/x", "there is no such bucket"),
    ],
)
def test_a_source_that_is_not_there(url: str, tmp_path: Path, source: str, why: str) -> None:
    assert url
    with pytest.raises(SourceError, match=why):
        run(source, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_an_archive_that_is_replaced_while_it_is_read(url: str, frames: Path) -> None:
    name = "RDR_HSR_202206.tar.gz"
    path = RemotePath(upload(frames, url)) / name
    with path.open() as file:
        path.write_bytes(b"another")
        with pytest.raises(OSError, match="412"):
            file.read()


@pytest.mark.slow
def test_commands_read_a_bucket(url: str, frames: Path, tmp_path: Path) -> None:
    source = upload(frames, f"{url}/frames")
    cli = CliRunner()
    found = cli.invoke(app, ["info", source, "--json", "--jobs", "1"])
    assert json.loads(found.stdout)[0]["frames"] == FRAMES + 1
    assert cli.invoke(app, ["extract", f"{source}/RDR_HSR_202206.tar.gz", "--out", str(tmp_path / "x")]).exit_code == 0
    assert hsrgeo.open_frame(f"{source}/{frame_name(TIME + 3 * STEP)}").time == TIME + 3 * STEP
    assert sum(1 for _frame in hsrgeo.iter_frames(f"{source}/RDR_CMP_HSR_PUB_2022060911[23]*.bin.gz")) == 3
    refused = cli.invoke(app, ["export", source, "--out", f"{url}/out", "--qgis"])
    assert refused.exit_code == 2
    assert "not with a bucket as OUT" in refused.stderr


# Failures.


@pytest.fixture
def spoiled(server: str, url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Proxy]]:
    """Give a function that puts a proxy before the server; it tells what happens to each request."""
    assert url
    started: list[Any] = []

    def start(spoil: Callable[[int, str, str], Spoiling]) -> Proxy:
        running = Proxy(server, spoil).running()
        started.append(running)
        proxy = running.__enter__()
        _connect_to(proxy.address, monkeypatch)
        return proxy

    quick = {**buckets._RETRIES, "backoff": {**buckets._RETRIES["backoff"], "init_backoff": timedelta(0, 0.001)}}
    with patch.object(buckets, "_RETRIES", quick), patch.object(buckets, "_PAUSE_S", 0.01):
        yield start
    for running in started:
        running.__exit__(None, None, None)


HOWS: list[Spoiling] = ["500", "503", "cut", "cut request", "no answer"]


@pytest.mark.slow
@pytest.mark.parametrize("how", HOWS)
def test_requests_that_fail_are_tried_again(
    url: str, frames: Path, tmp_path: Path, spoiled: Callable[..., Proxy], how: Spoiling
) -> None:
    source = upload(frames, f"{url}/frames")
    proxy = spoiled(lambda number, _method, _path: how if number % 4 == 1 else "")
    assert run(source, f"{url}/out") == {"ok": FRAMES, "failed": 4, "duplicate": 1}
    assert proxy.spoiled > 10
    run(frames, tmp_path / "out")
    assert tree(f"{url}/out", source) == tree(tmp_path / "out", frames)


@pytest.mark.slow
def test_late_answers_are_waited_for(url: str, frames: Path, tmp_path: Path, spoiled: Callable[..., Proxy]) -> None:
    spoiled(lambda number, _method, _path: "slow" if number % 20 == 3 else "")
    assert run(frames, f"{url}/out")["ok"] == FRAMES
    run(frames, tmp_path / "out")
    assert tree(f"{url}/out", frames) == tree(tmp_path / "out", frames)


@pytest.mark.slow
def test_a_bucket_that_stays_broken_ends_the_run_and_loses_nothing(
    url: str, frames: Path, tmp_path: Path, spoiled: Callable[..., Proxy]
) -> None:
    broken = {"is": False}

    def spoil(_number: int, method: str, path: str) -> Spoiling:
        broken["is"] |= method == "PUT" and path.endswith(f"{TIME + 3 * STEP:%Y%m%d%H%M}.tif")
        return "500" if broken["is"] else ""

    proxy = spoiled(spoil)
    with patch.dict(buckets._RETRIES, max_retries=1), pytest.raises(HsrGeoError, match="500") as caught:
        run(frames, f"{url}/out")
    assert isinstance(caught.value, WriteError)
    broken["is"] = False
    proxy.spoil = lambda *_request: ""
    run(frames, f"{url}/out")
    run(frames, tmp_path / "out")
    assert tree(f"{url}/out", frames) == tree(tmp_path / "out", frames)


@pytest.mark.slow
def test_one_file_that_cannot_be_sent_fails_its_frame(url: str, frames: Path, spoiled: Callable[..., Proxy]) -> None:
    name = f"{TIME + 3 * STEP:%Y%m%d%H%M}.tif"
    proxy = spoiled(lambda _number, method, path: "500" if method == "PUT" and path.endswith(name) else "")
    with patch.dict(buckets._RETRIES, max_retries=1):
        export = hsrgeo.export(frames, f"{url}/out", OPTIONS)
        failed = [outcome for outcome in export if outcome.status == "failed" and isinstance(outcome.error, WriteError)]
    assert [outcome.frame_name.time for outcome in failed if outcome.frame_name] == [TIME + 3 * STEP]
    proxy.spoil = lambda *_request: ""
    assert run(frames, f"{url}/out") == {"ok": 1, "skipped": FRAMES, "failed": 4}


def test_a_listing_that_fails_between_two_pages_loses_no_name(url: str) -> None:
    names = [f"{number:02}" for number in range(25)]
    for name in names:
        (RemotePath(url) / name).write_bytes(b"x")
    whole, failures = obstore.list, iter([OSError("lost"), None, OSError("lost"), OSError("lost")])

    def breaking(*args: Any, **options: Any) -> Iterator[Any]:
        yield from itertools.islice(whole(*args, **{**options, "chunk_size": 4}), 2)
        if (failure := next(failures, None)) is not None:
            raise failure
        yield from itertools.islice(whole(*args, **{**options, "chunk_size": 4}), 2, None)

    with patch.object(buckets, "_PAUSE_S", 0), patch.object(obstore, "list", breaking):
        assert [file.name for file in RemotePath(url).below()] == names


def test_the_object_that_stands_for_a_folder_is_no_file(url: str, server: str, make_file: Callable[..., bytes]) -> None:
    (RemotePath(url) / frame_name()).write_bytes(make_file())
    for folder in (url, f"{url}/empty"):  # as "create folder" of a console makes them
        connection = http.client.HTTPConnection(server.removeprefix("http://"))
        connection.request("PUT", f"/{folder.removeprefix('s3://')}/", b"")
        assert connection.getresponse().status == http.HTTPStatus.OK
        connection.close()
    assert [(found.source, found.error) for found in scan([url], Selection())] == [(f"{url}/{frame_name()}", None)]


def test_an_upload_that_breaks_off_leaves_no_object(url: str, spoiled: Callable[..., Proxy]) -> None:
    spoiled(lambda _number, method, _path: "cut request" if method == "PUT" else "")
    path = RemotePath(f"{url}/half")
    with patch.dict(buckets._RETRIES, max_retries=1), pytest.raises(OSError, match="PUT"):
        path.write_bytes(b"x" * 100_000)
    assert not path.is_file()


def test_without_keys_nothing_is_signed(
    url: str, frames: Path, spoiled: Callable[..., Proxy], monkeypatch: pytest.MonkeyPatch
) -> None:
    source = upload(frames, f"{url}/frames")
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    monkeypatch.setenv("AWS_NO_SIGN_REQUEST", "YES")
    proxy = spoiled(lambda *_request: "")
    assert len(list(RemotePath(source).below())) == FRAMES
    assert proxy.requests
    assert not any("authorization" in map(str.lower, headers) for _method, _path, headers in proxy.requests)


@pytest.mark.slow
def test_a_server_that_is_not_there(url: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    _connect_to("http://127.0.0.1:1", monkeypatch)
    with patch.dict(buckets._RETRIES, max_retries=1), pytest.raises(SourceError, match="cannot be read"):
        run(f"{url}/x", tmp_path / "out")


def test_frames_of_a_bucket_open_as_one_dataset(url: str, frames: Path) -> None:
    (frames / "RDR_HSR_202206.tar.gz").unlink()
    broken = frames / frame_name(TIME + 20 * STEP)
    broken.unlink(missing_ok=True)
    opened = hsrgeo.open(upload(frames, f"{url}/frames"))
    here = hsrgeo.open(frames)
    assert opened.sizes["time"] == FRAMES - 2
    assert opened.reflectivity.equals(here.reflectivity)


def test_a_watch_keeps_a_bucket_as_it_keeps_a_disk(url: str, tmp_path: Path) -> None:
    (source := tmp_path / "in").mkdir()
    out, now = RemotePath(f"{url}/live"), [1.7e9]
    options = dataclasses.replace(watched.OPTIONS, sync=False)
    keep = timedelta(minutes=10)
    with Watch(source, out, options, keep=keep, settle_s=600, clock=lambda: now[0]) as watch:
        for minute, stations in ((0, 1), (0, 2), (5, 1), (15, 1)):  # new, better, new, and the first is too old
            path = source / frame_name(TIME + timedelta(minutes=minute))
            path.write_bytes(watched.content(minute, stations, "whole"))
            os.utime(path, (now[0], now[0]))
            assert watch.round().error is None
            now[0] += 30
    list(hsrgeo.export(source, tmp_path / "out", options, start=TIME + timedelta(minutes=5)))
    wanted = {path: data for path, data in tree(tmp_path / "out", source).items() if path != "options.json"}
    found = tree(str(out), source)
    assert {path: data for path, data in found.items() if path in wanted} == wanted
    assert json.loads(found["latest.json"])["time"] == "2022-06-09T11:30:00+09:00"
    assert found["latest.tif"] == wanted["202206/09/202206091130.tif"]
    assert not [path for path in found if path.endswith(("1115.tif", "1115.png")) or "unfinished" in path]
