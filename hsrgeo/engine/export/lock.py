"""One run at a time in a folder of outputs, on a disk or in a bucket."""

from __future__ import annotations

import errno
import json
import os
import socket
import sys
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Self

from hsrgeo.errors import ManifestError, WriteError
from hsrgeo.sources.remote import RemotePath

if sys.platform != "win32":
    import fcntl

_BEAT_S = 30.0
_LEASE_S = 120.0
# ^ a run that has a bucket's folder says so every _BEAT_S; one that has not for _LEASE_S is taken for dead
_SETTLE_S = 1.0
_BUSY = "another run is writing into it; wait for its end, or use another OUT"


@contextmanager
def folder_lock(out: Path) -> Iterator[None]:
    """Keep other runs out of a folder: a lock on the folder itself, which ends with the process, however that ends.

    Raises:
        ManifestError: Another run has it.
    """
    if sys.platform == "win32":  # it locks no folders
        yield
        return
    descriptor = os.open(out, os.O_RDONLY)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise ManifestError(str(out), _BUSY) from error
        except OSError:
            pass  # some network file systems know no locks: then nobody has one
        yield
    finally:
        os.close(descriptor)


class BucketLock:
    """Keeps other runs out of a folder of a bucket, with an object that is written again and again while a run lives.

    Raises:
        ManifestError: Another run has it.
    """

    def __init__(self, path: RemotePath) -> None:
        self._path = path
        self._me: dict[str, Any] = {"run": uuid.uuid4().hex, "host": socket.gethostname(), "pid": os.getpid()}
        self._data = json.dumps(self._me).encode()
        self._over = threading.Event()
        self._lost = False
        self._heard = time.time()  # not the clock that stands still while a machine sleeps
        self._beat = threading.Thread(target=self._beats, daemon=True)

    def __enter__(self) -> Self:
        if not self._is_new():
            self._take_over()
        _RUNS.add(self._me["run"])
        self._beat.start()
        return self

    def __exit__(self, *_exc: object) -> None:
        self._over.set()
        self._beat.join()
        _RUNS.discard(self._me["run"])
        with suppress(OSError):
            if not self._lost and not self._is_taken():
                self._path.unlink()

    def check(self) -> None:
        """Raise a WriteError where another run has taken the folder over, such as from one that was suspended."""
        with suppress(OSError):
            if not self._lost and time.time() - self._heard > _LEASE_S:
                self._lost = self._is_taken()
        if self._lost:
            raise WriteError(str(self._path.parent), "was taken over by another run; this one ends")

    def _is_new(self) -> bool:
        try:
            self._path.write_bytes(self._data, new=True)
        except FileExistsError:
            return False
        except OSError as error:
            if error.errno != errno.ENOTSUP:
                raise
            if self._path.is_file():  # a service that knows no conditions
                return False
            self._path.write_bytes(self._data)
        return True

    def _take_over(self) -> None:
        version = self._version()
        holder = self._holder()
        left = 0.0 if _is_dead(holder) else _LEASE_S - self._age()
        if left > 0:
            where = f"{holder.get('host', 'unknown')}, process {holder.get('pid', 'unknown')}"
            raise ManifestError(
                str(self._path.parent),
                f"another run ({where}) is writing into it, or was killed: wait for its end or {left:.0f} s, or use "
                "another OUT",
            )
        if not self._is_written_over(version):
            raise ManifestError(str(self._path.parent), _BUSY)
        time.sleep(_SETTLE_S)  # where two runs take over at once, and the service lets them, the last one has it
        if self._holder() != self._me:
            raise ManifestError(str(self._path.parent), _BUSY)

    def _version(self) -> str:
        return self._path.stat().version if self._path.is_file() else ""

    def _is_written_over(self, version: str) -> bool:
        """Write it, unless another run has done so since it had this version; tell whether it was written."""
        try:
            self._path.write_bytes(self._data, over=version)
        except OSError as error:
            if error.errno == errno.ESTALE:
                return False
            if error.errno != errno.ENOTSUP:
                raise
            self._path.write_bytes(self._data)
        return True

    def _holder(self) -> dict[str, Any]:
        try:
            return dict(json.loads(self._path.read_bytes()))
        except FileNotFoundError:
            return {}
        except (ValueError, TypeError):
            return {"host": "unknown"}

    def _age(self) -> float:
        """Return the seconds since the holder was last heard of, by the clock of the bucket."""
        probe = self._path.with_name(f"{self._path.name}.{self._me['run']}")
        try:
            probe.write_bytes(b"")
            return probe.stat().changed - self._path.stat().changed
        except FileNotFoundError:
            return _LEASE_S
        finally:
            probe.unlink()

    def _beats(self) -> None:
        while not self._over.wait(_BEAT_S):
            with suppress(OSError):  # heard of again with the next beat
                version = self._version()
                if self._is_taken():
                    self._lost = True
                    return
                if self._is_written_over(version):  # else taken since, or removed: the next beat sees which
                    self._heard = time.time()

    def _is_taken(self) -> bool:
        return bool(self._holder().get("run", self._me["run"]) != self._me["run"])


_RUNS: set[str] = set()
"""Of this process, under way."""


def _is_dead(holder: dict[str, Any]) -> bool:
    """Tell whether a run was on this machine and is no more."""
    if not holder:
        return True
    pid = holder.get("pid")
    if holder.get("host") == socket.gethostname() and pid == os.getpid():
        return holder.get("run") not in _RUNS
    if holder.get("host") != socket.gethostname() or not isinstance(pid, int) or pid <= 0 or sys.platform == "win32":
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    except OSError:
        return False
    return False
