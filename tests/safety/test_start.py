"""How workers start: nothing of the current folder runs, few files or processes are enough, and a death says why."""

from __future__ import annotations

import errno
import io
import json
import os
import re
import resource
import shutil
import signal
import subprocess
import sys
import sysconfig
from collections.abc import Callable
from concurrent.futures import Future
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from hsrgeo.engine.workers import crew, start
from hsrgeo.engine.workers.parallel import run_parallel
from hsrgeo.errors import HsrGeoError, HsrGeoWarning
from tests.batches import Loaded, dies, in_this_process, number_of
from tests.conftest import TIME, MakeFile, frame_name

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="limits and namespaces of Linux")

FRAMES = 5  # two batches
EVIL = "import os\nwith open({!r}, 'a') as marker: print(__name__, file=marker)\nraise ImportError('evil')\n"
LINE = "5 frames: 5 written"


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory, make_file: MakeFile) -> Path:
    folder = tmp_path_factory.mktemp("source")
    for number in range(FRAMES):
        time = TIME + number * timedelta(minutes=5)
        (folder / frame_name(time)).write_bytes(make_file(time=time))
    return folder


def run(
    *args: object, cwd: Path, before: Callable[[], None] | None = None, around: tuple[str, ...] = ()
) -> tuple[int, str, str]:
    done = subprocess.run(
        [*around, *map(str, args)],
        cwd=cwd,
        capture_output=True,
        text=True,
        check=False,
        stdin=subprocess.DEVNULL,
        preexec_fn=before,
    )
    for word in ("Traceback", "bug", "OpenBLAS", "UserWarning"):
        assert word not in done.stderr, done.stderr
    return done.returncode, done.stdout, done.stderr


def export(source: object, out: Path) -> list[object]:
    return ["export", source, "--window", 420, 620, 48, 32, "--jobs", 2, "--out", out]


HSRGEO = Path(sysconfig.get_path("scripts")) / "hsrgeo"


# The current folder.


@pytest.fixture
def strangers(source: Path, tmp_path: Path) -> Path:
    """Give a folder of frames, with modules in it that leave a marker beside it."""
    folder = tmp_path / "strangers"
    shutil.copytree(source, folder)
    for name in ("argparse", "joblib", "json", "multiprocessing", "numpy", "pickle", "rasterio", "signal", "zlib_ng"):
        (folder / f"{name}.py").write_text(EVIL.format(str(tmp_path / "marker")))
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("command", [[HSRGEO], [sys.executable, "-m", "hsrgeo"]], ids=["hsrgeo", "python -m hsrgeo"])
def test_a_command_imports_nothing_of_the_current_folder(strangers: Path, tmp_path: Path, command: list[str]) -> None:
    status, _stdout, stderr = run(*command, *export(".", tmp_path / "out"), cwd=strangers)
    assert not (tmp_path / "marker").exists(), (tmp_path / "marker").read_text()
    assert (status, stderr.partition(" (")[0]) == (0, LINE)


@pytest.mark.slow
def test_workers_import_nothing_of_it_whatever_the_path_of_the_parent(
    strangers: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(strangers)
    monkeypatch.syspath_prepend("")  # as in a REPL
    results = [*run_parallel(in_this_process_too, range(6), 2)]
    assert not (tmp_path / "marker").exists(), (tmp_path / "marker").read_text()
    assert sorted(results) == [(number, False) for number in range(6)]


STARTS = re.compile(
    r"^\s*(?:import|from) (?:subprocess|multiprocessing|joblib|pty)|\bos\.(?:fork|spawn|exec|popen|system)"
)


def test_every_process_is_started_by_the_workers() -> None:
    # So what is shown above of one command is so of all of them.
    package = Path(start.__file__).parents[2]
    found = {
        path.relative_to(package).as_posix()
        for path in package.rglob("*.py")
        if any(map(STARTS.search, path.read_text().splitlines()))
    }
    workers = {f"engine/workers/{name}.py" for name in ("parallel", "pool", "start")}
    assert found == workers | {"gis/fonts.py"}  # which asks fc-list for its fonts


def test_the_path_of_workers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    home = str(Path(start.__file__).parents[3])
    (tmp_path / "link").symlink_to(tmp_path)
    entries = ["", ".", "lib", str(tmp_path), str(tmp_path / "link"), "/usr/lib/python", home]
    monkeypatch.setattr(sys, "path", entries)
    assert start._safe_path() == ["/usr/lib/python", home]


@pytest.mark.parametrize("tool", ["./fc-list", None])
def test_no_program_of_the_current_folder_runs(tool: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    from hsrgeo.gis import fonts  # noqa: PLC0415 - needs no Pillow

    monkeypatch.setattr(shutil, "which", lambda _name: tool)
    assert fonts._fontconfig() == []


# How many.


@pytest.mark.parametrize(
    ("inner", "outer", "count"),
    [("100000 100000", None, 1), ("150000 100000", None, 2), ("max 100000", "200000 100000", 2), (None, None, 64)],
)
def test_jobs_keep_to_a_quota(
    inner: str | None, outer: str | None, count: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    group = tmp_path / "cgroup" / "system.slice" / "radar.service"
    group.mkdir(parents=True)
    for folder, text in ((group, inner), (group.parents[1], outer)):
        if text:
            (folder / "cpu.max").write_text(f"{text}\n")
    (tmp_path / "own").write_text("0::/system.slice/radar.service\n")
    monkeypatch.setattr(crew, "_CGROUPS", tmp_path / "cgroup")
    monkeypatch.setattr(crew, "_OWN", tmp_path / "own")
    monkeypatch.setattr(start, "cpu_count", lambda: 64)
    assert crew.usable_cores() == count


def test_jobs_where_joblib_cannot_count(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOKY_MAX_CPU_COUNT", "many")
    monkeypatch.setattr(os, "sched_getaffinity", lambda _process: {0, 1, 2})
    monkeypatch.setattr(crew, "_OWN", Path("/nowhere"))
    monkeypatch.setattr(crew, "_CGROUPS", Path("/nowhere"))
    assert crew.usable_cores() == 3


# Deaths.


def in_this_process_too(number: int) -> tuple[int, bool]:  # of this module, for which a worker imports a lot
    return in_this_process(number)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("how", "text"),
    [
        (-signal.SIGTERM, r"crashed, or was ended from outside \(SIGTERM\); run the same command again: it resumes"),
        (3, r"ended by itself \(exit status 3\); run the same command again: it resumes"),
    ],
)
def test_a_death_is_reported_for_what_it_was(how: int, text: str) -> None:
    with pytest.raises(HsrGeoError, match=rf"^a worker process {text}"):
        list(run_parallel(dies, [how] * 2, 2))


ALONE = [(number, True) for number in range(6)]


@pytest.mark.slow
def test_a_worker_that_dies_in_an_import_of_its_work() -> None:
    with pytest.warns(HsrGeoWarning, match=r"cannot begin \(ImportError: libgdal.so.36: cannot open") as caught:
        assert [*run_parallel(number_of, map(Loaded, range(6)), 2)] == list(range(6))
    assert len(caught) == 1


def test_a_worker_that_dies_as_it_starts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "numpy.py").write_text("raise ImportError('numpy is broken')\n")
    monkeypatch.setattr(start, "_safe_path", lambda: [str(tmp_path), *sys.path])
    with pytest.warns(HsrGeoWarning, match=r"cannot begin \(ImportError: numpy is broken\)"):
        assert [*run_parallel(in_this_process_too, range(6), 2)] == ALONE
    assert capfd.readouterr() == ("", "")


# What a system allows.


def refusing(most: int) -> type[Any]:
    class Refusing(start.ProcessPoolExecutor):  # type: ignore[misc]
        def __init__(self, workers: int, **given: Any) -> None:
            if workers > most:
                raise OSError(errno.EAGAIN, "Resource temporarily unavailable")
            super().__init__(workers, **given)

    return Refusing


@pytest.mark.slow
@pytest.mark.parametrize("most", [2, 1])
def test_fewer_processes_are_allowed(most: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hsrgeo.engine.workers.pool.ProcessPoolExecutor", refusing(most))
    text = "2 worker processes instead of 6: this" if most == 2 else "no worker processes: this system does not allow"
    with pytest.warns(HsrGeoWarning, match=rf"^{text}.*\(Resource temporarily unavailable\)") as caught:
        results = sorted(run_parallel(in_this_process, range(6), 6))
    assert len(caught) == 1
    assert results == [(number, most == 1) for number in range(6)]


class NoThread:
    """A pool whose own thread has ended, as loky's does that gets no thread to feed a queue."""

    _executor_manager_thread = None

    def __init__(self, _workers: int, **_given: Any) -> None:
        pass

    def submit(self, *_given: Any) -> Future[Any]:
        return Future()

    def shutdown(self, **_given: Any) -> None:
        pass


def test_no_thread_for_a_pool_is_no_hang(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hsrgeo.engine.workers.pool.ProcessPoolExecutor", NoThread)
    with pytest.warns(HsrGeoWarning, match="can't start new thread"):
        assert [*run_parallel(in_this_process, range(6), 2)] == ALONE


def few_files() -> None:
    resource.setrlimit(resource.RLIMIT_NOFILE, (16, 16))


@pytest.mark.slow
def test_sixteen_open_files_are_enough(source: Path, tmp_path: Path) -> None:
    status, _stdout, stderr = run(HSRGEO, *export(source, tmp_path / "out"), cwd=tmp_path, before=few_files)
    assert status == 0
    text = "no worker processes: this system does not allow them (Too many open files)"
    assert stderr.startswith(f"note: {text}; all work is done in one process, with the same results\n{LINE} (")
    assert len(stderr.splitlines()) == 2


@pytest.mark.slow
@pytest.mark.parametrize(
    ("mount", "text"),
    [
        ("-o ro none /dev/shm", "no worker processes: this system does not allow them (Read-only file system)"),
        ("none /proc", ""),
    ],
    ids=["no /dev/shm", "no /proc"],
)
def test_without_what_containers_lack(source: Path, tmp_path: Path, mount: str, text: str) -> None:
    inside = ("unshare", "--mount", "sh", "-c", f'mount -t tmpfs {mount} && exec "$0" "$@"')
    if subprocess.run([*inside, "true"], check=False, capture_output=True).returncode:
        pytest.skip("mount namespaces are not allowed here")
    status, _stdout, stderr = run(HSRGEO, *export(source, tmp_path / "out"), cwd=tmp_path, around=inside)
    assert status == 0
    note = f"note: {text}; all work is done in one process, with the same results\n" if text else ""
    assert stderr.startswith(f"{note}{LINE} (")
    assert len(stderr.splitlines()) == (2 if text else 1)


SERVICE = (
    "import json, os, sys, hsrgeo\n"
    "for number in range(3): os.close(number)\n"
    "sys.stdin = sys.stdout = sys.stderr = None\n"
    "options = hsrgeo.ExportOptions(window=(420, 620, 48, 32), jobs=2)\n"
    "statuses = [one.status for one in hsrgeo.export(sys.argv[1], sys.argv[2], options)]\n"
    "assert (sys.stdout, sys.stderr) == (None, None)\n"
    "json.dump(statuses, open(sys.argv[2] + '.json', 'w'))\n"
)


@pytest.mark.slow
def test_a_service_without_streams(source: Path, tmp_path: Path) -> None:
    assert run(sys.executable, "-c", SERVICE, source, tmp_path / "out", cwd=tmp_path) == (0, "", "")
    assert json.loads((tmp_path / "out.json").read_text()) == ["ok"] * FRAMES


@pytest.mark.slow
def test_streams_that_are_none_or_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    closed = io.StringIO()
    closed.close()
    monkeypatch.setattr(sys, "stdout", None)
    monkeypatch.setattr(sys, "stderr", closed)
    assert sorted(run_parallel(in_this_process, range(6), 2)) == [(number, False) for number in range(6)]
    assert (sys.stdout, sys.stderr) == (None, closed)


@pytest.mark.slow
def test_the_command_imports_only_what_an_export_needs(source: Path, tmp_path: Path) -> None:
    # boto3, where it is installed, took a quarter of the time of a command that exports one frame.
    script = (
        "import sys\n"
        "from hsrgeo.__main__ import main\n"
        f"sys.argv = ['hsrgeo', 'export', {str(source / frame_name(TIME))!r}, '--out', {str(tmp_path)!r}, '--quiet']\n"
        "try:\n    main()\nexcept SystemExit as end:\n    assert not end.code\n"
        "needless = 'botocore dask xarray pandas scipy matplotlib PIL obstore paramiko zarr'.split()\n"
        "assert not [name for name in needless if name in sys.modules]\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True)
    assert any(tmp_path.rglob("*.tif"))
