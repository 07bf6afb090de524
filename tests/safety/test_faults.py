"""What a user sees when something goes wrong around a run, and that nothing is lost by it.

Every test runs the real command in a process of its own. To have the fault at a moment that is known, the process is
held where it opens a file (`tests/holding`): nothing of hsrgeo is replaced. Afterwards the fault is taken away, and the
same command must end with the bytes of a run that was never disturbed.

Elsewhere: kill -9 at random and Ctrl-C with workers (test_kill.py), a kill between any two steps (test_ledger.py),
damaged archives and manifests (test_archives.py, test_manifest.py), a bucket that fails (test_buckets.py).
"""

from __future__ import annotations

import ctypes
import json
import os
import select
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from hsrgeo.__main__ import Ending
from hsrgeo.cli import app
from hsrgeo.outputs.names import MANIFEST, OPTIONS, UNFINISHED
from tests.conftest import TIME, MakeFile, frame_name, hear_signals, make_tar
from tests.exported import lines

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="mounts, limits and signals of Linux")

HOLDING = str(Path(__file__).parents[1] / "holding")
FRAMES = 24
STEP = timedelta(minutes=5)
NAMES = [frame_name(TIME + n * STEP) for n in range(FRAMES)]
STEMS = [f"202206/09/{name[16:28]}" for name in NAMES]
SMALL = ("--window", "420", "620", "48", "32")
LARGE = ("--window", "0", "0", "512", "512", "--compress", "none", "--format", "cog")
"""Outputs of 512 x 512 cells of two bytes and an overview of a quarter of that: 0.66 MB each."""
LARGE_BYTES = 512 * 512 * 2 * 5 // 4
GO_ON = "; run the same command again to resume"
ROOM = "        make room and run the same command again"
KEPT = ": it resumes where it stopped"


# How a command is run, held and looked at.


class Command:
    """A command in a process group of its own, held where it first opens `hold`."""

    begun: list[Command] = []  # noqa: RUF012 - of all of them

    def __init__(
        self,
        *args: object,
        scratch: Path,
        hold: str = "",
        nth: int = 1,
        before: Callable[[], None] | None = None,
        stdout: Any = subprocess.PIPE,
        stderr: Any = subprocess.PIPE,
        env: dict[str, str] | None = None,
    ) -> None:
        self._scratch = scratch
        scratch.mkdir(exist_ok=True)
        for name in ("held", "go"):
            (scratch / name).unlink(missing_ok=True)

        def prepare() -> None:
            hear_signals()
            if before is not None:
                before()

        holding = {"PYTHONPATH": HOLDING, "HOLD_AT": hold, "HOLD_IN": str(scratch), "HOLD_NTH": str(nth)}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "hsrgeo", *map(str, args)],
            stdin=subprocess.DEVNULL,
            stdout=stdout,
            stderr=stderr,
            text=True,
            env={**os.environ, "NO_COLOR": "1", **holding, **(env or {})},
            preexec_fn=prepare,  # noqa: PLW1509 - it only asks the kernel
            start_new_session=True,
        )
        Command.begun.append(self)

    def held(self) -> int:
        """Wait until a process is held; return its number."""
        while not (self._scratch / "held").exists():
            assert self.process.poll() is None, f"ended before it was held: {self.process.communicate()}"
            time.sleep(0.005)
        return int((self._scratch / "held").read_text())

    def go(self) -> None:
        (self._scratch / "go").touch()

    def end(self) -> tuple[int, str, str]:
        """Wait for the end; return status, stdout and stderr. No process is left, and nobody saw a traceback."""
        stdout, stderr = self.process.communicate()
        deadline = time.monotonic() + 120
        while self._alive():
            assert time.monotonic() < deadline, "processes are left behind"
            time.sleep(0.01)
        text = stderr or ""
        assert "Traceback" not in text, text
        assert "bug" not in text, text
        assert "Exception ignored" not in text, text
        return self.process.returncode, stdout or "", text

    def _alive(self) -> bool:
        for entry in Path("/proc").iterdir():
            with suppress(OSError):
                if entry.name.isdigit():
                    state, _parent, group = entry.joinpath("stat").read_text().rpartition(")")[2].split()[:3]
                    if int(group) == self.process.pid and state != "Z":  # whose parent has not asked for its status
                        return True
        return False

    def kill(self) -> None:
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        for stream in (self.process.stdout, self.process.stderr):
            if stream is not None:
                stream.close()


@pytest.fixture(autouse=True)
def none_left_behind() -> Iterator[None]:
    yield
    for command in Command.begun:
        command.kill()  # where a test failed in the middle
    Command.begun.clear()


def export(source: Path, out: Path, *options: object, jobs: int = 1) -> list[object]:
    return ["export", source, "--out", out, "--jobs", jobs, *(options or SMALL)]


def again(args: Sequence[object]) -> None:
    """Run the same command once more, now that nothing is in its way."""
    done = CliRunner().invoke(app, list(map(str, args)))
    assert done.exit_code == 0, done.stderr


def by_status(out: Path) -> dict[str, int]:
    found = [line["status"] for line in lines(out)]
    return {status: found.count(status) for status in sorted(set(found))}


def files(out: Path) -> dict[str, bytes]:
    return {path.relative_to(out).as_posix(): path.read_bytes() for path in out.rglob("*") if path.is_file()}


def tree(out: Path) -> dict[str, bytes]:
    """Return every file below OUT; the manifest without its seconds, nor where the sources lie."""
    own = [line | {"seconds": 0, "source": Path(line["source"]).name} for line in lines(out)]
    return files(out) | {MANIFEST: json.dumps(own).encode()}


def outputs(out: Path) -> dict[str, bytes]:
    return {name: data for name, data in files(out).items() if name not in (MANIFEST, OPTIONS, UNFINISHED)}


def check_whole(out: Path, reference: dict[str, bytes]) -> None:
    """See to it that what has its name in OUT is whole, and that nothing else lies there."""
    for name, data in outputs(out).items():
        assert data == reference.get(name), name


def hidden(out: Path) -> dict[str, bytes]:
    """Return what a run that was ended had begun, and the next one removes."""
    return {name: data for name, data in outputs(out).items() if "/." in name}


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory, make_file: MakeFile) -> Path:
    folder = tmp_path_factory.mktemp("source") / "frames"
    folder.mkdir()
    for number, name in enumerate(NAMES):
        (folder / name).write_bytes(make_file(time=TIME + number * STEP))
    return folder


@pytest.fixture(scope="module")
def straight(source: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """Give what a run makes that nothing disturbs."""
    out = tmp_path_factory.mktemp("straight") / "out"
    again(export(source, out))
    assert by_status(out) == {"ok": FRAMES}
    return tree(out)


@pytest.fixture
def own(source: Path, tmp_path: Path) -> Path:
    """Give a copy of the sources, to break."""
    return Path(shutil.copytree(source, tmp_path / "frames"))


class Disk:
    """A disk of its own, in memory."""

    def __init__(self, folder: Path, size: str) -> None:
        self.folder = folder
        self._mount("-t", "tmpfs", "-o", f"size={size}", "tmpfs")

    def remount(self, options: str) -> None:
        self._mount("-o", f"remount,{options}")

    def fill(self) -> None:
        with suppress(OSError), (self.folder / "filler").open("wb", buffering=0) as file:
            while True:
                file.write(bytes(4096))

    def empty(self) -> None:
        (self.folder / "filler").unlink()

    def _mount(self, *options: str) -> None:
        done = subprocess.run(["mount", *options, str(self.folder)], capture_output=True, text=True, check=False)
        if done.returncode:
            pytest.skip(f"no disk can be mounted: {done.stderr.strip()}")


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Callable[[str], Disk]]:
    """Give the maker of a disk, which needs root."""
    folder = tmp_path / "disk"
    folder.mkdir()
    if os.geteuid() != 0:
        pytest.skip("only root may mount a disk")
    yield lambda size: Disk(folder, size)
    for command in Command.begun:
        command.kill()
    subprocess.run(["umount", "--lazy", str(folder)], capture_output=True, check=False)


# Disk full.


@pytest.mark.slow
def test_a_full_disk_ends_the_run_and_with_room_it_goes_on(
    source: Path, tmp_path: Path, disk: Callable[[str], Disk]
) -> None:
    again(export(source, tmp_path / "straight", *LARGE))
    reference = tree(tmp_path / "straight")
    small = disk("3m")
    out = small.folder / "out"
    args = export(source, out, *LARGE)
    # A whole output and all its tags have somewhat more than their cells: 4 of them go into 3 MiB, and no more.
    assert 3 * 2**20 // LARGE_BYTES == 4
    status, _stdout, stderr = Command(*args, scratch=tmp_path / "s").end()
    messages = stderr.splitlines()
    assert status == 1
    problem = "cannot be written: No space left on device"
    # Frames that do not fit are reported one by one, as any that fail; ten in a row, and the others are not even tried.
    # They are worked on in fours: 4 fit, 4 do not, 4 do not, and of the next 4 the second is the tenth.
    assert messages[:10] == [f"failed: {source / NAMES[n]}: {out / STEMS[n]}.tif: {problem}" for n in range(4, 14)]
    assert messages[10] == f"failed: 2 more; all are in {out / MANIFEST}"
    assert messages[11].startswith("16 frames: 4 written, 12 failed (")
    assert messages[12:] == [f"hsrgeo: {out}: stopped: 10 frames in a row {problem}", ROOM + KEPT]
    assert by_status(out) == {"failed": 12, "ok": 4}
    check_whole(out, reference)
    small.remount("size=40m")
    again(args)
    assert tree(out) == reference


@pytest.mark.slow
def test_a_disk_too_full_for_the_manifest(
    source: Path, straight: dict[str, bytes], tmp_path: Path, disk: Callable[[str], Disk]
) -> None:
    small = disk("200k")
    out = small.folder / "out"
    args = export(source, out)
    status, _stdout, stderr = Command(*args, scratch=tmp_path / "s").end()
    assert status == 1
    assert stderr.splitlines()[-2:] == [
        f"hsrgeo: {out / MANIFEST}: cannot be written: No space left on device",
        ROOM + KEPT,
    ]
    check_whole(out, straight)
    assert 0 < len(outputs(out)) < len(straight) - 2
    small.remount("size=4m")
    again(args)
    assert tree(out) == straight


@pytest.mark.slow
def test_a_disk_full_when_the_manifest_is_put_in_order(
    source: Path, straight: dict[str, bytes], tmp_path: Path, disk: Callable[[str], Disk]
) -> None:
    small = disk("2m")
    out = small.folder / "out"
    args = export(source, out)
    command = Command(*args, scratch=tmp_path / "s", hold=f".{MANIFEST}.part")
    command.held()
    small.fill()
    command.go()
    status, _stdout, stderr = command.end()
    assert status == 1
    assert stderr.splitlines()[-2:] == [
        f"hsrgeo: {out / MANIFEST}: cannot be written: No space left on device",
        ROOM + KEPT,
    ]
    assert by_status(out) == {"ok": FRAMES}  # all is done, and all is reported
    check_whole(out, straight)
    small.empty()
    again(args)
    assert tree(out) == straight


@pytest.mark.slow
def test_a_limit_on_files_stands_for_a_full_disk_where_nobody_is_root(source: Path, tmp_path: Path) -> None:
    import resource  # noqa: PLC0415 - not everywhere

    again(export(source, tmp_path / "straight", *LARGE))
    out = tmp_path / "out"
    args = export(source, out, *LARGE)
    limit = LARGE_BYTES // 2  # no output fits, the manifest does
    small = Command(
        *args, scratch=tmp_path / "s", before=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
    )
    status, _stdout, stderr = small.end()
    assert status == 1
    assert stderr.splitlines()[-2:] == [
        f"hsrgeo: {out}: stopped: 10 frames in a row cannot be written: File too large",
        ROOM + KEPT,
    ]
    assert by_status(out) == {"failed": 12}
    assert outputs(out) == {}
    again(args)
    assert tree(out) == tree(tmp_path / "straight")


@pytest.mark.slow
def test_frames_that_fit_between_those_that_do_not_keep_a_run_going(own: Path, tmp_path: Path) -> None:
    # 512 x 512 cells of noise do not pack: 0.5 MB and more; cells of one value do. Every other frame is noise, so
    # twelve fail, never ten in a row, and every other one is written.
    import resource  # noqa: PLC0415 - not everywhere

    noise = np.random.default_rng(1).integers(0, 5000, (1441, 1153)).astype(np.int16)
    made = MakeFile()
    for number in range(0, FRAMES, 2):
        (own / NAMES[number]).write_bytes(made(noise, time=TIME + number * STEP))
    out = tmp_path / "out"
    args = export(own, out, "--window", 0, 0, 512, 512, "--format", "cog")
    limit = 200_000
    small = Command(
        *args, scratch=tmp_path / "s", before=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
    )
    status, _stdout, stderr = small.end()
    assert status == 1
    assert by_status(out) == {"failed": 12, "ok": 12}
    assert "failed: 2 more; all are in" in stderr
    assert "the run ends" not in stderr
    again(args)
    assert by_status(out) == {"ok": 24}


@pytest.mark.slow
@pytest.mark.parametrize("command", ["series", "accumulate"])
def test_no_room_for_temporary_files(source: Path, tmp_path: Path, disk: Callable[[str], Disk], command: str) -> None:
    (tmp_path / "gauges.csv").write_text("name,lon,lat\n" + "".join(f"g{n},127.{n},37\n" for n in range(10)))
    options: dict[str, list[object]] = {
        "series": ["--points", tmp_path / "gauges.csv", "--out", tmp_path / "out.csv"],
        "accumulate": ["--period", "1h", "--rolling", "1h", "--out", tmp_path / "out"],
    }
    args = [command, source, "--jobs", "1", *options[command]]
    small = disk("64k")
    run = Command(*args, scratch=tmp_path / "s", hold=NAMES[1], env={"TMPDIR": str(small.folder)})
    run.held()  # a folder that is full from the start is not even taken: Python looks for another one
    small.fill()
    run.go()
    status, _stdout, stderr = run.end()
    assert status == 1
    problem, hint = stderr.splitlines()[-2:]
    assert problem.startswith(f"hsrgeo: {small.folder}/hsrgeo-")
    assert "cannot be written: No space left on device" in problem
    assert "TMPDIR" in problem
    assert hint == ROOM
    assert not (tmp_path / "out.csv").exists()
    assert [path.name for path in small.folder.iterdir()] == ["filler"]
    again(args)


@pytest.mark.slow
@pytest.mark.parametrize("asked", [["info", "{in}", "--json", "--jobs", 1], ["export", "{in}", "--json", "--jobs", 1]])
def test_a_full_disk_under_stdout(
    source: Path, straight: dict[str, bytes], tmp_path: Path, asked: list[object]
) -> None:
    out = tmp_path / "out"
    args = [source if one == "{in}" else one for one in asked]
    args += ["--out", out, *SMALL] if args[0] == "export" else []
    with Path("/dev/full").open("w") as full:
        status, _stdout, stderr = Command(*args, scratch=tmp_path / "s", stdout=full).end()
    assert status == 1
    assert stderr.splitlines()[-1] == "hsrgeo: stdout: cannot be written: No space left on device"
    if args[0] == "export":
        assert tree(out) == straight  # only the answer is lost


@pytest.mark.slow
def test_a_full_disk_under_stderr_loses_only_what_is_said(
    own: Path, straight: dict[str, bytes], tmp_path: Path
) -> None:
    out = tmp_path / "out"
    sound = (own / NAMES[3]).read_bytes()
    (own / NAMES[3]).write_bytes(b"")
    args = export(own, out)
    with Path("/dev/full").open("w") as full:
        status, stdout, _stderr = Command(*args, "--json", scratch=tmp_path / "s", stderr=full).end()
    assert (status, json.loads(stdout)["failed"]) == (1, 1)
    (own / NAMES[3]).write_bytes(sound)
    again(args)
    assert tree(out) == straight


# No permission, and a disk that is read-only.


def as_anybody() -> None:
    """Give up what lets root pass over permissions; of this process and all that it starts."""
    if os.geteuid() == 0:
        libc = ctypes.CDLL(None)
        for capability in (1, 2):  # CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH: linux/capability.h
            libc.prctl(24, capability, 0, 0, 0)  # PR_CAPBSET_DROP: linux/prctl.h


@pytest.fixture
def permissions(tmp_path: Path) -> None:
    """Skip where permissions do not bite."""
    trial = tmp_path / "trial"
    trial.touch(mode=0)
    done = subprocess.run(["cat", trial], capture_output=True, check=False, preexec_fn=as_anybody)
    if done.returncode == 0:
        pytest.skip("permissions do not hold this user back")


@pytest.mark.slow
@pytest.mark.usefixtures("permissions")
def test_a_source_that_may_not_be_read(own: Path, straight: dict[str, bytes], tmp_path: Path) -> None:
    out = tmp_path / "out"
    args = export(own, out)
    (own / NAMES[5]).chmod(0)
    status, _stdout, stderr = Command(*args, scratch=tmp_path / "s", before=as_anybody).end()
    assert status == 1
    assert stderr.splitlines()[0] == f"failed: {own / NAMES[5]}: cannot be read: Permission denied"
    assert by_status(out) == {"failed": 1, "ok": FRAMES - 1}
    check_whole(out, straight)
    own.chmod(0)
    try:
        status, _stdout, stderr = Command(*args, scratch=tmp_path / "s", before=as_anybody).end()
        assert (status, stderr) == (2, f"hsrgeo: {own}: folder cannot be read: Permission denied\n")
    finally:
        own.chmod(0o700)
    (own / NAMES[5]).chmod(0o600)
    again(args)
    assert tree(out) == straight


@pytest.mark.slow
@pytest.mark.usefixtures("permissions")
def test_an_out_that_may_not_be_written(source: Path, straight: dict[str, bytes], tmp_path: Path) -> None:
    parent = tmp_path / "parent"
    parent.mkdir(mode=0o500)
    out = parent / "out"
    args = export(source, out)
    status, _stdout, stderr = Command(*args, scratch=tmp_path / "s", before=as_anybody).end()
    assert (status, stderr) == (2, f"hsrgeo: {out / MANIFEST}: cannot be opened: Permission denied\n")
    assert list(parent.iterdir()) == []
    parent.chmod(0o700)
    day = out / "202206" / "09"
    day.mkdir(parents=True)
    day.chmod(0o500)
    status, _stdout, stderr = Command(*args, scratch=tmp_path / "s", before=as_anybody).end()
    messages = stderr.splitlines()
    assert status == 1
    first = ".pgw" if f"{STEMS[0]}.pgw" in straight else ""
    assert first
    assert messages[0].startswith(f"failed: {source / NAMES[0]}: {out / STEMS[0]}.")
    assert messages[0].endswith(": cannot be written: Permission denied")
    assert messages[10] == f"failed: {FRAMES - 10} more; all are in {out / MANIFEST}"
    assert by_status(out) == {"failed": FRAMES}
    assert outputs(out) == {}
    day.chmod(0o700)
    again(args)
    assert tree(out) == straight


@pytest.mark.slow
def test_a_read_only_out(source: Path, straight: dict[str, bytes], tmp_path: Path, disk: Callable[[str], Disk]) -> None:
    small = disk("4m")
    out = small.folder / "out"
    args = export(source, out)
    command = Command(*args, scratch=tmp_path / "s", hold=NAMES[12])
    command.held()
    os.killpg(command.process.pid, signal.SIGKILL)  # half-way
    command.process.wait()
    small.remount("ro")
    before = files(out)
    status, _stdout, stderr = Command(*args, scratch=tmp_path / "s").end()
    problem = f"cannot be opened and locked against other runs ({MANIFEST}.lock): Read-only file system"
    assert (status, stderr) == (2, f"hsrgeo: {out}: {problem}; choose an output where files can be made\n")
    assert files(out) == before
    status, stdout, _stderr = Command(*args, "--dry-run", scratch=tmp_path / "s").end()
    assert (status, stdout.count("\n")) == (0, 2 * FRAMES)  # which writes nothing
    small.remount("rw")
    again(args)
    assert tree(out) == straight


# Sources that change under a run.


@pytest.mark.slow
def test_sources_that_vanish_after_they_were_listed(own: Path, straight: dict[str, bytes], tmp_path: Path) -> None:
    out = tmp_path / "out"
    args = export(own, out)
    command = Command(*args, scratch=tmp_path / "s", hold=NAMES[8])
    command.held()
    away = tmp_path / "away"
    away.mkdir()
    (own / NAMES[20]).rename(away / NAMES[20])
    command.go()
    status, _stdout, stderr = command.end()
    assert status == 1
    assert stderr.splitlines()[0] == f"failed: {own / NAMES[20]}: cannot be read: No such file or directory"
    assert by_status(out) == {"failed": 1, "ok": FRAMES - 1}
    check_whole(out, straight)
    (away / NAMES[20]).rename(own / NAMES[20])
    again(args)
    assert tree(out) == straight


@pytest.mark.slow
def test_a_folder_that_vanishes_with_all_that_is_in_it(own: Path, straight: dict[str, bytes], tmp_path: Path) -> None:
    out = tmp_path / "out"
    args = export(own, out)
    command = Command(*args, scratch=tmp_path / "s", hold=NAMES[8])
    command.held()
    own.rename(tmp_path / "away")
    command.go()
    status, _stdout, stderr = command.end()
    assert status == 1
    assert "cannot be read: No such file or directory" in stderr
    counts = by_status(out)
    assert counts == {"failed": FRAMES - 8, "ok": 8}  # each is reported
    check_whole(out, straight)
    status, _stdout, stderr = Command(*args, scratch=tmp_path / "s").end()
    assert (status, stderr) == (2, f"hsrgeo: {own}: no such file or folder\n")
    (tmp_path / "away").rename(own)
    again(args)
    assert tree(out) == straight


@pytest.mark.slow
def test_a_file_that_is_still_being_downloaded(own: Path, straight: dict[str, bytes], tmp_path: Path) -> None:
    out = tmp_path / "out"
    args = export(own, out)
    path = own / NAMES[10]
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    status, _stdout, stderr = Command(*args, scratch=tmp_path / "s").end()
    assert status == 1
    assert stderr.splitlines()[0].startswith(f"failed: {path}: truncated: expected a whole gzip stream, ")
    # More of it comes between the first look at it, which knows it again later, and the reading.
    command = Command(*args, scratch=tmp_path / "s", hold=NAMES[10], nth=2)
    command.held()
    path.write_bytes(whole)
    command.go()
    assert command.end()[0] == 0
    again(args)  # and is not taken for the same as before, nor for another one
    assert tree(out) == straight


@pytest.fixture(scope="module")
def archived(tmp_path_factory: pytest.TempPathFactory) -> tuple[bytes, dict[str, bytes]]:
    """Give an archive of megabytes a frame, so that it is never read far ahead, and what becomes of it."""
    noise = np.random.default_rng(2).integers(0, 5000, (1441, 1153)).astype(np.int16)
    made = MakeFile()
    data = make_tar([(name, made(noise, time=TIME + n * STEP, level=0)) for n, name in enumerate(NAMES[:6])], gz=False)
    folder = tmp_path_factory.mktemp("archived")
    (folder / "a.tar").write_bytes(data)
    again(export(folder / "a.tar", folder / "out"))
    return data, tree(folder / "out")


@pytest.mark.slow
@pytest.mark.parametrize("fault", ["cut", "grows", "deleted"])
def test_an_archive_that_changes_while_it_is_read(
    archived: tuple[bytes, dict[str, bytes]], tmp_path: Path, fault: str
) -> None:
    data, straight = archived
    path, out = tmp_path / "a.tar", tmp_path / "out"
    args = export(path, out)
    path.write_bytes(data[: len(data) * 5 // 6 + 1000] if fault == "grows" else data)
    # A batch is four frames: the first one is written when four are read.
    command = Command(*args, scratch=tmp_path / "s", hold=f"/.{STEMS[0][10:]}.tif.part")
    command.held()
    if fault == "cut":
        os.truncate(path, len(data) * 5 // 6 + 1000)
    elif fault == "grows":
        with path.open("ab") as file:
            file.write(data[len(data) * 5 // 6 + 1000 :])
    else:
        path.unlink()
    command.go()
    status, _stdout, stderr = command.end()
    if fault == "cut":
        assert status == 1
        assert stderr.splitlines()[0].startswith(f"failed: {path}: truncated")
        assert by_status(out) == {"failed": 1, "ok": 5}
        check_whole(out, straight)
    else:  # a deleted file is there until it is closed
        assert (status, by_status(out)) == (0, {"ok": 6})
    path.write_bytes(data)
    again(args)
    # The line of an archive that was cut has no frame of its own: it goes where a run reads it to its end.
    assert tree(out) == straight


# Processes that are ended.


@pytest.mark.slow
def test_a_worker_that_the_kernel_kills(source: Path, straight: dict[str, bytes], tmp_path: Path) -> None:
    out = tmp_path / "out"
    args = export(source, out, *SMALL, jobs=2)
    command = Command(*args, scratch=tmp_path / "s", hold=f"/.{STEMS[9][10:]}.tif.part")
    worker = command.held()
    assert worker != command.process.pid
    os.kill(worker, signal.SIGKILL)
    status, _stdout, stderr = command.end()
    assert status == 1
    assert stderr.splitlines()[-1] == (
        "hsrgeo: a worker process was killed, most likely because memory ran out; run the same command again, with "
        "fewer --jobs: it resumes where it stopped"
    )
    check_whole(out, straight | hidden(out))
    again(args)
    assert tree(out) == straight


MOMENTS = {
    "sources are read": (NAMES[8], 1),
    "a frame is written": (f"/.{STEMS[6][10:]}.png.part", 1),
    "workers write": (f"/.{STEMS[9][10:]}.tif.part", 2),
    "the manifest is put in order": (f".{MANIFEST}.part", 1),
}
ENDS = [
    *((moment, "SIGINT") for moment in MOMENTS),
    ("a frame is written", "SIGTERM"),
    ("workers write", "SIGTERM"),
    ("sources are read", "SIGHUP"),
]


@pytest.mark.slow
@pytest.mark.parametrize(("moment", "name"), ENDS)
def test_interrupted_at_any_moment(
    source: Path, straight: dict[str, bytes], tmp_path: Path, moment: str, name: str
) -> None:
    hold, jobs = MOMENTS[moment]
    number, how = signal.Signals[name], "" if name == "SIGINT" else f" by {name}"
    out = tmp_path / "out"
    args = export(source, out, *SMALL, jobs=jobs)
    command = Command(*args, scratch=tmp_path / "s", hold=hold)
    command.held()
    command.process.send_signal(number)
    command.process.send_signal(number)  # twice: people are not patient
    status, _stdout, stderr = command.end()
    assert (status, stderr) == (128 + number, f"hsrgeo: interrupted{how}{GO_ON}\n")
    check_whole(out, straight | hidden(out))
    again(args)
    assert tree(out) == straight


@pytest.mark.slow
def test_an_interrupted_series_leaves_nothing(source: Path, tmp_path: Path) -> None:
    (tmp_path / "gauges.csv").write_text("name,lon,lat\nSeoul,126.98,37.57\n")
    args = ["series", source, "--points", tmp_path / "gauges.csv", "--out", tmp_path / "rain.csv", "--jobs", 1]
    scratch = tmp_path / "temporary"
    scratch.mkdir()
    command = Command(*args, scratch=tmp_path / "s", hold=NAMES[8], env={"TMPDIR": str(scratch)})
    command.held()
    assert [path.name[:7] for path in scratch.iterdir()] == ["hsrgeo-"]
    command.process.send_signal(signal.SIGTERM)
    status, _stdout, stderr = command.end()
    assert (status, stderr) == (143, "hsrgeo: interrupted by SIGTERM\n")
    assert list(scratch.iterdir()) == []
    assert not (tmp_path / "rain.csv").exists()


@pytest.mark.slow
@pytest.mark.parametrize("module", ["typer", "numpy"])
def test_interrupted_before_it_has_begun(source: Path, tmp_path: Path, module: str) -> None:
    command = Command(*export(source, tmp_path / "out"), scratch=tmp_path / "s", hold=module)
    command.held()
    command.process.send_signal(signal.SIGINT)
    status, _stdout, stderr = command.end()
    assert (status, stderr) == (130, "" if module == "typer" else f"hsrgeo: interrupted{GO_ON}\n")
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_nohup_and_jobs_in_the_background_are_left_alone(
    source: Path, straight: dict[str, bytes], tmp_path: Path
) -> None:
    out = tmp_path / "out"

    def ignored() -> None:
        for number in (signal.SIGINT, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)

    command = Command(*export(source, out, *SMALL, jobs=2), scratch=tmp_path / "s", hold=NAMES[8], before=ignored)
    command.held()
    for number in (signal.SIGINT, signal.SIGHUP):
        os.killpg(command.process.pid, number)
    command.go()
    assert command.end()[0] == 0
    assert tree(out) == straight


def run_heard(script: str, argument: str) -> subprocess.CompletedProcess[str]:
    """Run a script that signals reach, also where the tests run with signals ignored."""
    return subprocess.run(
        [sys.executable, "-c", script, argument],
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=hear_signals,
    )


def test_who_asks_again_later_means_it() -> None:
    script = (
        "import signal, sys, time, hsrgeo.__main__ as m\n"
        "ending = m.Ending(); ending.install(); m._SAME_WISH_S = float(sys.argv[1])\n"
        "try:\n    signal.raise_signal(signal.SIGTERM)\n"
        "except KeyboardInterrupt as interrupt:\n    print(interrupt.args, flush=True)\n"
        "signal.raise_signal(signal.SIGINT); print('still here')\n"
    )
    for same_wish_s, stdout, status in (("60", "(15,)\nstill here\n", 0), ("-1", "(15,)\n", 143)):
        done = run_heard(script, same_wish_s)
        assert (done.stdout, done.returncode) == (stdout, status)


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_what_python_throws_away_is_raised_again(number: int) -> None:
    # As an import does: the signal comes inside the callback of a weak reference, where no exception gets out.
    script = (
        "import os, signal, sys, time, weakref, hsrgeo.__main__ as m\n"
        "m.Ending().install(); m._AGAIN_S = 1.0\n"
        "class Lock: pass\n"
        "lock = Lock()\n"
        "held = weakref.ref(lock, lambda _gone: signal.raise_signal(int(sys.argv[1])))\n"
        "try:\n    del lock; print('thrown away', flush=True); time.sleep(30)\n"
        "except KeyboardInterrupt as interrupt:\n    print(interrupt.args)\n"
    )
    done = run_heard(script, str(number))
    assert (done.stdout, done.stderr) == (f"thrown away\n({number:d},)\n", "")


def test_what_ends_a_run_is_held_back_while_workers_start() -> None:
    # As hsrgeo.engine.workers.pool does: its own handler for Ctrl-C, and the signal again when they have started.
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    held: list[int] = []
    ending, hook = Ending(), sys.unraisablehook
    try:
        ending.install()
        signal.signal(signal.SIGINT, lambda number, _frame: held.append(number))
        signal.raise_signal(signal.SIGTERM)
        assert held == [signal.SIGINT]
        signal.signal(signal.SIGINT, ending)
        with pytest.raises(KeyboardInterrupt) as caught:
            signal.raise_signal(signal.SIGINT)
        assert caught.value.args == (signal.SIGTERM,)
    finally:
        sys.unraisablehook = hook
        for number, handler in before.items():
            signal.signal(number, handler)


@pytest.mark.slow
def test_two_runs_into_one_out(source: Path, straight: dict[str, bytes], tmp_path: Path) -> None:
    out = tmp_path / "out"
    args = export(source, out)
    first = Command(*args, scratch=tmp_path / "s", hold=NAMES[20])
    first.held()
    before = (out / MANIFEST).read_bytes()
    for options in ((), ("--overwrite",)):
        status, stdout, stderr = Command(*args, *options, scratch=tmp_path / "t").end()
        assert (status, stdout) == (2, "")
        who = f"another run ({socket.gethostname()}, process {first.process.pid})"
        assert stderr == f"hsrgeo: {out}: {who} is writing into it; wait for its end, or choose another output\n"
    assert (out / MANIFEST).read_bytes().startswith(before)
    first.go()
    assert first.end()[0] == 0
    assert tree(out) == straight


# Clocks.


@pytest.mark.slow
def test_a_clock_that_jumps(own: Path, straight: dict[str, bytes], tmp_path: Path) -> None:
    check = "import time; a = [time.time() for _ in range(3)]; assert max(a) - min(a) > 6e7"  # two years
    jumping = {"PYTHONPATH": HOLDING, "CLOCK_JUMPS": "1"}
    subprocess.run([sys.executable, "-c", check], env=os.environ | jumping, check=True)
    future, past = 4102444800, 0  # 2100-01-01 and 1970-01-01, UTC
    for number, name in enumerate(NAMES):
        os.utime(own / name, (future, future) if number % 2 else (past, past))
    out = tmp_path / "out"
    assert Command(*export(own, out, *SMALL, jobs=2), scratch=tmp_path / "s", env=jumping).end()[0] == 0
    assert tree(out) == straight
    # What is there is known by its bytes: neither newer sources nor older outputs are made again.
    for path in out.rglob("*"):
        os.utime(path, (past, past))
    for name in NAMES:
        os.utime(own / name, (future, future))
    status, _stdout, stderr = Command(*export(own, out), scratch=tmp_path / "s", env=jumping).end()
    assert (status, stderr.partition(" (")[0]) == (0, f"{FRAMES} frames: {FRAMES} there already")
    assert tree(out) == straight
    changed = {path.name for path in out.rglob("*") if path.is_file() and path.stat().st_mtime != past}
    assert changed == {MANIFEST, OPTIONS}


# Pipes.


def fill_up(pipe: int) -> None:
    """Fill a pipe to the last byte; opened anew, for who shares it must not find that it does not wait."""
    writing = os.open(f"/proc/self/fd/{pipe}", os.O_WRONLY | os.O_NONBLOCK)
    with suppress(BlockingIOError):
        while True:
            os.write(writing, b"x")
    os.close(writing)


@pytest.mark.slow
def test_nobody_reads_for_a_while(tmp_path: Path) -> None:
    # 2,000 lines of some 60 bytes are more than a pipe holds.
    folder = tmp_path / "frames"
    folder.mkdir()
    for number in range(1000):
        (folder / frame_name(TIME + number * STEP)).touch()
    args = ["export", folder, "--out", tmp_path / "out", "--dry-run"]
    for wanted in ("read", "interrupted"):
        reading, writing = os.pipe()
        command = Command(*args, scratch=tmp_path / "s", stdout=writing)
        while select.select([], [writing], [], 0)[1]:  # until it is full
            assert command.process.poll() is None
            time.sleep(0.005)
        if wanted == "interrupted":
            fill_up(writing)
        os.close(writing)
        if wanted == "read":
            with os.fdopen(reading) as pipe:
                assert len(pipe.read().splitlines()) == 2000
            status, _stdout, stderr = command.end()
            assert (status, stderr) == (0, "1,000 frames: 1,000 would be written\n")
        else:
            while "pipe" not in Path(f"/proc/{command.process.pid}/wchan").read_text():
                time.sleep(0.005)  # it has something to write, and cannot
            command.process.send_signal(signal.SIGINT)
            status, _stdout, stderr = command.end()  # while still nobody reads
            os.close(reading)
            assert (status, stderr) == (130, f"hsrgeo: interrupted{GO_ON}\n")


@pytest.mark.slow
def test_a_reader_that_goes_while_a_run_writes(source: Path, straight: dict[str, bytes], tmp_path: Path) -> None:
    out = tmp_path / "out"
    reading, writing = os.pipe()
    args = export(source, out)
    command = Command(*args, "--json", scratch=tmp_path / "s", stdout=writing, stderr=writing)
    os.close(writing)
    os.close(reading)
    assert command.end()[0] == 0
    assert tree(out) == straight


@pytest.mark.slow
@pytest.mark.parametrize(("closed", "jobs"), [((1,), 1), ((2,), 1), ((0, 1, 2), 2)], ids=str)
def test_closed_from_the_start(
    source: Path, straight: dict[str, bytes], tmp_path: Path, closed: tuple[int, ...], jobs: int
) -> None:
    out = tmp_path / "out"

    def close() -> None:
        for descriptor in closed:
            os.close(descriptor)

    args = export(source, out, *SMALL, jobs=jobs)
    status, stdout, stderr = Command(*args, "--json", scratch=tmp_path / "s", before=close).end()
    assert status == 0
    assert bool(stdout) == (1 not in closed)
    assert bool(stderr) == (2 not in closed)
    assert tree(out) == straight
