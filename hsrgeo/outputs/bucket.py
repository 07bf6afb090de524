"""The lock and the manifest of an output folder in a bucket, which knows no appending and no renaming."""

from __future__ import annotations

import errno
import shutil
import time
from contextlib import ExitStack, nullcontext, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from types import TracebackType
from typing import Self

from hsrgeo.errors import ManifestError, WriteError
from hsrgeo.outputs.alive import Holder
from hsrgeo.outputs.lease import BEAT_S, LEASE_S, MOST_BYTES, Lock, parsed
from hsrgeo.outputs.names import MANIFEST
from hsrgeo.sources.remote import RemotePath
from hsrgeo.writers.folders import write_errors

_SETTLE_S = 1.0
_SEND_S = 5.0
_SEND_BYTES = 1 << 20


class BucketLock(Lock[RemotePath]):
    """A lock that is an object of a bucket, see `hsrgeo.outputs.lock`."""

    _look_s = 2 * BEAT_S

    def _is_made(self) -> bool:
        try:
            self._path.write_bytes(self._data, new=True)
        except FileExistsError:
            return not self._is_taken()  # an answer was lost, and the request sent again
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
        if not self._path.write_if(self._data, over=version):
            return False
        time.sleep(_SETTLE_S)  # where two runs take over at once, and the service lets them, the last one has it
        return not self._is_taken()

    def _is_renewed(self) -> bool:
        version = self._version()
        self._lost = self._is_taken()
        # Where it is not written, it was taken or removed: the next beat sees which.
        return not self._lost and self._path.write_if(self._data, over=version)

    def _version(self) -> str:
        return self._path.stat().version if self._path.is_file() else ""

    def _holder(self, path: RemotePath) -> Holder:
        try:
            return parsed(path.read_bytes(MOST_BYTES)) or {"run": ""}
        except FileNotFoundError:
            return {}

    def _age(self, path: RemotePath) -> float:
        probe = path.with_name(f"{path.name}.{self._id}")
        try:
            probe.write_bytes(b"")
            return probe.stat().changed - path.stat().changed
        except FileNotFoundError:
            return LEASE_S
        finally:
            probe.unlink()

    def _is_silent(self, path: RemotePath) -> bool:  # noqa: ARG002 - all its times are of one clock
        return True


class BucketJournal:
    """The journal of an output folder in a bucket, see `hsrgeo.outputs.journal`."""

    def __init__(self, out: RemotePath, *, read_only: bool) -> None:
        self._out = out
        self._read_only = read_only
        self._open = ExitStack()
        self._unsent: list[bytes] = []
        self._sent_at = time.monotonic()
        self._parts: list[str] = []
        self._lock: Lock[RemotePath] | None = None

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            folder = stack.enter_context(TemporaryDirectory(prefix="hsrgeo-", ignore_cleanup_errors=True))
            self.path = Path(folder, MANIFEST)
            if not self._read_only:
                self._lock = stack.enter_context(BucketLock(self._out / f"{MANIFEST}.lock", str(self._out)))
            files = manifest_objects(self._out)
            self._parts = [file.name for file in files if _is_part(file.name)]
            if not files and self._read_only:
                raise FileNotFoundError(2, "no such file", str(self._out / MANIFEST))
            with self.path.open("wb") as file:
                for part in files:
                    with part.open("rb") as lines:
                        shutil.copyfileobj(lines, file, _SEND_BYTES)
            self._open = stack.pop_all()
        return self

    def __exit__(
        self, error_type: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            with suppress(WriteError) if error_type else nullcontext():  # what ended the run matters more
                self.sync()
        finally:
            self._open.close()

    def check(self) -> None:
        """See `Journal`."""
        if self._lock is not None:
            self._lock.check()

    def added(self, lines: bytes) -> None:
        """See `Journal`."""
        self._unsent.append(lines)
        late = time.monotonic() - self._sent_at > _SEND_S
        if late or sum(map(len, self._unsent)) > _SEND_BYTES:
            self.sync()

    def sync(self) -> None:
        """See `Journal`."""
        self.check()
        if not self._unsent:
            return
        number = int(self._parts[-1].rpartition(".")[2]) + 1 if self._parts else 1
        while not self._is_sent(name := f"{MANIFEST}.{number:06d}", b"".join(self._unsent)):
            number += 1  # somebody has that one, or it is ours and its answer was lost: lines may stand twice
        self._parts.append(name)
        self._unsent.clear()
        self._sent_at = time.monotonic()

    def rewritten(self) -> None:
        """See `Journal`."""
        self.check()
        self._unsent.clear()
        with write_errors(self._out / MANIFEST):
            (self._out / MANIFEST).write_bytes(self.path)
        with suppress(OSError):  # the oldest first, up to the first that stays: the last line on a frame is read last
            for name in self._parts:
                (self._out / name).unlink()
        self._parts.clear()

    def _is_sent(self, name: str, data: bytes) -> bool:
        with write_errors(self._out / name):
            return (self._out / name).write_if(data, new=True)


def manifest_objects(out: RemotePath) -> list[RemotePath]:
    """Return the objects of a manifest that may be there, the oldest lines first.

    Raises:
        ManifestError: The bucket cannot be reached.
    """
    try:
        return [file for file in out.below(deep=False) if file.name == MANIFEST or _is_part(file.name)]
    except FileNotFoundError as error:  # the bucket itself is missing: an empty folder lists nothing
        raise ManifestError(str(out), "there is no such bucket: make it first, or check its name") from error
    except OSError as error:
        raise ManifestError(str(out), f"cannot be read: {error.strerror or error}") from error


def _is_part(name: str) -> bool:
    stem, _, number = name.rpartition(".")
    return stem == MANIFEST and number.isdigit()
