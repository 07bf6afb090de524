"""A lock with a lease: what the lock of an output on a disk and that in a bucket have in common."""

from __future__ import annotations

import errno
import json
import os
import re
import socket
import sys
import threading
import time
import uuid
from abc import ABC, abstractmethod
from contextlib import suppress
from pathlib import Path
from typing import Generic, Self, TypeVar

from hsrgeo.errors import NO_ROOM, LockError, WriteError, in_the_way, refused
from hsrgeo.outputs.alive import RUNS, Holder, begun_at, is_alive, machine
from hsrgeo.sources.remote import RemotePath

BEAT_S = 15.0
"""Between two renewals of a lock."""
LEASE_S = 90.0
"""A lock that was not renewed for so long is one of a dead run."""
_LOOK_S = 1.0
"""Between two looks at the own lock before something is written, at least: 0.03 ms each on a local disk."""
_TRIES = 3
MOST_BYTES = 4096
"""Of a lock file."""

_Path = TypeVar("_Path", Path, RemotePath)


class Lock(ABC, Generic[_Path]):
    """Keeps other runs from an output while the ``with`` statement lasts.

    Raises:
        LockError: Another run has the output, or it cannot be locked.
        NoRoomError: The disk is full.
    """

    _look_s = _LOOK_S

    def __init__(self, path: _Path, shown: str) -> None:
        self._path: _Path = path
        self._shown = shown
        self._id = uuid.uuid4().hex
        holder = {"run": self._id, "host": socket.gethostname(), "pid": os.getpid()}
        self._data = json.dumps({**holder, "machine": machine(), "begun": begun_at(os.getpid())}).encode()
        self._over = threading.Event()
        self._lost = False
        self._heard = self._looked = now()
        self._beat = threading.Thread(target=self._beats, daemon=True)

    def __enter__(self) -> Self:
        RUNS.add(self._id)
        try:
            self._take()
        except BaseException as error:
            RUNS.discard(self._id)
            if not isinstance(error, OSError):
                raise
            if error.errno in NO_ROOM:
                raise refused(str(self._path), error) from error
            if error.errno in (errno.EACCES, errno.EPERM) and isinstance(self._path, Path):
                problem = f"no permission to write in {self._path.parent}; choose another output"
                raise LockError(self._shown, problem) from error
            reason = in_the_way(str(self._path)) if error.errno == errno.ENOTDIR else error.strerror or error
            problem = f"cannot be opened and locked against other runs ({self._path.name}): {reason}"
            raise LockError(self._shown, f"{problem}; choose an output where files can be made") from error
        self._heard = self._looked = now()
        self._beat.start()
        return self

    def __exit__(self, *_exc: object) -> None:
        self._over.set()
        if not sys.is_finalizing():  # a script left a run unfinished: by now its threads stand still, and from
            self._beat.join()  # Python 3.13 on waiting for one never ends
        RUNS.discard(self._id)
        with suppress(OSError):
            if not self._lost and not self._is_taken():
                self._path.unlink()

    def check(self) -> None:
        """Raise a WriteError where the lock was lost, such as while this run was suspended; call it before writing."""
        if (seen := now()) - self._looked > self._look_s:
            try:
                self._lost = self._lost or self._is_taken()
                self._looked = seen
            except OSError as error:
                if seen - self._heard > LEASE_S:
                    problem = f"the lock of this run cannot be read any more: {error.strerror or error}; {_ENDS}"
                    raise WriteError(self._shown, problem) from error
        if self._lost:
            raise WriteError(self._shown, f"the lock of this run was taken over by another run, or removed; {_ENDS}")

    def _take(self) -> None:
        for _try in range(_TRIES):
            if self._is_made():
                return
            holder = self._holder(self._path)
            if holder and self._is_taken_over(holder):
                return
        raise LockError(self._shown, f"other runs are writing into it; {_WAIT}")

    def _refuse_living(self, holder: Holder, path: _Path) -> None:
        alive = is_alive(holder)
        if alive is False:
            return
        who = ", process ".join(_UNUSUAL.sub("?", str(holder.get(key, "unknown")))[:80] for key in ("host", "pid"))
        if not alive and (left := LEASE_S - abs(self._age(path))) > 0:
            until = f"wait for its end or {left:.0f} s, or choose another output"
            raise LockError(self._shown, f"another run ({who}) is writing into it, or was killed: {until}")
        if alive or not self._is_silent(path):
            raise LockError(self._shown, f"another run ({who}) is writing into it; {_WAIT}")

    def _beats(self) -> None:
        while not self._over.wait(BEAT_S):
            with suppress(OSError):  # the next beat tries again
                if self._is_renewed():
                    self._heard = now()
            if self._lost:
                return

    def _is_taken(self) -> bool:
        return bool(self._holder(self._path).get("run") != self._id)

    @abstractmethod
    def _is_made(self) -> bool:
        """Make the lock where there is none; tell whether it was made."""

    @abstractmethod
    def _is_taken_over(self, holder: Holder) -> bool:
        """Replace the lock of a dead run; tell whether it was replaced, or raise a LockError where the run lives."""

    @abstractmethod
    def _is_renewed(self) -> bool:
        """Renew the lock, or note that it is lost."""

    @abstractmethod
    def _holder(self, path: _Path) -> Holder:
        """Return what a lock says; nothing where there is none."""

    @abstractmethod
    def _age(self, path: _Path) -> float:
        """Return the seconds since a lock was renewed, by the clock of the disk or bucket."""

    @abstractmethod
    def _is_silent(self, path: _Path) -> bool:
        """Watch a lock with an expired lease; tell whether nobody renews it."""


_ENDS = "this one ends: run the same command again"
_WAIT = "wait for its end, or choose another output"
_UNUSUAL = re.compile(r"[^\w.-]")


def parsed(data: bytes) -> Holder:
    """Return what the bytes of a lock say; nothing where they are damaged."""
    try:
        return dict(json.loads(data))
    except (ValueError, TypeError, RecursionError):
        return {}


def now() -> float:
    """Return the seconds of a clock that also runs while the machine sleeps."""
    return time.clock_gettime(time.CLOCK_BOOTTIME) if sys.platform == "linux" else time.time()
