"""A machine of its own, on which commands of hsrgeo begin at once: what a campaign of overlapping runs needs.

A machine is a set of namespaces (mount, process ids, host name) with a boot id of its own; host name and process ids
are those of every other one. In it waits a process that has imported hsrgeo and forks for each command, so that a run
takes as long as its work does. Each run writes down when it has a lock and when it writes.
"""

from __future__ import annotations

import errno
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Self

BEAT_S, LEASE_S, WATCH_S, LOOK_S = 0.3, 3.0, 1.0, 0.1
"""A campaign cannot wait as long as users do."""
BUSY = 2
"""Exit status of a run that is refused."""
_LOST = 1
"""Of one whose lock was taken over."""
_COARSE_S = 1.0
"""Buckets know whole seconds."""
_BOOT = "/proc/sys/kernel/random/boot_id"
_SPACES = ("unshare", "--mount", "--pid", "--uts", "--fork", "--kill-child", "--mount-proc")


class Machine:
    """A machine, while the ``with`` statement lasts.

    Args:
        folder: For its boot id and what its runs say.
        number: Which; 0 is the one that is there, without namespaces.
        variables: Of its environment.
    """

    def __init__(self, folder: Path, number: int, variables: Mapping[str, str] | None = None) -> None:
        self._folder = folder / f"machine{number}-{time.monotonic_ns()}"
        self._folder.mkdir()
        self._runs = 0
        serve = [sys.executable, "-m", "tests.fuzz.machine"]
        if number:
            boot = self._folder / "boot"
            boot.write_text(f"0000000{number}-0000-4000-8000-000000000000\n")
            script = f'hostname farm && mount --bind {boot} {_BOOT} && exec "$@"'
            serve = [*_SPACES, "sh", "-c", script, "sh", *serve]
        self._server = subprocess.Popen(
            serve, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env={**os.environ, **(variables or {})}
        )

    def __enter__(self) -> Self:
        self.ask({"ready": True})  # it takes a while to start
        return self

    def __exit__(self, *_exc: object) -> None:
        self._server.communicate(timeout=60)
        shutil.rmtree(self._folder)

    def begin(self, arguments: Sequence[str], watched: str, flock: str = "local") -> Run:
        """Begin a run.

        Args:
            arguments: What follows `hsrgeo`.
            watched: Folder or bucket URL below which writes are written down.
            flock: What `flock` does: it is local, or the name of its error.
        """
        self._runs += 1
        said = self._folder / f"run{self._runs}"
        asked = {"arguments": list(arguments), "watched": watched, "flock": flock, "said": str(said)}
        return Run(said, self.ask(asked)["pid"], self.ask)

    def ask(self, asked: Mapping[str, object]) -> dict[str, Any]:
        """Ask the waiting process for something, and return its answer."""
        assert self._server.stdin is not None
        assert self._server.stdout is not None
        self._server.stdin.write(json.dumps(asked) + "\n")
        self._server.stdin.flush()
        return dict(json.loads(self._server.stdout.readline()))


class Run:
    """A run of a command."""

    def __init__(self, said: Path, pid: int, ask: Callable[[Mapping[str, object]], dict[str, Any]]) -> None:
        self._said = said
        self._pid = pid
        self._ask = ask
        self.status: int | None = None
        """Exit status in the end; the negative signal number of one that was killed."""
        self.may_end_with: tuple[int, ...] = (0, BUSY)
        self.suspended = False
        """Whether it ever was."""
        self._until = float("inf")

    def signal(self, number: int) -> None:
        """Kill, suspend or continue it; one that is suspended keeps others from the output until its lease is over."""
        self.suspended = self.suspended or number == signal.SIGSTOP
        lease = LEASE_S - 2 * BEAT_S - _COARSE_S if self.suspended else 0.0
        self._until = min(self._until, time.monotonic() + lease)
        if number == signal.SIGKILL:
            self.may_end_with += (-number,)
        elif self.suspended:
            self.may_end_with += (_LOST,)
        self._ask({"signal": number, "pid": self._pid})

    def wait(self) -> int:
        """Wait for its end, and return its exit status."""
        if self.status is None:
            answer = self._ask({"wait": True, "pid": self._pid})
            self.status = int(answer["status"])
            self._until = min(self._until, answer["at"])
        return self.status

    def await_lock(self, seconds: float) -> None:
        """Wait until it has the lock of the output, for so long at most."""
        end = time.monotonic() + seconds
        while not self.spans() and time.monotonic() < end:
            time.sleep(0.01)

    @property
    def said(self) -> str:
        """What it printed on stderr."""
        return self._said.read_text() if self._said.exists() else ""

    def _reported(self) -> list[tuple[str, float]]:
        log = Path(f"{self._said}.log")
        lines = (line.split() for line in log.read_text().splitlines()) if log.exists() else ()
        return [(word, float(at)) for word, at in lines]

    def spans(self) -> list[tuple[float, float]]:
        """Return when it had the lock of the output: from when to when, or until it was killed."""
        spans: list[tuple[float, float]] = []
        for word, at in self._reported():
            if word == "begin":
                spans.append((at, self._until))
            elif word == "end" and spans:
                spans[-1] = spans[-1][0], min(at, self._until)
        return spans

    def writes(self) -> list[float]:
        """Return when it wrote."""
        return [at for word, at in self._reported() if word == "write"]


def serve() -> None:
    """Fork for each command that is asked for; the process that waits."""
    from hsrgeo.outputs import bucket, lease, lock  # noqa: PLC0415

    modules = (
        "cli.export",
        "cli.cube",
        "engine.export.export_run",
        "engine.cube.cube_run",
        "engine.export_options",
        "formats.composite",
    )
    libraries = (
        "netCDF4",
        "zarr",
        "xarray",
        "obstore",
        "distributed",
        "rasterio",
        "pyproj",
        "pydantic",
        "rich.progress",
    )
    for name in (*(f"hsrgeo.{module}" for module in modules), *libraries):
        with suppress(ImportError):
            __import__(name)
    lease.BEAT_S, lease.LEASE_S, lock._WATCH_S = BEAT_S, LEASE_S, WATCH_S
    lease.Lock._look_s, bucket.BucketLock._look_s = LOOK_S, 2 * BEAT_S
    for line in sys.stdin:
        asked = json.loads(line)
        if "arguments" in asked:
            answer: dict[str, object] = {"pid": os.fork()}
            if not answer["pid"]:
                _run(asked)
        elif "signal" in asked:
            with suppress(ProcessLookupError):  # it has ended, and is not waited for yet
                os.kill(asked["pid"], asked["signal"])
            answer = {}
        elif "ready" in asked:
            answer = {}
        else:
            status = os.waitstatus_to_exitcode(os.waitpid(asked["pid"], 0)[1])
            answer = {"status": status, "at": time.monotonic()}
        print(json.dumps(answer), flush=True)


def _run(asked: dict[str, Any]) -> None:
    for descriptor, path in ((0, os.devnull), (1, os.devnull), (2, asked["said"])):
        os.dup2(os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND), descriptor)
    _watch(f"{asked['said']}.log", asked["watched"])
    _spoil_flock(asked["flock"])
    sys.argv = ["hsrgeo", *asked["arguments"]]
    status: object = 0
    try:
        from hsrgeo.__main__ import main  # noqa: PLC0415

        main()
    except SystemExit as ending:
        status = ending.code or 0
    except BaseException:  # noqa: BLE001 - it is what an interpreter would print
        sys.excepthook(*sys.exc_info())
        status = 1
    sys.stderr.flush()
    os._exit(status if isinstance(status, int) else 1)


def _watch(log: str, watched: str) -> None:
    """Write down when this run has a lock, and when it makes or moves a file, whatever it knows of its lock."""
    from hsrgeo.outputs.lease import Lock  # noqa: PLC0415
    from hsrgeo.sources.remote import RemotePath  # noqa: PLC0415

    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)

    def tell(word: str) -> None:
        os.write(descriptor, f"{word} {time.monotonic()}\n".encode())

    def is_output(path: object) -> bool:
        return isinstance(path, str | bytes | os.PathLike) and (
            os.fsdecode(path).startswith(watched) and ".lock" not in os.path.basename(os.fsdecode(path))  # noqa: PTH119
        )

    def heard(event: str, arguments: tuple[Any, ...]) -> None:
        if (event == "open" and arguments[2] & (os.O_WRONLY | os.O_RDWR) and is_output(arguments[0])) or (
            event == "os.rename" and is_output(arguments[1])
        ):
            tell("write")

    enter, leave, write = Lock.__enter__, Lock.__exit__, RemotePath.write_bytes

    def entered(self: Lock[Any]) -> Lock[Any]:
        enter(self)
        tell("begin")
        return self

    def left(self: Lock[Any], *exc: object) -> None:
        tell("end")
        leave(self, *exc)

    def written(self: RemotePath, *arguments: Any, **options: Any) -> None:
        if ".lock" not in self.name:
            tell("write")
        write(self, *arguments, **options)

    for owner, name, method in ((Lock, "__enter__", entered), (Lock, "__exit__", left)):
        setattr(owner, name, method)
    RemotePath.write_bytes = written  # type: ignore[method-assign]
    sys.addaudithook(heard)


def _spoil_flock(how: str) -> None:
    import fcntl  # noqa: PLC0415

    def flock(_descriptor: int, _how: int) -> None:
        if how != "local":
            raise OSError(getattr(errno, how), os.strerror(getattr(errno, how)))

    fcntl.flock = flock  # type: ignore[assignment]


if __name__ == "__main__":
    serve()
