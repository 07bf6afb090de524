"""Sources and outputs in Azure and Google Cloud: their emulators on loopback, where they are installed."""

from __future__ import annotations

import errno
import json
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

import hsrgeo
from hsrgeo.cli import app
from hsrgeo.errors import LockError, ManifestError, SourceError
from hsrgeo.outputs import bucket as bucket_lock
from hsrgeo.outputs.lease import LEASE_S
from hsrgeo.outputs.names import MANIFEST
from hsrgeo.sources import buckets, connections
from hsrgeo.sources.remote import RemotePath, unlink_all
from tests.conftest import TIME, frame_name
from tests.emulators import azure_server, azurite, fake_gcs_server, google_server
from tests.faults import STEP
from tests.sources.test_buckets import FRAMES, frames, run, tree, upload

__all__ = ["frames"]  # a fixture

obstore = pytest.importorskip("obstore")

CONTAINER = "radar"


@pytest.fixture(scope="module", params=["az", "gs"])
def service(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Give the URL of an empty container or bucket."""
    if not {"az": azurite, "gs": fake_gcs_server}[request.param]():
        pytest.skip(f"no emulator of {request.param}://, see tests/emulators.py")
    folder = tmp_path_factory.mktemp("service")
    running = azure_server(CONTAINER) if request.param == "az" else google_server(CONTAINER, folder)
    with running as variables, pytest.MonkeyPatch.context() as context:
        for name, value in variables.items():
            context.setenv(name, value)
        context.setattr(bucket_lock, "_SETTLE_S", 0.0)
        connections._connected.cache_clear()
        yield f"{request.param}://{CONTAINER}"
    connections._connected.cache_clear()


@pytest.fixture
def url(service: str) -> str:
    return f"{service}/{time.monotonic_ns()}"


def test_google_is_asked_for_the_generation(monkeypatch: pytest.MonkeyPatch) -> None:
    now: dict[str, Any] = {"e_tag": '"a"', "version": "1654740900000000"}
    modes = []
    monkeypatch.setattr(obstore, "head", lambda *_arguments: now)
    monkeypatch.setattr(obstore, "put", lambda *_arguments, mode, attributes: modes.append((mode, attributes)))
    bucket = buckets.Bucket("gs://radar")
    bucket.write("x", b"", new=False, over='"a"', mark="")
    assert modes == [({"version": "1654740900000000"}, None)]
    with pytest.raises(OSError, match="changed or removed"):
        bucket.write("x", b"", new=False, over='"b"', mark="")
    assert len(modes) == 1


def test_the_version_of_a_listing_is_that_of_the_file() -> None:
    about = {"path": "x", "size": 1, "last_modified": TIME}
    assert buckets._listed({**about, "e_tag": "0x1E92"}).version == '"0x1E92"'  # as Azure lists
    for tag in ('"0x1E92"', 'W/"1"'):
        assert buckets._listed({**about, "e_tag": tag}).version == tag
    assert buckets._listed({**about, "e_tag": None}).version == ""


@pytest.mark.parametrize("url", ["az://radar/x", "az://radar"])
def test_keys_that_are_not_set_are_named(url: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in os.environ:
        if name.startswith("AZURE"):
            monkeypatch.delenv(name)
    connections._connected.cache_clear()
    with pytest.raises(SourceError, match=r"no keys were found .*AZURE_STORAGE_ACCOUNT_NAME"):
        run(url, tmp_path / "out")


@pytest.mark.slow
def test_a_file_is_written_on_conditions(url: str) -> None:
    path, text = RemotePath(f"{url}/한글 sp+%20#&.json"), b"first"
    path.write_bytes(text, new=True, mark="run-1")
    assert (path.read_bytes(), path.read_bytes(2), path.mark()) == (text, b"fi", "run-1")
    with pytest.raises(FileExistsError):
        path.write_bytes(b"second", new=True)
    first = path.stat().version
    path.write_bytes(b"second", over=first)
    for stale, where in ((first, path), (first, path.with_name("none"))):
        with pytest.raises(OSError, match=r"\S") as caught:
            where.write_bytes(b"third", over=stale)
        assert caught.value.errno == errno.ESTALE
    assert path.read_bytes() == b"second"
    [listed] = RemotePath(url).below()
    assert listed.stat().version == path.stat().version
    with listed.open() as file:
        path.write_bytes(b"changed")
        with pytest.raises(OSError, match="412"):
            file.read()
    path.replace(path.with_name("moved"))
    (path.with_name("empty")).write_bytes(b"")
    assert path.with_name("empty").read_bytes(100) == b""
    assert [file.name for file in RemotePath(url).below(deep=False)] == ["empty", "moved"]
    unlink_all([*RemotePath(url).below(), path])
    assert list(RemotePath(url).below()) == []


@pytest.mark.slow
def test_a_large_file_is_sent_in_parts(url: str) -> None:
    path = RemotePath(f"{url}/large")
    for size in (12_000_000, 6_000_000):
        path.write_bytes(bytes(size))
        assert path.stat().size == size
    path.write_bytes(bytes(7_000_000), over=path.stat().version)
    assert path.read_bytes() == bytes(7_000_000)


@pytest.mark.slow
def test_a_container_that_is_not_there(service: str, tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"no such bucket|404"):
        run(f"{service}-none/x", tmp_path / "out")


@pytest.mark.slow
def test_frames_go_there_and_come_from_there(url: str, frames: Path, tmp_path: Path) -> None:
    source, out = upload(frames, f"{url}/frames"), f"{url}/out"
    here = run(frames, tmp_path / "out")
    assert run(source, out, jobs=2) == here
    assert tree(out, source) == tree(tmp_path / "out", frames)
    assert run(source, out) == {"skipped": FRAMES + 1, "failed": 4}
    next(file for file in RemotePath(out).below() if file.suffix == ".png").unlink()
    assert run(source, out) == {"ok": 1, "skipped": FRAMES, "failed": 4}
    assert tree(out, source) == tree(tmp_path / "out", frames)
    assert list(hsrgeo.verify(out, source, jobs=1)) == []
    with pytest.raises(ManifestError, match="was exported with other options"):
        run(source, out, compress="zstd")
    found = CliRunner().invoke(app, ["info", source, "--json", "--jobs", "1"])
    assert json.loads(found.stdout)[0]["frames"] == FRAMES + 1


@pytest.mark.slow
def test_a_file_that_is_named_is_that_of_the_listing(url: str, frames: Path) -> None:
    source, out = upload(frames, f"{url}/frames"), f"{url}/out"
    one = f"{source}/{frame_name(TIME + 3 * STEP)}"
    assert run(one, out) == {"ok": 1}
    assert run(f"{source}/*{TIME + 3 * STEP:%Y%m%d%H%M}*", out) == {"skipped": 1}


@pytest.mark.slow
def test_one_run_at_a_time(url: str, frames: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lock = RemotePath(f"{url}/out/{MANIFEST}.lock")
    with bucket_lock.BucketLock(lock, url) as held:
        with pytest.raises(LockError, match="another run"):
            run(frames, f"{url}/out")
        assert held._is_renewed()
    assert not lock.is_file()
    lock.write_bytes(json.dumps({"run": "x", "host": "elsewhere", "pid": 1}).encode())
    with pytest.raises(LockError, match="elsewhere"):
        run(frames, f"{url}/out")
    monkeypatch.setattr(bucket_lock.BucketLock, "_age", lambda *_path: LEASE_S)
    assert run(frames, f"{url}/out")["ok"] == FRAMES
    assert not lock.is_file()


@pytest.mark.slow
def test_a_cube_goes_there_and_grows(url: str, frames: Path, tmp_path: Path, make_file: Callable[..., bytes]) -> None:
    pytest.importorskip("zarr")
    out, here = f"{url}/c.zarr", tmp_path / "c.zarr"
    frames = tmp_path / "more"
    frames.mkdir()
    for number in range(4):
        (frames / frame_name(TIME + number * STEP)).write_bytes(make_file(time=TIME + number * STEP))
    window = ["--window", "420", "620", "48", "32", "--layout", "both", "--jobs", "1"]
    for some in (f"*{TIME + STEP:%Y%m%d%H%M}*", "*"):
        paths = [str(path) for path in sorted(frames.glob(some))]
        for target in (out, str(here)):
            made = CliRunner().invoke(app, ["cube", *paths, *window, "--out", target])
            assert made.exit_code == 0, made.stderr
    for layout in ("map", "series"):
        cube: Any = hsrgeo.open(out, layout=layout)
        assert cube.sizes["time"] == 4
        assert cube.identical(hsrgeo.open(here, layout=layout).load())
    places = tmp_path / "points.csv"
    lon, lat = hsrgeo.open_frame(next(frames.iterdir())).crop(window=(420, 620, 48, 32)).grid.lonlat(10, 10)
    places.write_text(f"name,lon,lat\na,{lon},{lat}\n")
    for source, table in ((out, "there.csv"), (str(here), "here.csv")):
        series = ["series", source, "--points", str(places), "--out", str(tmp_path / table)]
        read = CliRunner().invoke(app, series)
        assert read.exit_code == 0, read.stderr
    assert (tmp_path / "there.csv").read_bytes() == (tmp_path / "here.csv").read_bytes()
    left_over = {path.key for path in RemotePath(url).below() if "/c.zarr/" not in path.key}
    assert left_over == set()
