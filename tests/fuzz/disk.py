"""A disk that fails under `hsrgeo export`: no bug, no traceback, no hang, and the next run heals.

`python -m tests.fuzz.disk --runs 500`: every run goes into an OUT of its own while one to three of a hundred calls of
the system on the sources and on OUT fail (`disk.c`, loaded by LD_PRELOAD). Then the same command runs once without,
and must end with the bytes of a run that was never disturbed. Needs Linux and a C compiler.
"""

from __future__ import annotations

import argparse
import contextlib
import ctypes
import io
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tarfile
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from typer.testing import CliRunner

from hsrgeo.cli import app
from hsrgeo.model.grid_catalog import grids
from hsrgeo.products.synthetic import Scene, synthetic_bytes

LIMIT_S = 300
"""A run that takes longer hangs; it takes about half a second of the processor."""
_LIBRARY = "DISK_LIBRARY"
_BAD = re.compile(r"a bug in hsrgeo|Traceback|Exception ignored|Fatal Python")
_OPTIONS = ("--window", "420", "620", "48", "32")


def build(folder: Path) -> Path | None:
    """Return the library, or None where there is no compiler."""
    library = folder / "disk.so"
    source = Path(__file__).with_name("disk.c")
    compiler = shutil.which("gcc") or shutil.which("cc")
    if compiler is None:
        return None
    subprocess.run([compiler, "-shared", "-fPIC", "-O1", "-o", str(library), str(source), "-ldl"], check=True)
    return library


def make_sources(folder: Path) -> list[str]:
    """Make three frames in a folder and three in an archive."""
    plain = folder / "plain"
    plain.mkdir(parents=True)
    with tarfile.open(folder / "RDR_HSR_202206.tar.gz", "w:gz", compresslevel=1) as archive:
        for number in range(6):
            time_ = datetime(2022, 6, 9, tzinfo=UTC) + number * timedelta(minutes=5)
            data = synthetic_bytes(time_, Scene(grid=grids()["kma-hb-1km"]), level=1)
            name = f"RDR_CMP_HSR_PUB_{time_ + timedelta(hours=9):%Y%m%d%H%M}.bin.gz"
            if number % 2:
                (plain / name).write_bytes(data)
            else:
                member = tarfile.TarInfo(name)
                member.size = len(data)
                archive.addfile(member, io.BytesIO(data))
    return [str(plain), str(folder / "RDR_HSR_202206.tar.gz")]


@dataclass
class Campaign:
    """What came of all runs."""

    runs: int = 0
    statuses: Counter[int] = field(default_factory=Counter)
    failed_calls: Counter[str] = field(default_factory=Counter)
    problems: list[str] = field(default_factory=list)


def campaign(folder: Path, runs: int, seed: int, jobs: int = 1) -> Campaign:
    """Run; this process must have been started with the library (`main`)."""
    sources, shown = make_sources(folder / "sources"), Campaign()
    straight = folder / "straight"
    # In this process, so that those that are forked have imported everything.
    CliRunner().invoke(app, ["export", *sources, *_OPTIONS, "--out", str(folder / "warm"), "--jobs", "1"])
    status, output = _run(folder, ["export", *sources, *_OPTIONS, "--out", str(straight), "--jobs", "1"], {})
    assert status == 0, output
    for number in range(seed, seed + runs):
        out = folder / f"out{number}"
        args = ["export", *sources, *_OPTIONS, "--out", str(out), "--jobs", str(jobs)]
        if number % 3 == 0:  # some go on from a part
            _run(folder, [*args[:1], sources[0], *args[3:]], {})
        log = folder / "log"
        log.unlink(missing_ok=True)
        chance = random.Random(number)  # noqa: S311 - the same in every campaign
        disk = {
            "DISK_BELOW": f"{out}:{folder / 'sources'}",
            "DISK_RATE": str(chance.choice((10, 20, 30))),
            "DISK_SEED": str(number),
            "DISK_LOG": str(log),
        }
        status, output = _run(folder, args, disk)
        calls = log.read_text().splitlines() if log.exists() else []
        shown.runs += 1
        shown.statuses[status] += 1
        shown.failed_calls.update(line.split(" ", 1)[0] for line in calls)
        wrong = []
        if _BAD.search(output) or status not in (0, 1, 2):
            wrong.append(f"status {status}\n{output}")
        if status == 0 and (differences := _differences(straight, out, "stamp")):  # of a source without a size or time
            wrong.append(f"exit status 0, but {differences} differ\n{output}")
        status, healed = _run(folder, args, {})
        if status != 0:
            wrong.append(f"afterwards status {status}\n{healed}\nbefore:\n{output}")
        elif differences := _differences(straight, out):
            wrong.append(f"afterwards {differences} differ\n{output}")
        if wrong:
            shown.problems.append("\n".join([f"run {number}, {' '.join(args)}", *wrong, *calls]))
        else:
            shutil.rmtree(out, ignore_errors=True)
    return shown


def _run(folder: Path, args: Sequence[str], disk: dict[str, str]) -> tuple[int, str]:
    """Run a command in a fork; return its exit status, or that of a signal, and what it wrote."""
    written = folder / "written"
    child = os.fork()
    if not child:
        with contextlib.suppress(BaseException):
            descriptor = os.open(written, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
            os.dup2(descriptor, 1)
            os.dup2(descriptor, 2)
            signal.signal(signal.SIGINT, signal.default_int_handler)
            os.environ.update({"HSRGEO_TRACEBACK": "", **disk})
            ctypes.CDLL(os.environ[_LIBRARY]).disk_begin()
            sys.argv = ["hsrgeo", *args]
            status = 70
            try:
                from hsrgeo.__main__ import main as command  # noqa: PLC0415

                command()
            except SystemExit as end:
                status = end.code if isinstance(end.code, int) else 0 if end.code is None else 1
            except BaseException:  # noqa: BLE001 - that is what is looked for
                sys.excepthook(*sys.exc_info())
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(status)
        os._exit(71)
    deadline = time.monotonic() + LIMIT_S
    while True:
        pid, how = os.waitpid(child, os.WNOHANG)
        if pid:
            return os.waitstatus_to_exitcode(how), written.read_text(errors="replace")
        if time.monotonic() > deadline:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            return -signal.SIGKILL, f"hangs\n{written.read_text(errors='replace')}"
        time.sleep(0.005)


def _differences(straight: Path, out: Path, *but: str) -> list[str]:
    one, other = _tree(straight, *but), _tree(out, *but)
    return sorted(name for name in {*one, *other} if one.get(name) != other.get(name))


def _tree(out: Path, *but: str) -> dict[str, bytes]:
    files = {path.relative_to(out).as_posix(): path.read_bytes() for path in out.rglob("*") if path.is_file()}
    lines = [json.loads(line) for line in files["manifest.jsonl"].splitlines()]
    for line in lines:
        for name in ("seconds", *but):
            line.pop(name, None)
    files["manifest.jsonl"] = json.dumps(lines).encode()
    return files


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a campaign and print what came of it."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz.disk", description=__doc__)
    parser.add_argument("--runs", type=int, default=20)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--keep", type=Path, help="folder that stays, for a look at what went wrong")
    given = parser.parse_args(arguments)
    with contextlib.ExitStack() as stack:
        folder = given.keep or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="hsrgeo-disk-")))
        folder.mkdir(parents=True, exist_ok=True)
        if _LIBRARY not in os.environ:  # begin again, with the library
            library = build(folder)
            if library is None:
                print("needs a C compiler")
                return 2
            env = {**os.environ, "LD_PRELOAD": str(library), _LIBRARY: str(library), "OPENBLAS_NUM_THREADS": "1"}
            again = ["--runs", str(given.runs), "--seed", str(given.seed), "--jobs", str(given.jobs)]
            command = [sys.executable, "-m", "tests.fuzz.disk", *again, "--keep", str(folder)]
            return subprocess.run(command, env=env, check=False).returncode
        output = campaign(folder, given.runs, given.seed, given.jobs)
        for problem in output.problems:
            print(problem, end="\n\n")
        calls = ", ".join(f"{count:,} {call}" for call, count in sorted(output.failed_calls.items()))
        print(f"{output.runs} runs, exit statuses {dict(sorted(output.statuses.items()))}; calls that failed: {calls}")
        print(f"{len(output.problems)} problems")
        return 1 if output.problems else 0


if __name__ == "__main__":
    sys.exit(main())
