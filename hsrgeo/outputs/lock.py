"""One run at a time on an output, on any disk and in a bucket: a lock file that only one run can make, with a lease.

The lock of ``NAME`` is ``NAME.lock`` beside it; it names the run that has it, and is removed when that run ends. A run
renews its lock every few seconds. A lock that was not renewed for the whole lease is one of a run that was killed, and
the next run takes it over. Times are compared by the clock of the disk or the bucket, and no run is known by its host
name or process id: two containers, or two machines on one network disk, may have the same.

On a disk there is no way to replace a file only if it is still the same. So a run that takes over first makes the file
``NAME.lock.ID``, where ID is that of the dead run: only one can.
"""

from __future__ import annotations

import os
import re
import stat
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from hsrgeo.outputs.alive import Holder
from hsrgeo.outputs.bucket import BucketLock
from hsrgeo.outputs.lease import MOST_BYTES, Lock, parsed
from hsrgeo.sources.remote import Place, RemotePath
from hsrgeo.writers.files import names_in

_WATCH_S = 40.0
"""How long to watch a lock with an expired lease before taking it: its time may come from another machine's clock."""
_ID = re.compile(r"[0-9a-f]{32}")


def locked(target: Place, shown: Place | None = None) -> Lock[Any]:
    """Return the lock of an output, which lies beside it; use it in a ``with`` statement.

    `shown` is what messages name, if it is not the target.
    """
    path, name = target.with_name(f"{target.name}.lock"), str(shown or target)
    return BucketLock(path, name) if isinstance(path, RemotePath) else _DiskLock(path, name)


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
        """Return the file that one run alone can make, the run that takes over from this holder."""
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
            data = os.read(descriptor, MOST_BYTES) if stat.S_ISREG(seen.st_mode) else b""
        finally:
            os.close(descriptor)
        holder = parsed(data)
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
