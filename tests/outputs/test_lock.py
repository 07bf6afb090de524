"""One run at a time on an output, on disks and in buckets."""

from __future__ import annotations

import errno
import json
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest

import hsrgeo
from hsrgeo.engine.accumulate.sum_options import AccumulateOptions
from hsrgeo.engine.cube.cube_options import CubeOptions
from hsrgeo.engine.export_options import ExportOptions
from hsrgeo.engine.lazy import Run
from hsrgeo.engine.series.series_options import SeriesOptions
from hsrgeo.engine.stac import make_catalog
from hsrgeo.errors import HsrGeoError, LockError, NoRoomError, WriteError
from hsrgeo.outputs import alive, lease, lock
from hsrgeo.outputs import bucket as bucket_parts
from hsrgeo.outputs.bucket import BucketLock
from hsrgeo.outputs.lock import locked
from hsrgeo.outputs.manifest import Manifest
from hsrgeo.outputs.names import MANIFEST
from hsrgeo.outputs.outcome import of_found
from hsrgeo.places.places import Points
from hsrgeo.sources.found import Found
from hsrgeo.sources.remote import Place, RemotePath
from tests.conftest import TIME, MakeFile, frame_name, make_tar
from tests.faults import STEP
from tests.memory_bucket import MemoryBucket

ANOTHER = "0123456789abcdef" * 2
A_THIRD = "fedcba9876543210" * 2
NO_PROCESS = (1 << 22) + 1
"""More than Linux gives."""
FOUND = Found("a.tar", "a", None, 1)
RUNNING = pytest.mark.skipif(not alive.machine(), reason="knows processes by /proc")


@pytest.fixture
def bucket() -> MemoryBucket:
    return MemoryBucket()


@pytest.fixture(params=["disk", "bucket"])
def out(request: pytest.FixtureRequest, tmp_path: Path, bucket: MemoryBucket) -> Iterator[Place]:
    if request.param == "disk":
        (tmp_path / "out").mkdir()
        yield tmp_path / "out"
        return
    with bucket.connected() as path:
        yield path


@pytest.fixture(autouse=True)
def quick() -> Iterator[None]:
    with patch.object(bucket_parts, "_SETTLE_S", 0.0), patch.object(lock, "_WATCH_S", 0.02):
        yield


def lock_of(out: Place) -> Place:
    return out / f"{MANIFEST}.lock"


def lock_text(run: str = ANOTHER, **changes: object) -> bytes:
    """Return what the lock of a run of the parent process holds, unless something else is asked for."""
    parent = {"host": socket.gethostname(), "pid": os.getppid(), "begun": alive.begun_at(os.getppid())}
    return json.dumps({"run": run, "machine": alive.machine(), **parent, **changes}).encode()


def has_it(out: Place) -> str:
    return str(json.loads(lock_of(out).read_bytes())["run"])


def names(out: Place) -> list[str]:
    if isinstance(out, RemotePath):
        return [file.name for file in out.below()]
    return sorted(path.name for path in out.iterdir())


def grow_old(out: Place, seconds: float) -> None:
    """Let the lock on a disk be one that was not renewed for a time; a memory bucket has no times."""
    if isinstance(out, Path):
        then = time.time() - seconds
        os.utime(lock_of(out), (then, then))  # type: ignore[arg-type] # a Path, as OUT is


# Who has it.


def test_one_run_at_a_time(out: Place) -> None:
    with locked(out / MANIFEST, out), pytest.raises(LockError, match=r"another run .* is writing into it"):
        Manifest(out)
    assert names(out) == []
    with Manifest(out):
        assert lock_of(out).is_file()


def test_a_reader_needs_no_lock(out: Place) -> None:
    with Manifest(out) as manifest:
        manifest.put_in_order()
        with Manifest(out, read_only=True) as other:
            assert len(other) == 0


@RUNNING
@pytest.mark.parametrize(
    "changes",
    [
        {"pid": NO_PROCESS},
        {"begun": "1"},
        {"pid": os.getpid(), "begun": alive.begun_at(os.getpid())},
    ],
    ids=["its process is no more", "its process id was given again", "this process, another run"],
)
def test_a_run_of_this_machine_that_was_killed_is_not_waited_for(out: Place, changes: dict[str, Any]) -> None:
    lock_of(out).write_bytes(lock_text(**changes))
    with (
        patch.object(time, "sleep", side_effect=lambda seconds: seconds and pytest.fail("waited")),
        locked(out / MANIFEST),
    ):
        assert has_it(out) != ANOTHER
        assert names(out) == [f"{MANIFEST}.lock"]
    assert names(out) == []


@RUNNING
def test_a_run_of_this_machine_that_lives_is_waited_for_however_silent_it_is(out: Place) -> None:
    lock_of(out).write_bytes(lock_text())
    grow_old(out, 1e6)
    living = rf"\({socket.gethostname()}, process {os.getppid()}\) is writing into it; wait for its end, or"
    with pytest.raises(LockError, match=living):
        Manifest(out)


@pytest.mark.parametrize(
    "pid",
    [NO_PROCESS, 1, os.getpid(), -1, "text", 1 << 70],
    ids=["none", "init", "this", "negative", "text", "too large"],
)
def test_neither_a_host_name_nor_a_process_id_tells_that_a_run_elsewhere_is_dead(out: Place, pid: object) -> None:
    lock_of(out).write_bytes(lock_text(pid=pid, machine="another"))
    before = lock_of(out).read_bytes()
    with pytest.raises(LockError, match=r"or was killed: wait for its end or \d+ s, or choose another output"):
        Manifest(out)
    assert lock_of(out).read_bytes() == before


def test_where_a_machine_has_no_name_of_its_own_only_the_lease_counts(out: Place) -> None:
    with patch.object(alive, "machine", lambda: ""):
        lock_of(out).write_bytes(lock_text(pid=NO_PROCESS, machine=""))
        with pytest.raises(LockError, match="or was killed"):
            Manifest(out)


def test_a_run_elsewhere_is_waited_for_until_it_was_silent_long_enough(out: Place) -> None:
    lock_of(out).write_bytes(lock_text(machine="another"))
    with patch.object(lease, "LEASE_S", 0.0), Manifest(out):
        assert has_it(out) != ANOTHER
        assert names(out).count(f"{MANIFEST}.lock") == 1
    assert not lock_of(out).is_file()


@pytest.mark.parametrize("data", [b"", b"?", b"[]", b'{"run": "../../x"}', b"[" * 9999], ids=range(5))
def test_a_lock_that_says_nothing_is_somebodys(out: Place, data: bytes) -> None:
    lock_of(out).write_bytes(data)
    with pytest.raises(LockError, match="unknown, process unknown"):
        Manifest(out)
    with patch.object(lease, "LEASE_S", 0.0), Manifest(out):
        assert has_it(out) != ANOTHER


def test_a_lock_says_nothing_that_a_terminal_would_obey(out: Place) -> None:
    lock_of(out).write_bytes(lock_text(host="a\x1bc\u202eb", machine="another"))
    with pytest.raises(LockError, match=r"\(a\?c\?b, process"):
        Manifest(out)


# Of many that want it at once, one has it.


@pytest.mark.parametrize("before", [b"", lock_text(pid=NO_PROCESS)], ids=["free", "of a dead run"])
def test_of_many_at_once_one_has_it(tmp_path: Path, before: bytes) -> None:
    inside: list[int] = []
    most = 0

    def one(number: int) -> bool:
        nonlocal most
        try:
            with locked(tmp_path / "x"):
                inside.append(number)
                most = max(most, len(inside))
                together.wait(timeout=30)  # nobody leaves before all have tried
                inside.remove(number)
        except LockError:
            together.wait(timeout=30)
            return False
        return True

    if before and not alive.machine():
        pytest.skip("knows processes by /proc")
    for _round in range(10):
        together = threading.Barrier(6)
        if before:
            (tmp_path / "x.lock").write_bytes(before)
        with ThreadPoolExecutor(6) as pool:
            assert sum(pool.map(one, range(6))) == 1
        assert names(tmp_path) == []
    assert most == 1


@RUNNING
def test_a_run_that_was_killed_while_it_took_over_is_no_obstacle(tmp_path: Path) -> None:
    (tmp_path / "x.lock").write_bytes(lock_text(pid=NO_PROCESS))
    (tmp_path / f"x.lock.{ANOTHER}").write_bytes(lock_text(A_THIRD, pid=NO_PROCESS))
    with locked(tmp_path / "x"):
        assert names(tmp_path) == ["x.lock"]


@RUNNING
def test_a_run_that_is_taking_over_has_it(tmp_path: Path) -> None:
    (tmp_path / "x.lock").write_bytes(lock_text(pid=NO_PROCESS))
    (tmp_path / f"x.lock.{ANOTHER}").write_bytes(lock_text(A_THIRD))
    with pytest.raises(LockError), locked(tmp_path / "x"):
        pass
    assert names(tmp_path) == ["x.lock", f"x.lock.{ANOTHER}"]


@RUNNING
def test_who_takes_over_too_late_leaves_the_lock_of_who_was_in_time(tmp_path: Path) -> None:
    path = tmp_path / "x.lock"
    path.write_bytes(lock_text(pid=NO_PROCESS))
    make = lock._DiskLock._is_new

    def late(own: Any, claim: Path) -> bool:
        made = make(own, claim)
        if claim.name == f"x.lock.{ANOTHER}":
            path.write_bytes(lock_text(A_THIRD))
        return made

    with patch.object(lock._DiskLock, "_is_new", late), pytest.raises(LockError), locked(tmp_path / "x"):
        pass
    assert names(tmp_path) == ["x.lock"]
    assert json.loads(path.read_bytes())["run"] == A_THIRD


def test_of_two_that_take_over_in_a_bucket_the_first_has_it(bucket: MemoryBucket) -> None:
    asked = BucketLock._age

    def meanwhile(own: Any, path: RemotePath) -> float:
        age = asked(own, path)
        path.write_bytes(lock_text(A_THIRD))
        return age

    stale = patch.object(lease, "LEASE_S", 0.0), patch.object(BucketLock, "_age", meanwhile)
    with bucket.connected() as out:
        lock_of(out).write_bytes(lock_text(machine="another"))
        with stale[0], stale[1], pytest.raises(LockError, match="writing into it"):
            Manifest(out)
        assert has_it(out) == A_THIRD


@pytest.mark.parametrize("left", [b"", lock_text(machine="another")])
def test_an_answer_that_is_lost_in_a_bucket_loses_no_lock(bucket: MemoryBucket, left: bytes) -> None:
    write = MemoryBucket.write

    def twice(own: MemoryBucket, key: str, *data: Any, **how: Any) -> None:
        write(own, key, *data, **how)
        write(own, key, *data, **how)  # as obstore does where no answer comes

    with bucket.connected() as out, patch.object(lease, "LEASE_S", 0.0):
        if left:
            lock_of(out).write_bytes(left)
        with patch.object(MemoryBucket, "write", twice), Manifest(out):
            assert has_it(out) not in (ANOTHER, "")
        assert not lock_of(out).is_file()


# Clocks.


def test_a_lock_is_as_old_as_the_disk_says(tmp_path: Path) -> None:
    path = lock_of(tmp_path)
    path.write_bytes(lock_text(machine="another"))
    grow_old(tmp_path, 30)
    with pytest.raises(LockError, match=r"or (60|[345]\d) s"):  # 90 s less 30, and what the machine took since
        Manifest(tmp_path)


def test_a_lock_from_the_future_of_a_dead_run_is_not_waited_for_until_then(tmp_path: Path) -> None:
    lock_of(tmp_path).write_bytes(lock_text(machine="another"))
    grow_old(tmp_path, -86400)
    with Manifest(tmp_path):
        assert has_it(tmp_path) != ANOTHER


@pytest.mark.parametrize("behind", [86400, -86400])
def test_a_run_whose_clock_is_wrong_is_seen_to_live(tmp_path: Path, behind: int) -> None:
    lock_of(tmp_path).write_bytes(lock_text(machine="another"))
    grow_old(tmp_path, behind)

    def sleep(_seconds: float) -> None:
        grow_old(tmp_path, behind - 15)

    with patch.object(time, "sleep", sleep), pytest.raises(LockError, match="is writing into it; wait"):
        Manifest(tmp_path)
    assert has_it(tmp_path) == ANOTHER


def test_a_run_renews_its_lock(tmp_path: Path) -> None:
    with patch.object(lease, "BEAT_S", 0.01), locked(tmp_path / "x"):
        os.utime(tmp_path / "x.lock", (1, 1))
        end = time.monotonic() + 30
        while (tmp_path / "x.lock").stat().st_mtime == 1:
            assert time.monotonic() < end
            time.sleep(0.01)


# Who lost it writes no more.


def test_a_run_that_was_taken_over_ends(out: Place) -> None:
    taken = pytest.raises(WriteError, match="taken over by another run, or removed; this one ends: run the same")
    with patch.object(lease, "BEAT_S", 0.01), taken, Manifest(out) as manifest:
        lock_of(out).write_bytes(lock_text())
        manifest._journal._lock._beat.join()  # type: ignore[attr-defined]
        manifest.append(replace(of_found(FOUND, "failed"), seconds=1))
        manifest.sync()
    assert has_it(out) == ANOTHER


@pytest.mark.parametrize("since", ["under way", "done"])
def test_a_run_that_slept_while_another_took_over_ends(out: Place, since: str) -> None:
    taken = pytest.raises(WriteError, match="this one ends")
    with taken, Manifest(out) as manifest:  # no beat came between
        lock_of(out).write_bytes(lock_text())
        if since == "done":
            lock_of(out).unlink()
        now = lease.now()
        with patch.object(lease, "now", lambda: now + 3600):
            manifest.append(of_found(FOUND, "failed"))
            manifest.sync()
    assert lock_of(out).is_file() == (since == "under way")


def test_a_run_that_is_taken_over_in_the_middle_of_a_beat_ends(bucket: MemoryBucket) -> None:
    version = BucketLock._version

    def taken_over_meanwhile(own: Any) -> str:
        found = version(own)
        lock_of(folder).write_bytes(lock_text())
        return found

    taken = pytest.raises(WriteError, match="taken over by another run")
    often = patch.object(lease, "BEAT_S", 0.01), patch.object(BucketLock, "_version", taken_over_meanwhile)
    with bucket.connected() as folder, often[0], often[1], taken, Manifest(folder) as manifest:
        manifest._journal._lock._beat.join()  # type: ignore[attr-defined]
        manifest.append(of_found(FOUND, "failed"))
        manifest.sync()
    assert bucket.objects[f"out/{MANIFEST}.lock"] == lock_text()


def test_a_run_that_cannot_see_its_lock_for_a_lease_ends(tmp_path: Path) -> None:
    now = lease.now()
    with locked(tmp_path / "x") as own, patch.object(own, "_is_taken", side_effect=OSError(errno.EIO, "i/o")):
        with patch.object(lease, "now", lambda: now + 80):
            own.check()
        with patch.object(lease, "now", lambda: now + 200), pytest.raises(WriteError, match="cannot be read any more"):
            own.check()


def test_looking_at_the_lock_costs_nothing_for_each_frame(tmp_path: Path) -> None:
    with locked(tmp_path / "x") as own, patch.object(own, "_is_taken", wraps=own._is_taken) as looks:
        begun = lease.now()
        for _frame in range(1000):
            own.check()
        assert looks.call_count <= lease.now() - begun


# What cannot be locked.


@pytest.mark.parametrize(
    ("number", "kind", "problem"),
    [
        (errno.EROFS, LockError, r"locked against other runs \(x.lock\): Read-only .*; choose an output where"),
        (errno.EACCES, LockError, r"x: no permission to write in .*; choose another output$"),
        (errno.EIO, LockError, "locked against other runs"),
        (errno.ENOSPC, NoRoomError, "No space left on device"),
    ],
)
def test_a_run_that_cannot_lock_says_so_and_stops(
    tmp_path: Path, number: int, kind: type[HsrGeoError], problem: str
) -> None:
    with patch.object(os, "write", side_effect=OSError(number, os.strerror(number))):
        with pytest.raises(kind, match=problem), locked(tmp_path / "x"):
            pass
        assert names(tmp_path) == []


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no such files here")
@pytest.mark.parametrize("kind", ["link", "pipe", "endless", "folder"])
def test_a_lock_that_is_no_file_is_neither_followed_nor_waited_for(tmp_path: Path, kind: str) -> None:
    path, precious = tmp_path / "x.lock", tmp_path / "precious"
    precious.write_bytes(b"precious")
    match kind:
        case "pipe":
            os.mkfifo(path)
        case "folder":
            path.mkdir()
        case _:
            path.symlink_to(precious if kind == "link" else "/dev/zero")
    with pytest.raises(LockError, match="unknown, process unknown"), locked(tmp_path / "x"):
        pass
    with patch.object(lease, "LEASE_S", 0.0):
        if kind == "folder":
            with pytest.raises(LockError, match="cannot be opened and locked"), locked(tmp_path / "x"):
                pass
        else:
            with locked(tmp_path / "x"):
                pass
            assert names(tmp_path) == ["precious"]
    assert precious.read_bytes() == b"precious"


def test_folders_that_only_a_lock_needed_go_with_it(tmp_path: Path) -> None:
    with locked(tmp_path / "a/b/x"):
        assert names(tmp_path / "a/b") == ["x.lock"]
    assert names(tmp_path) == []


def test_a_bucket_that_knows_no_conditions(bucket: MemoryBucket) -> None:
    whole = bucket.write

    def without(key: str, data: bytes | Path, *, new: bool, over: str, mark: str) -> None:
        if new or over:
            raise OSError(errno.ENOTSUP, "no conditions")
        whole(key, data, new=False, over="", mark=mark)

    with bucket.connected() as out, patch.object(bucket, "write", without):
        with Manifest(out) as manifest:
            manifest.append(of_found(FOUND, "failed"))
            with pytest.raises(LockError, match="another run"):
                Manifest(out)
        lock_of(out).write_bytes(lock_text(machine="another"))
        with patch.object(lease, "LEASE_S", 0.0), Manifest(out) as manifest:
            assert len(manifest) == 1


def test_lines_are_never_written_over_those_of_another_run(bucket: MemoryBucket) -> None:
    with bucket.connected() as out, Manifest(out) as manifest:
        (out / f"{MANIFEST}.000001").write_bytes(b"another's")
        manifest.append(of_found(FOUND, "failed"))
        manifest.sync()
    assert bucket.objects[f"{out.key}/{MANIFEST}.000001"] == b"another's"
    assert b"a.tar" in bucket.objects[f"{out.key}/{MANIFEST}.000002"]


# Every command that adds to something.

WINDOW = (420, 620, 48, 32)
CROP = ExportOptions(window=WINDOW, jobs=1)


@pytest.fixture
def archive(tmp_path: Path, make_file: MakeFile) -> Path:
    path = tmp_path / "in.tar.gz"
    times = [TIME + n * STEP for n in range(3)]
    path.write_bytes(make_tar([(frame_name(time), make_file(time=time)) for time in times]))
    return path


COMMANDS: dict[str, Callable[[Path, Path], Run]] = {
    "export": lambda source, out: hsrgeo.export(source, out, CROP),
    "sums": lambda source, out: hsrgeo.accumulate(source, out, AccumulateOptions(window=WINDOW, jobs=1)),
    "c.zarr": lambda source, out: hsrgeo.make_cube(source, out, CubeOptions(frames=CROP)),
    "c.nc": lambda source, out: hsrgeo.make_cube(source, out, CubeOptions(frames=CROP)),
    "table.csv": lambda source, out: hsrgeo.series(
        source, out, SeriesOptions(points=Points(("a",), ((127.0, 37.0),)), jobs=1)
    ),
}


@pytest.mark.parametrize("name", COMMANDS)
def test_a_second_run_ends_at_once_and_the_first_is_as_if_alone(tmp_path: Path, archive: Path, name: str) -> None:
    """The second is one of another machine, where process ids and host name are the same, and flock is no use."""
    make = COMMANDS[name]
    for _outcome in make(archive, tmp_path / "alone" / name):
        pass
    first = make(archive, tmp_path / "both" / name)
    next(first)
    with patch.object(alive, "machine", lambda: "another"), pytest.raises(LockError, match="another run"):
        for _outcome in make(archive, tmp_path / "both" / name):
            pass
    for _outcome in first:
        pass
    assert tree(tmp_path / "both") == tree(tmp_path / "alone")


def tree(folder: Path) -> dict[str, bytes]:
    files = {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    for name in [name for name in files if name.endswith(MANIFEST)]:
        del files[name]  # it tells seconds
    return files


def test_two_catalogues_at_a_time(tmp_path: Path, archive: Path) -> None:
    for _outcome in hsrgeo.export(archive, tmp_path / "out", CROP):
        pass
    with locked(tmp_path / "out/collection.json"), pytest.raises(LockError):
        make_catalog(tmp_path / "out")
    assert make_catalog(tmp_path / "out").items == 3
