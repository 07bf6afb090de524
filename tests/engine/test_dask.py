"""A real scheduler and real workers, processes of their own on loopback: the same bytes, whoever dies on the way."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

import hsrgeo
from hsrgeo.engine.export.export_run import Export, export
from hsrgeo.engine.export.ledger import Ledger
from hsrgeo.engine.export.work import Task, leftovers, work
from hsrgeo.engine.export_options import ExportOptions
from hsrgeo.engine.verify.verify_run import verify
from hsrgeo.engine.workers import admission
from hsrgeo.engine.workers.admission import Shared, admit, expected_of
from hsrgeo.engine.workers.cluster import Cluster
from hsrgeo.engine.workers.crew import workers_for
from hsrgeo.engine.workers.parallel import run_parallel
from hsrgeo.errors import ClusterError, OptionsError, TruncatedError
from hsrgeo.formats.names import parse_name
from hsrgeo.outputs.manifest import Manifest
from hsrgeo.outputs.names import MANIFEST, OPTIONS
from hsrgeo.sources.found import Found
from hsrgeo.writers.disk import temporary_beside
from tests.batches import broken_at_five, killed, slowly, squared
from tests.conftest import TIME, MakeFile, frame_name, hear_signals, make_tar, time_fields
from tests.exported import tree
from tests.faults import every_fault

Client = pytest.importorskip("distributed").Client

STEP = timedelta(minutes=5)
PATIENCE_S = 240
ROOT = Path(__file__).parents[2]


# A cluster.


class Machines:
    """A scheduler and its workers; every process is ended by its id."""

    def __init__(self, folder: Path, workers: int, **settings: str) -> None:
        self._folder = folder
        self._environment = {**os.environ, "PYTHONPATH": str(ROOT), **settings}
        self.file = folder / "scheduler.json"
        arguments = [
            "--port",
            "0",
            "--idle-timeout",
            "600",
            "--no-dashboard",
            "--no-jupyter",
            "--scheduler-file",
            str(self.file),
        ]
        self.scheduler = self._start("dask_scheduler", arguments)
        self.address = ""
        end = time.monotonic() + PATIENCE_S
        while not self.address:
            assert time.monotonic() < end, "no scheduler"
            with contextlib.suppress(OSError, ValueError):
                self.address = json.loads(self.file.read_text())["address"]
            time.sleep(0.02)
        self.workers: list[subprocess.Popen[bytes]] = []
        for _ in range(workers):
            self.add()
        self.wait()

    def wait(self) -> None:
        """Wait until the scheduler knows every worker that was started."""
        with Client(self.address, set_as_default=False, timeout=PATIENCE_S) as client:
            client.wait_for_workers(len(self.workers), timeout=PATIENCE_S)

    def add(self) -> None:
        arguments = [self.address, "--nthreads", "1", "--no-nanny", "--no-dashboard", "--memory-limit", "0"]
        self.workers.append(self._start("dask_worker", [*arguments, "--local-directory", str(self._folder)]))

    def end(self) -> None:
        for process in (*self.workers, self.scheduler):
            process.kill()
        for process in (*self.workers, self.scheduler):
            process.wait(PATIENCE_S)

    def _start(self, program: str, arguments: Sequence[str]) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", f"distributed.cli.{program}", "--host", "127.0.0.1", *arguments]
        with (self._folder / "log").open("ab") as log:
            return subprocess.Popen(
                command, cwd=self._folder, env=self._environment, stdout=log, stderr=log, start_new_session=True
            )


MakeMachines = Callable[..., Machines]


@pytest.fixture
def make_machines(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MakeMachines]:
    with contextlib.ExitStack() as ends:

        def make(workers: int, **settings: str) -> Machines:
            machines = Machines(tmp_path_factory.mktemp("machines"), workers, **settings)
            ends.callback(machines.end)
            return machines

        yield make


@pytest.fixture(scope="module")
def machines(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machines]:
    made = Machines(tmp_path_factory.mktemp("machines"), 2)
    yield made
    made.end()


# What is exported.


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory, make_file: MakeFile) -> Path:
    """Give a folder of sources of every kind, with broken frames and rivals in them, and what one process makes."""
    folder = tmp_path_factory.mktemp("stage")

    def frames(first: int, count: int, stations: int = 3) -> list[tuple[str, bytes]]:
        times = [TIME + n * STEP for n in range(first, first + count)]
        listed = [[(b"KWK", time_fields(t), time_fields(t))] * stations for t in times]
        return [(frame_name(t), make_file(time=t, stations=s)) for t, s in zip(times, listed, strict=True)]

    broken = [(fault.name, fault.data) for fault in every_fault(make_file, TIME + timedelta(days=1))]
    source = folder / "in"
    (source / "loose").mkdir(parents=True)
    source.joinpath("a.tar.gz").write_bytes(make_tar([*frames(0, 12), *broken]))
    # 10 and 11 again, better; then 12 to 19, and the same as a copy that loses
    source.joinpath("b.tar").write_bytes(make_tar([*frames(10, 2, 7), *frames(12, 8)], gz=False))
    source.joinpath("c.tar").write_bytes(make_tar(frames(18, 4, 2), gz=False)[:-9000])  # cut within the last
    for name, data in frames(24, 3):
        source.joinpath("loose", name).write_bytes(data)
    run(export(source, folder / "out", ExportOptions(jobs=1)))
    return folder


def run(exported: Export) -> Export:
    for _outcome in exported:
        pass
    return exported


# The contract of `run_parallel`.


@pytest.mark.slow
def test_every_batch_comes_back_once_and_few_are_under_way(machines: Machines) -> None:
    taken, most = 0, 0

    def batches() -> Iterator[int]:
        nonlocal taken
        for number in range(60):
            taken += 1
            yield number

    read = []
    for result in run_parallel(squared, batches(), Cluster(machines.address)):
        read.append(result)
        most = max(most, taken - len(read))
    assert sorted(square for square, _pid in read) == [number * number for number in range(60)]
    assert {pid for _square, pid in read} == {process.pid for process in machines.workers}
    # three for each of the two workers, one that waits for room, and one that is being read
    assert most <= 3 * 2 + 2


def test_an_error_in_a_worker_or_in_the_batches_comes_out(machines: Machines) -> None:
    def batches() -> Iterator[int]:
        yield from range(20)
        raise ZeroDivisionError("a bug")

    with pytest.raises(TruncatedError, match=r"a\.tar \[m\]: truncated: expected more, found less"):
        list(run_parallel(broken_at_five, range(10), Cluster(machines.address)))
    results = run_parallel(slowly, batches(), Cluster(str(machines.file)))
    read = sorted(itertools.islice(results, 20))
    assert read == list(range(20))  # what was under way comes first
    with pytest.raises(ZeroDivisionError, match="a bug"):
        next(results)


def test_closing_early_takes_back_what_is_not_begun(machines: Machines) -> None:
    results = run_parallel(slowly, range(10_000), Cluster(machines.address))
    next(results)
    results.close()
    assert sorted(run_parallel(slowly, range(4), Cluster(machines.address))) == [0, 1, 2, 3]


def test_temporary_files_are_found_when_one_is_left(tmp_path: Path) -> None:
    names = [temporary_beside(tmp_path / "202206091115.tif")]
    names += [temporary_beside(tmp_path / ".202206091120.tif.0a1b2c3d.staged")]
    names += [tmp_path / ".202206091115.tif.part", tmp_path / ".202206091115.tif.0a1b2c3d.part"]  # of earlier versions
    for name in names:
        name.touch()
    assert set(leftovers([tmp_path])) == set(names)


@pytest.mark.slow
def test_a_frame_that_kills_its_workers_is_named(make_machines: MakeMachines) -> None:
    one = make_machines(1, DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES="0")
    frames = [Found("a.tar.gz", "bad.bin.gz", None, 9, data=b"x" * 9)]
    with pytest.raises(ClusterError, match=r"1 Dask workers died.*a\.tar\.gz \[bad\.bin\.gz\]"):
        list(run_parallel(killed, [frames], Cluster(one.address, PATIENCE_S)))


# Exports.


@pytest.mark.slow
def test_the_bytes_are_those_of_one_process(
    machines: Machines, stage: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = run(export(stage / "in", tmp_path / "out", ExportOptions(dask=machines.address)))
    assert tree(tmp_path / "out") == tree(stage / "out")
    local = run(export(stage / "in", tmp_path / "local", ExportOptions(jobs=1)))
    assert done.counts == local.counts
    assert done.tally == local.tally  # progress is the same: every byte was read
    checked = verify(tmp_path / "out", stage / "in", dask=machines.address)
    alone = verify(tmp_path / "local", stage / "in", jobs=1)
    assert sorted(map(str, checked)) == sorted(map(str, alone))
    assert checked.counts == alone.counts
    assert checked.counts.frames > 20
    # Paths from here lead elsewhere in a worker's working folder.
    monkeypatch.chdir(stage)
    run(export(Path("in"), tmp_path / "relative-local", ExportOptions(jobs=1, formats="png")))
    shutil.rmtree(stage / "out-relative", ignore_errors=True)
    run(export(Path("in"), Path("out-relative"), ExportOptions(dask=machines.address, formats="png")))
    assert tree(stage / "out-relative") == tree(tmp_path / "relative-local")


@pytest.mark.slow
def test_workers_that_are_killed_lose_nothing(make_machines: MakeMachines, stage: Path, tmp_path: Path) -> None:
    two = make_machines(3)
    # One with results that nobody has read yet: they are made again.
    results = run_parallel(squared, range(40), Cluster(two.address))
    read = [next(results)]
    time.sleep(1)  # what is under way is done, and waits with its workers
    two.workers[2].kill()
    read.extend(results)
    assert sorted(square for square, _pid in read) == [number * number for number in range(40)]
    # One of two: nobody notices.
    exported = export(stage / "in", tmp_path / "first", ExportOptions(dask=two.address))
    for number, _outcome in enumerate(exported):
        if number == 4:
            two.workers[0].kill()
    assert tree(tmp_path / "first") == tree(stage / "out")
    # The other too: reported in bounded time, and the same command goes on.
    options = ExportOptions(dask=two.address, dask_wait_s=5)
    second = export(stage / "in", tmp_path / "second", options)
    next(second)
    two.workers[1].kill()
    with pytest.raises(ClusterError, match=r"no Dask worker at tcp://\S+ for 5 s.*it resumes where it stopped"):
        run(second)
    assert 0 < count_lines(tmp_path / "second") < count_lines(stage / "out")
    two.add()
    run(export(stage / "in", tmp_path / "second", replace(options, dask_wait_s=PATIENCE_S)))
    assert tree(tmp_path / "second") == tree(stage / "out")


def count_lines(out: Path) -> int:
    return len((out / MANIFEST).read_bytes().splitlines())


@pytest.mark.slow
def test_an_interrupt_ends_it_and_the_same_command_goes_on(machines: Machines, stage: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    command = [
        sys.executable,
        "-m",
        "hsrgeo",
        "export",
        str(stage / "in"),
        "--dask",
        machines.address,
        "--out",
        str(out),
    ]
    for _attempt in range(5):  # it may be over, with status 1 for the broken frames, before the signal comes
        shutil.rmtree(out, ignore_errors=True)
        process = subprocess.Popen(
            command,
            stderr=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            cwd=ROOT,
            preexec_fn=hear_signals,  # noqa: PLW1509 - it only asks the kernel
        )
        try:
            while process.poll() is None and not ((out / MANIFEST).exists() and count_lines(out)):
                time.sleep(0.005)
            process.send_signal(signal.SIGINT)
            _stdout, stderr = process.communicate(timeout=PATIENCE_S)
        finally:
            process.kill()
            process.wait()
        if process.returncode != 1:
            break
    assert process.returncode == 130
    assert stderr.decode().splitlines() == ["hsrgeo: interrupted; run the same command again to resume"]
    run(export(stage / "in", out, ExportOptions(dask=machines.address)))
    assert tree(out) == tree(stage / "out")


def test_a_worker_that_was_given_up_and_still_writes_harms_nothing(make_file: MakeFile, tmp_path: Path) -> None:
    """A better frame of the time is in place; then the loser's first worker wakes up, and does its task to the end."""
    recipe = ExportOptions(formats="cog").recipe
    target = tmp_path / "202206/09/202206091115.tif"
    with Manifest(tmp_path) as manifest:
        ledger = Ledger(manifest, recipe, overwrite=True)
        tasks = []
        for stations in (2, 5):
            data = make_file(stations=[(b"KWK", time_fields(TIME), time_fields(TIME))] * stations)
            found = Found("a.tar", f"{stations}/{frame_name()}", parse_name(frame_name()), len(data), data=data)
            task = ledger.admit(found)
            assert isinstance(task, Task)
            tasks.append(task)
            for outcome in work([task], tmp_path, recipe):
                ledger.settle(outcome)
        kept = target.read_bytes()
        work(tasks[:1], tmp_path, recipe)  # the one that was given up
        assert target.read_bytes() == kept
        assert len(leftovers([target.parent])) == 1
        ledger.finish()
    assert [path.name for path in target.parent.iterdir()] == [target.name]
    assert {json.loads(line)["status"] for line in (tmp_path / MANIFEST).read_bytes().splitlines()} == {
        "duplicate",
        "ok",
    }


# What cannot be.


def test_a_scheduler_that_is_not_there(stage: Path, tmp_path: Path) -> None:
    with socket.socket() as closed:  # bound, but nobody listens
        closed.bind(("127.0.0.1", 0))
        address = f"tcp://127.0.0.1:{closed.getsockname()[1]}"
        with pytest.raises(ClusterError, match=rf"no Dask scheduler answers at {address}.*not answer within 0\.5 s"):
            run(export(stage / "in", tmp_path / "out", ExportOptions(dask=address, dask_wait_s=0.5)))
    with pytest.raises(ClusterError, match=r"no such scheduler file"):
        run(export(stage / "in", tmp_path / "out", ExportOptions(dask=str(tmp_path / "s.json"), dask_wait_s=0.5)))


def test_a_worker_with_another_version(
    machines: Machines, stage: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hsrgeo, "__version__", "9.9")
    with pytest.raises(ClusterError, match=r"Dask worker tcp://\S+ \(2 of 2 workers\): has hsrgeo \S+, not 9\.9"):
        run(export(stage / "in", tmp_path / "out", ExportOptions(dask=machines.address)))


def test_what_a_worker_must_have(stage: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(admission, "_PAUSE_S", 0)
    expected = expected_of(Shared(stage / "out", OPTIONS))
    admit(expected)
    assert not list((stage / "out").glob(".*"))  # what was tried there is gone
    with pytest.raises(ClusterError, match="packs the same frame into other bytes"):
        admit(replace(expected, probe="00000000"))
    (tmp_path / OPTIONS).write_bytes(b"{}")
    with pytest.raises(ClusterError, match=f"does not see the folder {tmp_path}"):
        admit(replace(expected, witness=str(tmp_path / OPTIONS)))
    with pytest.raises(ClusterError, match="does not see the folder"):
        admit(replace(expected, witness=str(tmp_path / "none" / OPTIONS)))


def test_options_that_exclude_each_other() -> None:
    assert workers_for(-1, "tcp://host:8786", 5) == Cluster("tcp://host:8786", 5)
    for given in ((2, "tcp://host:8786", 60), (-1, " ", 60), (-1, "tcp://host:8786", 0), (-1, None, 5)):
        with pytest.raises(OptionsError):
            workers_for(*given)


@pytest.mark.parametrize("address", ["http://127.0.0.1:8786", "s3://scheduler"])
def test_an_address_that_cannot_be_a_scheduler(address: str) -> None:
    with pytest.raises(OptionsError, match="expected tcp, tls, ws, wss, ucx:// or the path of a scheduler file"):
        ExportOptions(dask=address)
