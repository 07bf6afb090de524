"""The programs `hsrgeo` and `python`, as a shell starts them, without the second that each needs for its imports.

A server imports once what they need, and forks for each. A command has its own process with the arguments, streams,
working folder and variables of its caller, who gets its exit status.
"""

from __future__ import annotations

import atexit
import gc
import importlib
import marshal
import os
import pkgutil
import runpy
import select
import socket
import subprocess
import sys
import tempfile
import threading
import traceback
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from types import ModuleType
from typing import NamedTuple

from hsrgeo.engine.workers.modules import leave_out_boto3

ROOT = Path(__file__).parents[1]
_ALSO = ("dask.array", "PIL.Image", "scipy.ndimage", "xarray.backends.zarr")
"""What takes long, and hsrgeo imports only where it needs it."""
_PROGRAM = """#!{python} -ISs
import marshal, os, signal, socket, sys
asked = marshal.dumps(({name!r}, sys.argv[1:], os.getcwd(), dict(os.environ)))
with socket.socket(socket.AF_UNIX) as server:
    server.connect({address!r})
    socket.send_fds(server, [len(asked).to_bytes(4, "little")], [0, 1, 2])
    server.sendall(asked)
    answer = server.recv(4)
if len(answer) < 4:
    sys.exit("the server has ended")
status = int.from_bytes(answer, "little", signed=True)
if status < 0:
    if -status not in (signal.SIGKILL, signal.SIGSTOP):
        signal.signal(-status, signal.SIG_DFL)
    os.kill(os.getpid(), -status)
os._exit(status)
"""


class Asked(NamedTuple):
    """A command."""

    program: str
    arguments: list[str]
    folder: str
    variables: dict[str, str]


@contextmanager
def forked_programs(variables: Mapping[str, str]) -> Iterator[Path]:
    """Give a folder for PATH with the programs `hsrgeo` and `python`.

    Args:
        variables: Of the server; those that Python reads at its start (PYTHONWARNINGS) are those of all commands.
    """
    with (
        tempfile.TemporaryDirectory() as name,
        socket.socket(socket.AF_UNIX) as listening,
    ):  # a name of 108 bytes at most
        folder = Path(name)
        listening.bind(address := str(folder / "socket"))
        listening.listen()
        for program in ("hsrgeo", "python"):
            path = folder / program
            path.write_text(_PROGRAM.format(python=sys.executable, name=program, address=address), encoding="utf-8")
            path.chmod(0o700)
        server = subprocess.Popen(
            [sys.executable, "-m", "tests.forked", str(listening.fileno())],
            cwd=ROOT,
            env={**variables, "OPENBLAS_NUM_THREADS": "1"},  # a process of one thread may fork
            stdin=subprocess.PIPE,
            pass_fds=[listening.fileno()],
        )
        try:
            yield folder
        finally:
            server.communicate()  # it ends with its standard input


def _load() -> None:
    """Import all that commands need."""
    import hsrgeo  # noqa: PLC0415

    names = [module.name for module in pkgutil.walk_packages(hsrgeo.__path__, "hsrgeo.")]
    for name in (*names, *_ALSO):
        if name != "hsrgeo.__main__":
            with suppress(ImportError):  # an extra that is not installed
                importlib.import_module(name)


def _serve(listening: socket.socket) -> Asked | None:
    """Fork for each command, and return it in its own process; return None in the server's at its end."""
    while listening in select.select([listening, sys.stdin], [], [])[0]:
        _reap(os.WNOHANG)
        connection, _address = listening.accept()
        with connection:
            if os.fork():
                continue  # the children of children are theirs
            listening.close()
            head, streams, _flags, _from = socket.recv_fds(connection, 4, 3)
            with connection.makefile("rb") as file:
                asked = Asked(*marshal.loads(file.read(int.from_bytes(head, "little"))))  # noqa: S302 - of the tests
            if child := os.fork():
                for stream in streams:
                    os.close(stream)
                status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
                connection.sendall(status.to_bytes(4, "little", signed=True))
                os._exit(0)
            for number, stream in enumerate(streams):
                os.dup2(stream, number)
                os.close(stream)
            return asked
    _reap(0)
    return None


def _reap(how: int) -> None:
    """Take note of children that have ended."""
    with suppress(ChildProcessError):
        while os.waitpid(-1, how)[0]:
            pass


def _become(asked: Asked) -> None:
    """Be the process of a command."""
    sys.path.pop(0)  # the folder of the tests
    os.chdir(asked.folder)
    os.environ.clear()
    os.environ.update(asked.variables)
    sys.modules["__main__"] = ModuleType("__main__")
    if asked.program == "hsrgeo":
        sys.argv = ["hsrgeo", *asked.arguments]
        from hsrgeo.__main__ import main  # noqa: PLC0415 - of a process of its own

        main()
        return
    first, *rest = asked.arguments
    if first == "-c":
        sys.argv = ["-c", *rest[1:]]
        sys.path.insert(0, "")
        exec(compile(rest[0], "<string>", "exec"), vars(sys.modules["__main__"]))  # noqa: S102
    else:
        sys.argv = [*asked.arguments]
        sys.path.insert(0, str(Path(first).parent))
        runpy.run_path(first, run_name="__main__")


def _status(asked: Asked) -> int:
    """Be the process of a command, and return its exit status. Python would take down all modules: 0.1 s."""
    try:
        _become(asked)
        status = 0
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else int(end.code is not None)
        if isinstance(end.code, str):
            sys.stderr.write(f"{end.code}\n")
    except BaseException:  # noqa: BLE001 - as Python shows what ends a program
        traceback.print_exc()
        status = 1
    threading._shutdown()  # type: ignore[attr-defined] # as at the end of each program
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    return status


if __name__ == "__main__":
    leave_out_boto3()  # as the command does
    _load()
    gc.freeze()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Python's on forks: of other threads there is none that matters
        command = _serve(socket.socket(fileno=int(sys.argv[1])))
    if command:
        os._exit(_status(command))
