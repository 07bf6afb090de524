"""Runs that are killed, interrupted and watched from outside.

The default is small. The whole proof, with frames of the 500 m grid made of the sample frames, takes minutes:

    HSRGEO_KILL_FRAMES=300 HSRGEO_KILL_RUNS=10 HSRGEO_KILL_GRID=500m pytest tests/safety/test_kill.py -s
"""

from __future__ import annotations

import functools
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import ClassVar

import pytest

from hsrgeo.engine.export.export_run import _BATCH_TASKS
from hsrgeo.formats.composite import unpack
from hsrgeo.outputs.names import MANIFEST
from tests.conftest import TIME, MakeFile, frame_name, hear_signals, make_tar, time_fields
from tests.exported import lines, tree
from tests.faults import Fault, every_fault

FRAMES = int(os.environ.get("HSRGEO_KILL_FRAMES", "44"))
KILLS = int(os.environ.get("HSRGEO_KILL_RUNS", "4"))
GRID = os.environ.get("HSRGEO_KILL_GRID", "1km")
HOLDING = str(Path(__file__).parents[1] / "holding")
SEED = int(os.environ.get("HSRGEO_KILL_SEED", "1"))
STEP = timedelta(minutes=5)
WORKER_LIMIT_BYTES = 250e6

pytestmark = pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="watches processes through /proc")


# What is exported.


@dataclass
class Stage:
    """An archive, and what an uninterrupted run with one job makes of it."""

    archive: Path
    frames: int
    faults: list[Fault]
    sound: int
    """Times that have a sound frame."""
    late: str
    """What a run opens to write one of the last frames: where it is held it does not come to its end."""
    reference: dict[str, bytes] = field(default_factory=dict)


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest, make_file: MakeFile) -> Stage:
    folder = tmp_path_factory.mktemp("stage")
    if GRID == "500m":
        samples: Path = request.getfixturevalue("samples")
        blocks = [unpack(path.read_bytes(), path.name).block(1) for path in sorted(samples.glob("RDR_CMP_*.bin.gz"))]
        makers: list[Callable[..., bytes]] = [functools.partial(make_file, block, dxy=500) for block in blocks]
    else:
        makers = [make_file]
    faults = list(every_fault(makers[0], TIME + timedelta(days=1)))
    entries = [(fault.name, fault.data) for fault in faults]
    # Rivals: of two sound times, and of two broken frames, which come first in the archive.
    rivals = [
        (TIME, 1),
        (TIME, 9),
        (TIME + STEP, 5),
        *[(TIME + timedelta(days=1) + n * STEP, s) for n in (4, 6) for s in (2, 7)],
    ]
    for number, (when, count) in enumerate(rivals):
        stations = [(b"KWK", time_fields(when), time_fields(when))] * count
        entries.append((f"again{number}/{frame_name(when)}", makers[0](time=when, stations=stations)))
    count = FRAMES - len(entries)
    assert count > 5
    sound = [(frame_name(TIME + n * STEP), makers[n % len(makers)](time=TIME + n * STEP)) for n in range(count)]
    random.Random(SEED).shuffle(sound)  # noqa: S311
    mixed = sound[:]
    for number, entry in enumerate(entries):  # spread evenly
        mixed.insert((number + 1) * len(mixed) // len(entries), entry)
    archive = folder / "RDR_HSR_202206.tar.gz"
    archive.write_bytes(make_tar(mixed))
    late = next(name for name, _data in reversed(sound) if name not in (frame_name(TIME), frame_name(TIME + STEP)))
    stage = Stage(archive, FRAMES, faults, sound=count + 2, late=f"/.{late[16:28]}.tif.part")
    assert command(archive, folder / "out", jobs=1).wait() == 1
    stage.reference = tree(folder / "out")
    return stage


# How it is run, and watched.


class Session:
    """A command in a process group of its own."""

    begun: ClassVar[list[Session]] = []

    def __init__(self, arguments: list[str], temporary: Path, hold: str = "") -> None:
        temporary.mkdir(exist_ok=True)
        holding = {"PYTHONPATH": HOLDING, "HOLD_AT": hold, "HOLD_IN": str(temporary)} if hold else {}
        self.stderr, self.held = temporary / "stderr", temporary / "held"
        self.held.unlink(missing_ok=True)
        with self.stderr.open("wb") as stderr:
            self.process = subprocess.Popen(
                [sys.executable, *arguments],
                stdout=subprocess.DEVNULL,
                stderr=stderr,
                env={**os.environ, "TMPDIR": str(temporary), "NO_COLOR": "1", **holding},
                start_new_session=True,
                preexec_fn=hear_signals,  # noqa: PLW1509 - it only asks the kernel
            )
        Session.begun.append(self)

    def members(self) -> list[int]:
        """Return the processes of the group that are alive: the parent, workers and what else there is."""
        found = []
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit():
                try:
                    state, _parent, group = entry.joinpath("stat").read_text().rpartition(")")[2].split()[:3]
                except OSError:
                    continue
                if int(group) == self.process.pid and state != "Z":
                    found.append(int(entry.name))
        return found

    def kill(self) -> None:
        if self.members():
            os.killpg(self.process.pid, signal.SIGKILL)
        self.wait()

    def wait_until_gone(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        while self.members():
            assert time.monotonic() < end, "processes are left behind"
            time.sleep(0.01)

    def wait(self) -> int:
        status = self.process.wait(timeout=600)
        self.wait_until_gone(60)
        return status


def command(archive: Path, out: Path, *, jobs: int, hold: str = "") -> Session:
    """Begin a run; with `hold` it does not come to its end, for a process waits where it opens that (tests/holding)."""
    arguments = ["-m", "hsrgeo", "export", str(archive), "--out", str(out), "--jobs", str(jobs)]
    return Session(arguments, out.with_name(out.name + ".tmp"), hold)


def progress(out: Path) -> int:
    try:
        return (out / MANIFEST).read_bytes().count(b"\n")
    except FileNotFoundError:
        return 0


def files_below(folder: Path) -> Iterator[Path]:
    """Yield what is there while others write and remove; `Path.rglob` stumbles over a folder that goes."""
    for parent, _folders, names in os.walk(folder):
        yield from (Path(parent, name) for name in names)


@dataclass
class Peaks:
    """The most that was ever seen."""

    temporary_bytes: int = 0
    temporary_name: str = ""
    parent_bytes: int = 0
    worker_bytes: int = 0

    def look(self, session: Session, folders: list[Path]) -> None:
        for path in (path for folder in folders for path in files_below(folder)):
            if path.name.startswith(f".{MANIFEST}.") and path.suffix == ".part":
                continue  # the list itself, being put in order: it grows with the frames and contains none of them
            if path.name.startswith(".") or "out" not in path.parts:
                self._file(path)
        for pid in session.members():
            try:
                for descriptor in Path(f"/proc/{pid}/fd").iterdir():
                    target = descriptor.readlink().name
                    if target.endswith(" (deleted)") and MANIFEST not in target:  # the list before it was put in order
                        self._file(descriptor)
                status = Path(f"/proc/{pid}/status").read_text()
            except OSError:
                continue
            if "VmHWM:" in status:
                peak = int(status.partition("VmHWM:")[2].split()[0]) * 1024
                if pid == session.process.pid:
                    self.parent_bytes = max(self.parent_bytes, peak)
                else:
                    self.worker_bytes = max(self.worker_bytes, peak)

    def _file(self, path: Path) -> None:
        try:
            size = path.stat().st_size
        except OSError:
            return
        if path.is_file() and size > self.temporary_bytes:
            self.temporary_bytes, self.temporary_name = size, str(path)


# The proofs.


@pytest.mark.slow
def test_each_broken_frame_has_its_reason_and_nothing_large_lies_about(stage: Stage, tmp_path: Path) -> None:
    out = tmp_path / "out"
    begun = time.monotonic()
    session = command(stage.archive, out, jobs=2)
    peaks = Peaks()
    while session.process.poll() is None:
        shared = Path("/dev/shm").glob(f"joblib*_{session.process.pid}_*")  # noqa: S108 - for large arrays
        peaks.look(session, [out, out.with_name("out.tmp"), *shared])
        time.sleep(0.003)
    seconds = time.monotonic() - begun
    assert session.wait() == 1
    record = {line["member"]: line for line in lines(out)}
    assert len(record) == stage.frames
    for fault in stage.faults:
        assert record[fault.name]["error"]["type"] == fault.error.__name__
        assert fault.reason in record[fault.name]["error"]["message"]
    assert sum(line["status"] == "failed" for line in record.values()) == len(stage.faults)
    assert len(list(out.rglob("*.tif"))) == len(list(out.rglob("*.png"))) == stage.sound
    assert tree(out) == stage.reference
    outputs = [path for path in out.rglob("*") if path.suffix in (".tif", ".png")]
    largest = max(path.stat().st_size for path in outputs)
    print(f"\n{stage.frames} frames in {seconds:.1f} s; largest output {largest:,} bytes; {peaks}")  # noqa: T201
    assert 0 < peaks.temporary_bytes <= largest
    assert 0 < peaks.worker_bytes < WORKER_LIMIT_BYTES


@pytest.mark.slow
def test_killed_at_random_and_run_again(stage: Stage, tmp_path: Path) -> None:
    out = tmp_path / "out"
    chance = random.Random(SEED)  # noqa: S311
    contested = {frame_name(TIME + n * STEP)[16:28] for n in (0, 1)} | {
        fault.name[16:28] for number, fault in enumerate(stage.faults) if number in (4, 6)
    }
    moments = []
    for kill in range(KILLS):
        session = command(stage.archive, out, jobs=chance.choice([1, 2, 2, 2]), hold=stage.late)
        left = stage.frames - progress(out)
        wanted = progress(out) + chance.randint(1, max(1, left // (KILLS - kill + 1)))
        while progress(out) < wanted and not session.held.exists() and session.process.poll() is None:
            time.sleep(0.002)
        time.sleep(chance.uniform(0, 0.001 * FRAMES))
        session.kill()
        assert session.process.returncode == -signal.SIGKILL, session.stderr.read_text()
        moments.append((progress(out), [p.name for p in out.rglob(".*")]))
        # What has its name is whole.
        for path in out.rglob("2*"):
            if path.is_file() and path.name.partition(".")[0] not in contested:
                assert path.read_bytes() == stage.reference[path.relative_to(out).as_posix()], path
    print("\nkilled after so many lines, left lying:", *moments, sep="\n  ")  # noqa: T201
    assert command(stage.archive, out, jobs=2).wait() == 1
    assert tree(out) == stage.reference


@pytest.mark.slow
@pytest.mark.parametrize("to", ["group", "parent"])
@pytest.mark.parametrize("moment", [0, 5])
def test_interrupted(stage: Stage, tmp_path: Path, to: str, moment: int) -> None:
    out = tmp_path / "out"
    session = command(stage.archive, out, jobs=2, hold=stage.late)
    while progress(out) < moment or len(session.members()) < 4:  # it has begun to start workers
        assert session.process.poll() is None
        time.sleep(0.002)
    (os.killpg if to == "group" else os.kill)(session.process.pid, signal.SIGINT)
    done = progress(out)
    assert session.wait() == 130
    assert progress(out) <= done + _BATCH_TASKS  # what was being read; not what was under way, let alone the rest
    *before, last = session.stderr.read_text().splitlines()
    assert last == "hsrgeo: interrupted; run the same command again to resume"
    assert all(line.startswith("failed: ") for line in before)  # what was found until then, and no traceback


@pytest.mark.slow
def test_workers_end_with_a_parent_that_is_killed(stage: Stage, tmp_path: Path) -> None:
    for moment in (0, 5):
        out = tmp_path / f"{moment}"
        session = command(stage.archive, out, jobs=2, hold=stage.late)
        while len(session.members()) < 5 or progress(out) < moment:
            assert session.process.poll() is None
            time.sleep(0.002)
        os.kill(session.process.pid, signal.SIGKILL)
        session.process.wait()
        session.wait_until_gone(20)  # a worker that has just been started first imports what it needs


@pytest.mark.slow
def test_a_script_ends_as_soon_as_it_is_done(stage: Stage, tmp_path: Path) -> None:
    script = (
        "import sys, time, hsrgeo\n"
        "options = hsrgeo.ExportOptions(jobs=2, window=(0, 0, 16, 16))\n"
        "outcomes = hsrgeo.export(sys.argv[1], sys.argv[2], options)\n"
        "if sys.argv[3] == 'early':\n"
        "    print(next(outcomes).status, file=sys.stderr)\n"
        "else:\n"
        "    print(sum(1 for _ in outcomes), file=sys.stderr)\n"
        "print(time.monotonic(), file=sys.stderr)\n"  # of the machine, not of the process
    )
    for how in ("early", "late"):
        session = Session(
            ["-W", "error", "-c", script, str(stage.archive), str(tmp_path / how), how], tmp_path / f"{how}.tmp"
        )
        assert session.wait() == 0
        said = session.stderr.read_text().splitlines()
        assert len(said) == 2, said
        assert time.monotonic() - float(said[1]) < 15


@pytest.fixture(autouse=True)
def none_left_behind() -> Iterator[None]:
    yield
    for session in Session.begun:
        session.kill()  # where a test failed in the middle
    Session.begun.clear()
