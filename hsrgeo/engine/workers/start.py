"""How worker processes are started: without the current folder in their path, and so that one that dies says why.

loky starts ``python -m MODULE``, where MODULE is the module of its `Popen` class: of this one, so a new process begins
at the end of this file.
"""

from __future__ import annotations

import multiprocessing
import os
import pickle
import re
import signal
import sys
import threading
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from multiprocessing import process, util
from pathlib import Path
from typing import Any

import hsrgeo
from hsrgeo.engine.workers.modules import leave_out_boto3
from hsrgeo.engine.workers.streams import Flushable, fill_closed_streams

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # joblib warns where there are no semaphores: a run then starts no workers
    from joblib.externals.loky import ProcessPoolExecutor, process_executor
    from joblib.externals.loky.backend import resource_tracker, spawn
    from joblib.externals.loky.backend.context import LokyContext, cpu_count
    from joblib.externals.loky.backend.process import LokyProcess
    from joblib.externals.loky.process_executor import BrokenProcessPool, TerminatedWorkerError

    if os.name == "posix":
        from joblib.externals.loky.backend.popen_loky_posix import Popen
    else:
        from joblib.externals.loky.backend.popen_loky_win32 import Popen

__all__ = [
    "BrokenProcessPool",
    "Crew",
    "ProcessPoolExecutor",
    "TerminatedWorkerError",
    "begin",
    "cpu_count",
    "process_executor",
    "resource_tracker",
    "safely",
]
# ^ joblib's own among them for other modules, where importing joblib would warn again

_SAYS = "HSRGEO_WORKER_SAYS"
"""Variable with the number of the pipe to which a process writes until its work begins."""
_KILL = getattr(signal, "SIGKILL", signal.SIGTERM)
# ^ Windows has none


class _Popen(Popen):  # type: ignore[misc] # joblib has no types
    def _launch(self, starting: LokyProcess) -> None:
        if _SAYS in starting.env:
            self._fds.append(int(starting.env[_SAYS]))
        super()._launch(starting)


class _Process(LokyProcess):  # type: ignore[misc]
    @staticmethod
    def _Popen(starting: LokyProcess) -> Popen:  # noqa: N802 - loky's name
        return _Popen(starting) if os.name == "posix" else Popen(starting)


class Crew(LokyContext):  # type: ignore[misc]
    """Starts the workers of one pool, and knows what became of them."""

    def __init__(self) -> None:
        self._started: list[_Process] = []
        self._pipe = os.pipe() if os.name == "posix" else None
        if self._pipe:
            for end in self._pipe:
                os.set_blocking(end, False)  # nobody reads until a worker has died

    def Process(self, *, env: Mapping[str, str], **given: object) -> _Process:  # noqa: N802 - loky's name
        """Return a process that is not started yet."""
        more = {"PYTHONSAFEPATH": "1", "PYTHONPATH": os.pathsep.join(_safe_path())}
        if self._pipe:
            more[_SAYS] = str(self._pipe[1])
        self._started.append(_Process(env={**env, **more}, **given))
        return self._started[-1]

    def end(self) -> None:
        """Kill what still runs, and close what is open."""
        for one in self._started:
            with suppress(OSError, ValueError, AssertionError):  # never started, or gone
                if one.exitcode is None and one.pid:
                    os.kill(one.pid, _KILL)
                    one.join()
        for end in self._pipe or ():
            os.close(end)
        self._pipe = None

    def death(self) -> tuple[int, str | None]:
        """Return the exit status of the worker that died, negative for a signal.

        With it comes what workers wrote that had not begun their work, or None where the one that died had begun.
        """
        said = b""
        with suppress(OSError):
            while self._pipe and (part := os.read(self._pipe[0], 65536)):
                said += part
        begun = {int(pid) for pid in re.findall(rb"\0(\d+)\0", said)}
        ended = [(one.exitcode, one.pid) for one in self._started if one.exitcode]
        status, pid = min(ended, key=lambda one: one[0] == -_KILL, default=(-_KILL, None))  # loky kills the others
        rest = re.sub(rb"\0\d+\0", b"", said).decode(errors="backslashreplace")
        return status, None if not self._pipe or pid in begun else rest


_STARTING = threading.RLock()


@contextmanager
def safely() -> Iterator[None]:
    """Start processes within, one run at a time.

    loky's and Python's helper processes leave the current folder out too, and stdout may be None: loky flushes it.
    """
    with _STARTING:
        fill_closed_streams()
        kept = vars(util)[_FLAGS], sys.stdout, sys.stderr
        vars(util)[_FLAGS] = lambda: [*kept[0](), "-P", "-Wignore"]
        sys.stdout, sys.stderr = Flushable(sys.stdout), Flushable(sys.stderr)
        try:
            yield
        finally:
            vars(util)[_FLAGS], sys.stdout, sys.stderr = kept


_FLAGS = "_args_from_interpreter_flags"
"""Of `multiprocessing.util`: what the command lines of helper processes begin with."""


def _safe_path() -> list[str]:
    """Return this process's path without what Python put there by itself: the current folder, and the script's.

    Strangers' files may lie there. Only where hsrgeo itself comes from one of them it stays, as in a checkout.
    """
    current = vars(process)["ORIGINAL_DIR"]
    script = getattr(sys.modules.get("__main__"), "__file__", None)
    folders = [os.curdir, current, Path(script).parent if script else None]
    left_out = {os.path.realpath(folder) for folder in folders if folder}
    left_out.discard(os.path.realpath(Path(hsrgeo.__file__).parents[1]))
    return [
        entry
        for entry in map(str, sys.path)
        if os.path.isabs(entry)  # noqa: PTH117
        and os.pathsep not in entry
        and os.path.realpath(entry) not in left_out
    ]


_streams: list[int] = []
"""In a worker: copies of stdout and stderr, until its work begins."""


def begin() -> None:
    """Tell in a worker that its work begins: from now on what it writes goes where the parent's goes."""
    if _streams:
        os.write(1, b"\0%d\0" % os.getpid())
        for number, kept in zip((1, 2), _streams, strict=True):
            os.dup2(kept, number)
            os.close(kept)
        _streams.clear()


def _main() -> None:
    fill_closed_streams()
    leave_out_boto3()
    says = int(os.environ.pop(_SAYS))
    for number in (1, 2):
        _streams.append(os.dup(number))
        os.dup2(says, number)
    os.close(says)
    with open(int(sys.argv[sys.argv.index("--pipe") + 1]), "rb") as parent:  # noqa: PTH123
        current: Any = multiprocessing.current_process()
        current._inheriting = True  # noqa: SLF001
        prepared = pickle.load(parent)  # noqa: S301 - of the process that started this one
        del prepared["sys_path"]  # it has the current folder; PYTHONPATH has the rest
        spawn.prepare(prepared)
        worker = pickle.load(parent)  # noqa: S301
        del current._inheriting  # noqa: SLF001
    sys.exit(worker._bootstrap())  # noqa: SLF001


if __name__ == "__main__":
    from hsrgeo.engine.workers import start  # noqa: PLW0406 - `begin` is of it, not of its copy __main__

    start._main()  # noqa: SLF001
