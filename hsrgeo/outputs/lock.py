"""One run at a time on an output, on any disk and in a bucket: a lock file that only one run can make, with a lease.

The lock of ``NAME`` is ``NAME.lock`` beside it; it names the run that has it, and is removed when that run ends. A run
renews its lock every few seconds. A lock that was not renewed for the whole lease is one of a run that was killed, and
the next run takes it over. Times are compared by the clock of the disk or the bucket, and no run is known by its host
name or process id: two containers, or two machines on one network disk, may have the same.

On a disk there is no way to replace a file only if it is still the same. So a run that takes over first makes the file
``NAME.lock.ID``, where ID is that of the dead run: only one can.
"""

from __future__ import annotations

import errno
import json
import os
import re
import socket
import stat
import sys
import threading
import time
import uuid
from abc import ABC, abstractmethod
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Generic, Self, TypeVar

from hsrgeo.errors import NO_ROOM, LockError, WriteError, in_the_way, refused
from hsrgeo.outputs.alive import RUNS, Holder, begun_at, is_alive, machine
from hsrgeo.sources.remote import Place, RemotePath
from hsrgeo.writers.files import names_in

_BEAT_S = 15.0
"""Between two renewals of a lock."""
_LEASE_S = 90.0
"""A lock that was not renewed for so long is one of a dead run."""
_WATCH_S = 40.0
"""How long such a lock on a disk is watched before it is taken over: its time may come from another machine's clock."""
_LOOK_S = 1.0
"""Between two looks at the own lock before something is written, at least: 0.03 ms each on a local disk."""
_SETTLE_S = 1.0
_TRIES = 3
_MOST_BYTES = 4096  # of a lock file
_ID = re.compile(r"[0-9a-f]{32}")

_Path = TypeVar("_Path", Path, RemotePath)


def locked(target: Place, told: Place | None = None) -> Lock[Any]:
    """Return the lock of an output; use it in a ``with`` statement.

    Args:
        target: The file or folder that is written or added to; the lock lies beside it.
        told: What messages name, if it is not the target.
    """
    path, name = target.with_name(f"{target.name}.lock"), str(told or target)
    return _BucketLock(path, name) if isinstance(path, RemotePath) else _DiskLock(path, name)


class Lock(ABC, Generic[_Path]):
    """Keeps other runs from an output while the ``with`` statement lasts.

    Raises:
        LockError: Another run has the output, or it cannot be locked.
        NoRoomError: The disk is full.
    """

    _look_s = _LOOK_S

    def __init__(self, path: _Path, told: str) -> None:
        self._path: _Path = path
        self._told = told
        self._id = uuid.uuid4().hex
        holder = {"run": self._id, "host": socket.gethostname(), "pid": os.getpid()}
        self._data = json.dumps({**holder, "machine": machine(), "begun": begun_at(os.getpid())}).encode()
        self._over = threading.Event()
        self._lost = False
        self._heard = self._looked = _now()
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
            reason = in_the_way(str(self._path)) if error.errno == errno.ENOTDIR else error.strerror or error
            problem = f"cannot be opened and locked against other runs ({self._path.name}): {reason}"
            raise LockError(self._told, f"{problem}; choose an output where files can be made") from error
        self._heard = self._looked = _now()
        self._beat.start()
        return self

    def __exit__(self, *_exc: object) -> None:
        self._over.set()
        self._beat.join()
        RUNS.discard(self._id)
        with suppress(OSError):
            if not self._lost and not self._is_taken():
                self._path.unlink()

    def check(self) -> None:
        """Raise a WriteError where the lock was lost, such as while this run was suspended; call it before writing."""
        if (now := _now()) - self._looked > self._look_s:
            try:
                self._lost = self._lost or self._is_taken()
                self._looked = now
            except OSError as error:
                if now - self._heard > _LEASE_S:
                    problem = f"the lock of this run cannot be read any more: {error.strerror or error}; {_ENDS}"
                    raise WriteError(self._told, problem) from error
        if self._lost:
            raise WriteError(self._told, f"the lock of this run was taken over by another run, or removed; {_ENDS}")

    def _take(self) -> None:
        for _try in range(_TRIES):
            if self._is_made():
                return
            holder = self._holder(self._path)
            if holder and self._is_taken_over(holder):
                return
        raise LockError(self._told, f"other runs are writing into it; {_WAIT}")

    def _refuse_living(self, holder: Holder, path: _Path) -> None:
        alive = is_alive(holder)
        if alive is False:
            return
        who = ", process ".join(_UNUSUAL.sub("?", str(holder.get(key, "unknown")))[:80] for key in ("host", "pid"))
        if not alive and (left := _LEASE_S - abs(self._age(path))) > 0:
            until = f"wait for its end or {left:.0f} s, or choose another output"
            raise LockError(self._told, f"another run ({who}) is writing into it, or was killed: {until}")
        if alive or not self._is_silent(path):
            raise LockError(self._told, f"another run ({who}) is writing into it; {_WAIT}")

    def _beats(self) -> None:
        while not self._over.wait(_BEAT_S):
            with suppress(OSError):  # the next beat tries again
                if self._is_renewed():
                    self._heard = _now()
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
        """Watch a lock whose lease is over; tell whether nobody renews it."""


_ENDS = "this one ends: run the same command again"
_WAIT = "wait for its end, or choose another output"
_UNUSUAL = re.compile(r"[^\w.-]")


class _DiskLock(Lock[Path]):
    _folders: Sequence[Path] = ()
    """That were made for the lock, the lowest first."""

    def _is_made(self) -> bool:
        try:
            return self._is_new(self._path)
        except FileNotFoundError:
            self._folders = [folder for folder in self._path.parents if not folder.exists()]
            self._path.parent.mkdir(parents=True, exist_ok=True)
            return self._is_new(self._path)

    def __exit__(self, *exc: object) -> None:
        super().__exit__(*exc)
        with suppress(OSError):  # something was written
            for folder in self._folders:
                folder.rmdir()

    def _is_new(self, path: Path) -> bool:
        try:
            descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666)
        except FileExistsError:
            return False
        try:
            os.write(descriptor, self._data)
        except OSError:
            path.unlink(missing_ok=True)
            raise
        finally:
            os.close(descriptor)
        return True

    def _is_taken_over(self, holder: Holder) -> bool:
        self._refuse_living(holder, self._path)
        claim, last = self._claim(holder), holder
        while not self._is_new(claim):
            last = self._holder(claim)  # of a run that was killed right here
            if not last:
                return False
            self._refuse_living(last, claim)
            claim = self._claim(last)
        if self._holder(self._path).get("run") != holder["run"]:  # taken over since, and maybe done and gone
            claim.unlink(missing_ok=True)
            return False
        os.replace(claim, self._path)  # noqa: PTH105 - as writers do
        for name in names_in(self._path.parent):  # claims on runs that no longer have it
            if name.startswith(f"{self._path.name}.") and name != self._claim({"run": self._id}).name:
                self._path.with_name(name).unlink(missing_ok=True)
        return True

    def _claim(self, holder: Holder) -> Path:
        """Return the file that only the one run can make that takes over from this holder."""
        return self._path.with_name(f"{self._path.name}.{holder['run']}")

    def _is_renewed(self) -> bool:
        self._lost = self._is_taken()
        if not self._lost:
            os.utime(self._path)  # needs no room on a full disk; a network disk takes its own time
        return not self._lost

    def _holder(self, path: Path) -> Holder:
        try:
            descriptor = os.open(path, os.O_RDONLY | _NO_TRICKS)
        except FileNotFoundError:
            return {}
        except OSError:
            return {"run": f"{path.lstat().st_mtime_ns:x}"}  # a link, or what nobody may read
        try:
            seen = os.fstat(descriptor)
            data = os.read(descriptor, _MOST_BYTES) if stat.S_ISREG(seen.st_mode) else b""
        finally:
            os.close(descriptor)
        holder = _parsed(data)
        return holder if _ID.fullmatch(str(holder.get("run"))) else {"run": f"{seen.st_mtime_ns:x}"}

    def _age(self, path: Path) -> float:
        probe = self._path.with_name(f"{self._path.name}.{self._id}.now")
        try:
            self._is_new(probe)
            return probe.stat().st_mtime - _renewed(path) / 1e9
        except FileNotFoundError:  # removed by a run that has just taken over
            return 0.0
        finally:
            probe.unlink(missing_ok=True)

    def _is_silent(self, path: Path) -> bool:
        before, end = _renewed(path), time.monotonic() + _WATCH_S
        while before and time.monotonic() < end:
            time.sleep(min(1.0, _WATCH_S / 10))
            if _renewed(path) != before:
                return False
        return True


_NO_TRICKS = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
# ^ a link leads elsewhere, and opening a pipe waits for a writer


def _renewed(path: Path) -> int:
    """Return when a lock was renewed, in nanoseconds; 0 where it is gone."""
    with suppress(OSError):
        os.close(os.open(path, os.O_RDONLY | _NO_TRICKS))  # NFS looks at the file anew when it is opened
    try:
        return path.lstat().st_mtime_ns
    except FileNotFoundError:
        return 0


class _BucketLock(Lock[RemotePath]):
    _look_s = 2 * _BEAT_S

    def _is_made(self) -> bool:
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

    def _is_taken_over(self, holder: Holder) -> bool:
        version = self._version()
        holder = self._holder(self._path)
        if not holder:
            return False
        self._refuse_living(holder, self._path)
        if not self._is_written_over(version):
            return False
        time.sleep(_SETTLE_S)  # where two runs take over at once, and the service lets them, the last one has it
        return not self._is_taken()

    def _is_renewed(self) -> bool:
        version = self._version()
        self._lost = self._is_taken()
        return not self._lost and self._is_written_over(version)  # else taken or removed: the next beat sees which

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

    def _holder(self, path: RemotePath) -> Holder:
        try:
            return _parsed(path.read_bytes(_MOST_BYTES)) or {"run": ""}
        except FileNotFoundError:
            return {}

    def _age(self, path: RemotePath) -> float:
        probe = path.with_name(f"{path.name}.{self._id}")
        try:
            probe.write_bytes(b"")
            return probe.stat().changed - path.stat().changed
        except FileNotFoundError:
            return _LEASE_S
        finally:
            probe.unlink()

    def _is_silent(self, path: RemotePath) -> bool:  # noqa: ARG002 - all its times are of one clock
        return True


def _parsed(data: bytes) -> Holder:
    try:
        return dict(json.loads(data))
    except (ValueError, TypeError, RecursionError):
        return {}


def _now() -> float:
    """Return the seconds of a clock that goes on while the machine sleeps."""
    return time.clock_gettime(time.CLOCK_BOOTTIME) if sys.platform == "linux" else time.time()
