"""Cubes in a bucket: the cube of a disk, old or new and never half, whatever becomes of the run that makes it."""

from __future__ import annotations

import itertools
import os
import random
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC, timedelta
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import pytest
from numpy.typing import NDArray

import hsrgeo
from hsrgeo.engine.cube.cube_options import CubeOptions
from hsrgeo.engine.export_options import ExportOptions
from hsrgeo.errors import HsrGeoError, LockError, OptionsError, OutputExistsError, SourceError
from hsrgeo.outputs import bucket as bucket_lock
from hsrgeo.sources import buckets, connections, remote
from hsrgeo.sources.remote import RemotePath
from tests.conftest import TIME, frame_name
from tests.faults import STEP
from tests.memory_bucket import MemoryBucket
from tests.s3 import Proxy, s3_server

pytest.importorskip("obstore")
pytest.importorskip("moto.server", reason="moto is not installed")
zarr = pytest.importorskip("zarr")

from hsrgeo.cube import spaces, whole  # noqa: E402 - after the libraries are known to be there

WINDOW = (420, 620, 48, 64)  # two bands of 32 rows
NAME = "equivalent_reflectivity_factor"
FRAMES = 8


@pytest.fixture(scope="module", autouse=True)
def small_pieces() -> Iterator[None]:
    """Let a chunk of the layout series have few times, and a shard few rows."""
    with pytest.MonkeyPatch.context() as context:
        context.setattr("hsrgeo.cube.store.SERIES_TIMES", 3)
        context.setattr("hsrgeo.cube.store._BAND_BYTES", 1)
        context.setattr(bucket_lock, "_SETTLE_S", 0.0)
        yield


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with s3_server("cubes") as address:
        yield address


@pytest.fixture
def frames(make_file: Callable[..., bytes], pixels: NDArray[np.int16], tmp_path: Path) -> list[Path]:
    folder = tmp_path / "frames"
    folder.mkdir()
    paths = [folder / frame_name(TIME + number * STEP) for number in range(FRAMES)]
    for number, path in enumerate(paths):
        path.write_bytes(make_file(np.roll(pixels, number, axis=1), time=TIME + number * STEP))
    return paths


@pytest.fixture
def url(server: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> str:
    """Give the URL of a cube that is not there yet."""
    connect(server, monkeypatch)
    for name, value in (("ACCESS_KEY_ID", "key"), ("SECRET_ACCESS_KEY", "secret"), ("REGION", "us-east-1")):
        monkeypatch.setenv(f"AWS_{name}", value)
    return f"s3://cubes/{tmp_path.name}/c.zarr"


def connect(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", address)
    connections._connected.cache_clear()


def options(layout: Any = "both", **changes: Any) -> CubeOptions:
    return CubeOptions(frames=ExportOptions(window=WINDOW, jobs=1, **{"values": "raw", **changes}), layout=layout)


def made(sources: Any, out: Any, **changes: Any) -> Any:
    return hsrgeo.make_cube(sources, out, options(**changes)).run()


def objects(out: str) -> dict[str, bytes]:
    home = RemotePath(out)
    return {path.key.removeprefix(f"{home.key}/"): path.read_bytes() for path in home.below()}


def files(out: Path) -> dict[str, bytes]:
    return {path.relative_to(out).as_posix(): path.read_bytes() for path in out.rglob("*") if path.is_file()}


def expected(frames: list[Path]) -> NDArray[np.int16]:
    return np.stack([hsrgeo.open_frame(path).crop(window=WINDOW).raw for path in frames])


@pytest.mark.slow
def test_a_bucket_gets_the_cube_that_a_disk_gets(url: str, frames: list[Path], tmp_path: Path) -> None:
    here = tmp_path / "c.zarr"
    for part in (frames[2:6], frames[2:7], frames[:2], frames[7:], frames):  # after, before and in whole blocks
        there, local = made(part, url), made(part, here)
        assert (there.built, there.missing, there.counts) == (local.built, local.missing, local.counts)
        if part == frames[2:6]:
            assert objects(url) == files(here)
        for layout in ("map", "series"):
            assert hsrgeo.open(url, layout=layout).identical(hsrgeo.open(here, layout=layout).load())
    left = {path.name for path in RemotePath(url).parent.below() if not path.key.startswith(f"{RemotePath(url).key}/")}
    assert left == set()
    values = [key for key in objects(url) if f"map/{NAME}/" in key and not key.endswith("zarr.json")]
    assert len(values) == FRAMES


@pytest.mark.slow
def test_other_programs_open_it(url: str, frames: list[Path]) -> None:
    xr = pytest.importorskip("xarray")
    made(frames[1:], url)
    made(frames[:1], url)  # other names of chunks
    store = zarr.storage.ObjectStore(remote.bucket_folder(RemotePath(url)), read_only=True)
    for layout in ("map", "series"):
        with xr.open_zarr(store, group=layout, mask_and_scale=False) as cube:
            assert np.array_equal(cube[NAME].values, expected(frames))
        assert np.array_equal(zarr.open_array(store, path=f"{layout}/{NAME}", mode="r")[:], expected(frames))


@pytest.mark.slow
def test_it_is_opened_lazily_by_another_process(url: str, server: str, frames: list[Path]) -> None:
    made(frames, url, layout="map")
    with Proxy(server, lambda *_request: "").running() as proxy:
        script = (
            "import sys, hsrgeo\n"
            "cube = hsrgeo.open(sys.argv[1])\n"
            "print(cube.sizes['time'], flush=True)\n"
            "sys.stdin.readline()\n"
            "print(round(float(cube.reflectivity.isel(time=5).max()), 2))\n"
        )
        command = [sys.executable, "-c", script, url]
        environment = {**os.environ, "AWS_ENDPOINT_URL": proxy.address}
        with subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment, text=True
        ) as process:
            assert process.stdin is not None
            assert process.stdout is not None
            assert process.stdout.readline() == f"{FRAMES}\n"
            assert len(proxy.requests) <= 6  # root, time, y, x; nothing is listed
            assert not any(f"/{NAME}/" in path for _method, path, _headers in proxy.requests)
            process.stdin.write("\n")
            process.stdin.flush()
            assert process.stdout.readline() == f"{expected(frames)[5].max() / 100:.2f}\n".replace(".00", ".0")
    assert sum(f"/{NAME}/" in path for _method, path, _headers in proxy.requests) == 1


@pytest.mark.slow
def test_series_statistics_and_sums_of_it_are_those_of_a_disk(url: str, frames: list[Path], tmp_path: Path) -> None:
    made(frames, url)
    made(frames, tmp_path / "c.zarr")
    tables = [tmp_path / "there.csv", tmp_path / "here.csv"]
    lon, lat = hsrgeo.open_frame(frames[0]).crop(window=WINDOW).grid.lonlat(20, 30)
    points = {"a": (float(lon), float(lat))}
    sources: list[str | Path] = [url, tmp_path / "c.zarr"]
    for source, table in zip(sources, tables, strict=True):
        hsrgeo.series(source, table, points=points, jobs=1).run()
    assert tables[0].read_bytes() == tables[1].read_bytes()
    for source, table in zip(sources, tables, strict=True):
        hsrgeo.stats(source, table, jobs=1).run()
    assert tables[0].read_bytes() == tables[1].read_bytes()
    hsrgeo.accumulate(url, tmp_path / "sums", jobs=2).run()
    hsrgeo.accumulate([*frames], tmp_path / "of_frames", window=WINDOW, jobs=2).run()
    sums = files(tmp_path / "sums")
    assert [name for name in sums if name.endswith(".tif")] == ["202206/09/rain_1h_202206091100.tif"]
    assert sums == files(tmp_path / "of_frames")
    with pytest.raises(OptionsError, match=f"{url}: is a cube; sums and fields go to a folder of their own"):
        hsrgeo.accumulate(frames, url)


@pytest.mark.slow
def test_requests_that_fail_are_tried_again(
    url: str, server: str, frames: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    chance = random.Random(1)  # noqa: S311
    quick = {**buckets._RETRIES, "backoff": {**buckets._RETRIES["backoff"], "init_backoff": timedelta(0, 0.001)}}
    hows: list[Any] = ["500", "503", "cut", "cut request", "no answer"]
    with (
        Proxy(server, lambda *_request: chance.choice(hows) if chance.random() < 0.05 else "").running() as proxy,
        patch.object(buckets, "_RETRIES", quick),
        patch.object(buckets, "_PAUSE_S", 0.01),
    ):
        connect(proxy.address, monkeypatch)
        made(frames[3:], url)
        made(frames, url)
        assert np.array_equal(packed(url, "series"), expected(frames))
        assert proxy.spoiled > 5


def packed(out: str, layout: str) -> NDArray[np.int16]:
    """Return the values of a cube, packed; an object that is not there is an error."""
    cube = hsrgeo.open(out, layout=layout)
    values: NDArray[np.int16] = np.rint(cube.reflectivity.fillna(-300).values * 100).astype(np.int16)
    return values


# A run that is killed, or overtaken.


class KilledError(BaseException):
    """The run was killed."""


def read_memory(bucket: MemoryBucket, folder: RemotePath) -> Any:
    """Return zarr's store of what is in a bucket in memory now."""
    buffer = zarr.core.buffer.default_buffer_prototype().buffer
    start = f"{folder.key}/"
    found = {key: data for key, data in bucket.objects.items() if key.startswith(start)}
    objects = {key.removeprefix(start): buffer.from_bytes(data) for key, data in found.items()}
    return zarr.storage.MemoryStore(objects, read_only=True)  # as the store of a real bucket


@pytest.fixture
def memory() -> Iterator[MemoryBucket]:
    bucket = MemoryBucket()
    with bucket.connected(), patch.object(whole, "bucket_store", lambda folder: read_memory(bucket, folder)):
        yield bucket


def killed_after(bucket: MemoryBucket, steps: int, run: Callable[[], Any]) -> bool:
    """Kill a run after so many changes of the bucket; tell whether it was killed."""
    count = iter(range(steps))

    def step() -> None:
        if next(count, None) is None:
            raise KilledError

    bucket.step = step
    try:
        run()
    except KilledError:
        return True
    finally:
        bucket.step = lambda: None
    return False


def steps_of(bucket: MemoryBucket, run: Callable[[], Any]) -> int:
    """Return how many changes a run makes; the bucket is then as it was before."""
    start, count = dict(bucket.objects), itertools.count()

    def step() -> None:
        next(count)

    bucket.step = step
    run()
    bucket.step, bucket.objects = lambda: None, start
    return next(count)


@pytest.mark.slow
@pytest.mark.parametrize("change", ["behind", "before"])
def test_a_run_may_be_killed_between_any_two_requests(memory: MemoryBucket, frames: list[Path], change: str) -> None:
    """A few of them; ``python -m tests.fuzz.bucket_cubes`` tries every one."""
    old = frames[:5] if change == "behind" else frames[3:]
    made(old, f"{memory.url}/c.zarr")
    steps = steps_of(memory, lambda: made(frames, f"{memory.url}/c.zarr"))
    chance = random.Random(2)  # noqa: S311
    # In the last steps one object makes the cube another one, and what is left is removed.
    for number in (*chance.sample(range(3, steps - 30), 2), *chance.sample(range(steps - 30, steps), 2)):
        kill_and_go_on(memory, old, frames, number)


def kill_and_go_on(memory: MemoryBucket, old: list[Path], frames: list[Path], step: int) -> None:
    """Kill the run that adds frames, read the cube, run again; the bucket is then as it was before."""
    out, start = f"{memory.url}/c.zarr", dict(memory.objects)
    assert killed_after(memory, step, lambda: made(frames, out))
    for layout in ("map", "series"):
        assert any(np.array_equal(packed(out, layout), expected(some)) for some in (old, frames))
    made(frames, out)
    for layout in ("map", "series"):
        assert np.array_equal(packed(out, layout), expected(frames))
    assert not [key for key in memory.objects if not key.startswith("c.zarr/")]
    documents = whole.documents_of(memory.objects["c.zarr/zarr.json"])
    keys = [key.removeprefix("c.zarr/") for key in memory.objects]
    assert spaces.unused(keys, documents, only_values=True) == []
    memory.objects = start


def test_a_second_run_is_refused(memory: MemoryBucket, frames: list[Path]) -> None:
    out = f"{memory.url}/c.zarr"
    run = hsrgeo.make_cube(frames, out, options())
    next(run)
    with pytest.raises(LockError, match="is writing into it"):
        made(frames, out)
    run.run()
    assert np.array_equal(packed(out, "map"), expected(frames))


@pytest.mark.slow
def test_a_run_that_lost_its_lock_unawares_breaks_nothing(memory: MemoryBucket, frames: list[Path]) -> None:
    """At a few requests; ``python -m tests.fuzz.bucket_cubes`` tries every one."""
    for old in (frames[2:4], frames[3:]):
        memory.objects.clear()
        made(old, f"{memory.url}/c.zarr")
        steps = steps_of(memory, lambda: made(frames[:5], f"{memory.url}/c.zarr"))
        # 30: it has copied, and computes shards; the other one has made the same cube meanwhile.
        for number in {30, *random.Random(4).sample(range(steps), 1)}:  # noqa: S311
            overtake(memory, frames, number)


def test_of_two_runs_that_make_the_first_cube_the_one_that_was_overtaken_gives_up(
    memory: MemoryBucket, frames: list[Path]
) -> None:
    """It has chosen the names of its chunks, and not said so yet: the other one has chosen the same."""
    keys, steps = [""], list[str]()
    write = memory.write

    def noted(key: str, *arguments: Any, **options: Any) -> None:
        keys.append(key)
        write(key, *arguments, **options)

    memory.step = lambda: steps.append(keys[-1])
    with patch.object(memory, "write", noted):
        made(frames[:5], f"{memory.url}/c.zarr")
    memory.objects.clear()
    overtake(memory, frames, steps.index(".c.zarr.staged/plan.json"))


def overtake(memory: MemoryBucket, frames: list[Path], step: int) -> None:
    """Suspend a run between two requests, let another one make the cube, and never let it look at its lock again.

    The bucket is then as it was before.
    """
    out, start = f"{memory.url}/c.zarr", dict(memory.objects)
    count = iter(range(step))
    least: list[Path] = []

    def overtaken() -> None:
        if next(count, None) is None:
            memory.step = lambda: None
            least.extend(frames[2:])
            memory.objects.pop("c.zarr.lock", None)
            made(frames[2:], out)

    memory.step = overtaken
    with patch("hsrgeo.outputs.lease.Lock.check", lambda _lock: None), suppress(HsrGeoError):
        made(frames[:5], out)
    memory.step = lambda: None
    check_values(out, frames, least)
    made(frames, out)
    check_values(out, frames, frames)
    memory.objects = start


def check_values(out: str, frames: list[Path], least: list[Path]) -> None:
    """Check that a cube has these frames at least, and of each time what its frame has."""
    for layout in ("map", "series"):
        times = [np.datetime64(hsrgeo.open_frame(path).time.astimezone(UTC).replace(tzinfo=None)) for path in frames]
        there = hsrgeo.open(out, layout=layout)["time"].values
        kept = [path for path, time in zip(frames, times, strict=True) if time in there]
        assert set(least) <= set(kept)
        assert np.array_equal(packed(out, layout), expected(kept))


# What is refused.


@pytest.mark.slow
def test_what_somebody_else_put_there_stays(url: str, frames: list[Path]) -> None:
    theirs = RemotePath(url) / "notes.txt"
    theirs.write_bytes(b"somebody's work")
    for overwrite in (False, True):
        with pytest.raises(OutputExistsError, match="is not a cube made by hsrgeo"):
            made(frames, url, overwrite=overwrite)
    (RemotePath(url) / "zarr.json").write_bytes(b'{"zarr_format": 3, "node_type": "group", "attributes": {}}')
    with pytest.raises(SourceError, match=r"cannot be opened as a cube|is not a cube made by hsrgeo"):
        made(frames, url)
    with pytest.raises(OutputExistsError, match="is not a cube made by hsrgeo"):
        made(frames, url, overwrite=True)
    assert sorted(objects(url)) == ["notes.txt", "zarr.json"]


def test_overwriting_keeps_the_old_cube_until_the_new_one_is_whole(memory: MemoryBucket, frames: list[Path]) -> None:
    out = f"{memory.url}/c.zarr"
    made(frames[:3], out)
    assert killed_after(
        memory, 30, lambda: made(frames, out, layout="map", overwrite=True, values="clean", quantity="rain")
    )
    assert np.array_equal(packed(out, "series"), expected(frames[:3]))
    made(frames, out, layout="map", overwrite=True, values="clean", quantity="rain")
    assert list(hsrgeo.open(out).data_vars) == ["rain_rate"]
    assert not [key for key in memory.objects if "/series/" in key or NAME in key]


@pytest.mark.parametrize(
    ("out", "words", "error", "why"),
    [
        ("s3://cubes/c.nc", {"layout": "map"}, OptionsError, "in a bucket a cube is .zarr"),
        ("s3://cubes/c.parquet", {"layout": "map", "virtual": True}, OptionsError, "and a reference .json"),
        ("s3://cubes/c.zarr", {"zarr_format": 2}, OptionsError, "is of format 3"),
        ("https://example.org/c.zarr", {}, OptionsError, "outputs go to a disk or a bucket"),
        ("s3://no-such-bucket/c.zarr", {}, LockError, "there is no such bucket"),
    ],
)
def test_what_cannot_be(
    url: str, frames: list[Path], out: str, words: dict[str, Any], error: type[Exception], why: str
) -> None:
    assert url
    with pytest.raises(error, match=why):
        hsrgeo.make_cube(frames, out, window=WINDOW, jobs=1, **words).run()


@pytest.mark.slow
def test_a_bucket_that_may_not_be_written(
    url: str, server: str, frames: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    made(frames[:3], url)
    with Proxy(server, lambda _number, method, _path: "403" if method in ("PUT", "POST") else "").running() as proxy:
        connect(proxy.address, monkeypatch)
        with pytest.raises(LockError, match="cannot be opened and locked") as caught:
            made(frames, url)
    assert "secret" not in str(caught.value)
    connect(server, monkeypatch)
    with pytest.raises(SourceError, match="no such file or folder"):
        hsrgeo.open(f"{url}x.zarr")
    with pytest.raises(OptionsError, match="read on this machine only"):
        hsrgeo.open("s3://cubes/c.nc")


@pytest.mark.slow
def test_a_lost_object_is_an_error_and_not_nodata(url: str, frames: list[Path]) -> None:
    made(frames, url)
    (RemotePath(url) / f"map/{NAME}/c/2/0/0").unlink()
    with pytest.raises(SourceError, match="is not whole"):
        hsrgeo.open(url, layout="map").load()


def test_references_in_a_bucket(url: str, frames: list[Path]) -> None:
    out = url.replace(".zarr", ".json")
    for path in frames:
        (RemotePath(url).parent / path.name).write_bytes(path)
    source = f"{RemotePath(url).parent}/*.bin.gz"
    hsrgeo.make_cube(source, out, window=WINDOW, jobs=1, values="raw", virtual=True).run()
    cube = hsrgeo.open(out)
    assert np.array_equal(np.rint(cube.reflectivity.fillna(-300).values * 100), expected(frames))
    with pytest.raises(OutputExistsError, match="already exists"):
        hsrgeo.make_cube(source, out, window=WINDOW, jobs=1, values="raw", virtual=True)


@pytest.mark.parametrize("space", range(4))
def test_names_of_chunks(space: int) -> None:
    names = [("c/4/0/1", "c.4.0.1", "4/0/1", "4.0.1")[space], ("c/7", "c.7", "7", "7")[space]]
    assert [spaces.chunk_key(space, numbers) for numbers in ((4, 0, 1), (7,))] == names
    document = spaces.with_space({"node_type": "array"}, space)
    assert spaces.space_of(document) == space
    assert spaces.chunk_key(spaces.free_space({0}, {space}, 3), (4, 0, 1)) not in ("c/4/0/1", names[0])
    assert spaces.chunk_key(spaces.free_space({0}, {space}, 1), (7,)) not in ("c/7", names[1])
