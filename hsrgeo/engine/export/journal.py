"""Where the lines of a manifest are kept while a run goes on: in a file of OUT, or beside it in a bucket.

A bucket knows no appending. There the lines are gathered in a file on this machine and sent every few seconds, each
time as an object of its own, ``manifest.jsonl.000001`` and so on; at the end of the run ``manifest.jsonl`` is written
anew and these go. What a killed run had not sent yet is done again.
"""

from __future__ import annotations

import errno
import json
import os
import shutil
import socket
import sys
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, nullcontext, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from types import TracebackType
from typing import Any, Protocol, Self, cast

from hsrgeo.errors import ManifestError, WriteError, refused
from hsrgeo.sources.remote import Place, RemotePath

if sys.platform != "win32":
    import fcntl

MANIFEST = "manifest.jsonl"
_LOCK = f"{MANIFEST}.lock"
_SEND_S = 5.0
_SEND_BYTES = 1 << 20
_BEAT_S = 30.0
_LEASE_S = 120.0
# ^ a run that has a bucket's folder says so every _BEAT_S; one that has not for _LEASE_S is taken for dead
_SETTLE_S = 1.0
_BUSY = "another run is writing into it; wait for its end, or use another OUT"


class Journal(Protocol):
    """The file that a manifest reads and appends to, and its way to OUT; use it in a ``with`` statement."""

    path: Path
    """On this machine."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    def added(self, lines: bytes) -> None:
        """Take note of lines that were appended to the file."""

    def sync(self) -> None:
        """See to it that no line can be lost any more, whatever happens to this process."""

    def rewritten(self) -> None:
        """Take note that the file was written anew."""


def journal(out: Place, *, read_only: bool) -> Journal:
    """Return the journal of an output folder.

    Entering it raises an OSError where it cannot be opened, and a ManifestError where another run has it.
    """
    return _BucketJournal(out, read_only=read_only) if isinstance(out, RemotePath) else _DiskJournal(out, read_only)


def manifest_files(out: Place) -> list[Place]:
    """Return the files of a manifest that may be there, the oldest lines first.

    Raises:
        ManifestError: The bucket cannot be reached.
    """
    if not isinstance(out, RemotePath):
        return [out / MANIFEST]
    return [file for file in _files(out) if file.name == MANIFEST or _is_part(file.name)]


def has_manifest(out: Place) -> bool:
    """Tell whether a folder is the output of an export.

    Raises:
        ManifestError: The bucket cannot be reached.
    """
    if not isinstance(out, RemotePath):
        return os.path.isfile(out / MANIFEST)  # noqa: PTH113 - Path.is_file raises where a name is too long
    return bool(manifest_files(out))


def has_lines(out: Place) -> bool:
    """Tell whether there is a manifest that holds something.

    Raises:
        ManifestError: The bucket cannot be reached.
    """
    if not isinstance(out, RemotePath):
        path = out / MANIFEST
        return path.exists() and path.stat().st_size > 0
    return any(cast("RemotePath", file).stat().size for file in manifest_files(out))


def _files(out: RemotePath) -> list[RemotePath]:
    try:
        return list(out.below(deep=False))
    except OSError as error:
        raise ManifestError(str(out), f"cannot be read: {error.strerror or error}") from error


class _DiskJournal:
    """Appends are in the file at once, and outlive this process."""

    def __init__(self, out: Path, read_only: bool) -> None:  # noqa: FBT001 - of two
        self.path = out / MANIFEST
        self._read_only = read_only
        self._open = ExitStack()

    def __enter__(self) -> Self:
        if not self._read_only:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._open.enter_context(_alone(self.path.parent))
        return self

    def __exit__(self, *_exc: object) -> None:
        self._open.close()

    def added(self, lines: bytes) -> None: ...

    def sync(self) -> None: ...

    def rewritten(self) -> None: ...


class _BucketJournal:
    def __init__(self, out: RemotePath, *, read_only: bool) -> None:
        self._out = out
        self._read_only = read_only
        self._open = ExitStack()
        self._unsent: list[bytes] = []
        self._sent_at = time.monotonic()
        self._parts: list[str] = []
        self._lock: _BucketLock | None = None

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            folder = stack.enter_context(TemporaryDirectory(prefix="hsrgeo-", ignore_cleanup_errors=True))
            self.path = Path(folder, MANIFEST)
            if not self._read_only:
                self._lock = stack.enter_context(_BucketLock(self._out / _LOCK))
            files = manifest_files(self._out)
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
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            with suppress(WriteError) if kind else nullcontext():  # what ended the run matters more
                self.sync()
        finally:
            self._open.close()

    def added(self, lines: bytes) -> None:
        self._unsent.append(lines)
        late = time.monotonic() - self._sent_at > _SEND_S
        if late or sum(map(len, self._unsent)) > _SEND_BYTES:
            self.sync()

    def sync(self) -> None:
        if self._lock is not None:
            self._lock.check()
        if not self._unsent:
            return
        number = int(self._parts[-1].rpartition(".")[2]) + 1 if self._parts else 1
        while not self._is_sent(name := f"{MANIFEST}.{number:06d}", b"".join(self._unsent)):
            number += 1  # somebody has that one, or it is ours and its answer was lost: lines may stand twice
        self._parts.append(name)
        self._unsent.clear()
        self._sent_at = time.monotonic()

    def rewritten(self) -> None:
        self._unsent.clear()
        self._send(MANIFEST, self.path)
        for name in self._parts:
            with suppress(OSError):  # read again they change nothing: `manifest.jsonl` has the last word on each frame
                (self._out / name).unlink()
        self._parts.clear()

    def _is_sent(self, name: str, data: bytes) -> bool:
        try:
            (self._out / name).write_bytes(data, new=True)
        except FileExistsError:
            return False
        except OSError as error:
            if error.errno != errno.ENOTSUP:
                raise refused(str(self._out / name), error) from error
            self._send(name, data)
        return True

    def _send(self, name: str, data: bytes | Path) -> None:
        try:
            (self._out / name).write_bytes(data)
        except OSError as error:
            raise refused(str(self._out / name), error) from error


def _is_part(name: str) -> bool:
    stem, _, number = name.rpartition(".")
    return stem == MANIFEST and number.isdigit()


class _BucketLock:
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
        if not self._lost:
            with suppress(OSError):
                self._path.unlink()

    def check(self) -> None:
        """Raise a WriteError where another run has taken the folder over."""
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
        version = self._path.stat().version if self._path.is_file() else ""
        holder = self._holder()
        left = 0.0 if _is_dead(holder) else _LEASE_S - self._age()
        if left > 0:
            where = f"{holder.get('host', 'unknown')}, process {holder.get('pid', 'unknown')}"
            raise ManifestError(
                str(self._path.parent),
                f"another run ({where}) is writing into it, or was killed: wait for its end or {left:.0f} s, or use "
                "another OUT",
            )
        try:
            self._path.write_bytes(self._data, over=version)
        except OSError as error:
            if error.errno == errno.ESTALE:
                raise ManifestError(str(self._path.parent), _BUSY) from error
            if error.errno != errno.ENOTSUP:
                raise
            self._path.write_bytes(self._data)
        time.sleep(_SETTLE_S)  # where two runs take over at once, and the service lets them, the last one has it
        if self._holder() != self._me:
            raise ManifestError(str(self._path.parent), _BUSY)

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
                if self._holder().get("run", self._me["run"]) != self._me["run"]:
                    self._lost = True
                    return
                self._path.write_bytes(self._data)


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


@contextmanager
def _alone(out: Path) -> Iterator[None]:
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
