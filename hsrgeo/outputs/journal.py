"""Where the lines of a manifest are kept while a run goes on: in a file of OUT, or beside it in a bucket.

A bucket knows no appending. There the lines are gathered in a file on this machine and sent every few seconds, each
time as an object of its own, ``manifest.jsonl.000001`` and so on; at the end of the run ``manifest.jsonl`` is written
anew and these go. What a killed run had not sent yet is done again.
"""

from __future__ import annotations

import errno
import os
import shutil
import time
from contextlib import ExitStack, nullcontext, suppress
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from types import TracebackType
from typing import Protocol, Self, cast

from hsrgeo.errors import ManifestError, WriteError, refused
from hsrgeo.outputs.lock import Lock, locked
from hsrgeo.outputs.names import MANIFEST, OPTIONS
from hsrgeo.sources.remote import Place, RemotePath
from hsrgeo.sources.texts import open_file
from hsrgeo.writers.disk import flush
from hsrgeo.writers.files import remove_parts, write_chunks

_SEND_S = 5.0
_SEND_BYTES = 1 << 20


class Journal(Protocol):
    """The file that a manifest reads and appends to, and its way to OUT; use it in a ``with`` statement."""

    path: Path
    """On this machine."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    def check(self) -> None:
        """Raise a WriteError where another run has taken OUT over; call it before something is written."""

    def added(self, lines: bytes) -> None:
        """Take note of lines that were appended to the file."""

    def sync(self) -> None:
        """See to it that no line can be lost any more, whatever happens to this process."""

    def rewritten(self) -> None:
        """Take note that the file was written anew."""


def journal(out: Place, *, read_only: bool, sync: bool = True) -> Journal:
    """Return the journal of an output folder.

    Entering it raises an OSError where it cannot be opened, and a ManifestError where another run has it.
    """
    return (
        _BucketJournal(out, read_only=read_only) if isinstance(out, RemotePath) else _DiskJournal(out, read_only, sync)
    )


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
        try:
            return (out / MANIFEST).stat().st_size > 0
        except FileNotFoundError:
            return False
        except OSError as error:
            raise ManifestError(str(out / MANIFEST), f"cannot be read: {error.strerror or error}") from error
    return any(cast("RemotePath", file).stat().size for file in manifest_files(out))


def _files(out: RemotePath) -> list[RemotePath]:
    try:
        return list(out.below(deep=False))
    except OSError as error:
        raise ManifestError(str(out), f"cannot be read: {error.strerror or error}") from error


class _DiskJournal:
    """Appends are in the file at once, and outlive this process; `sync` makes them outlive a power cut."""

    def __init__(self, out: Path, read_only: bool, sync: bool) -> None:  # noqa: FBT001 - of three
        self.path = out / MANIFEST
        self._lock = None if read_only else locked(self.path, out)
        self._sync = sync
        self._open = ExitStack()

    def __enter__(self) -> Self:
        if self._lock is not None:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with ExitStack() as stack:
                stack.enter_context(self._lock)
                self._make_own()
                self._open = stack.pop_all()
        return self

    def _make_own(self) -> None:
        """Put a copy in the place of a manifest that has other names: a snapshot made of links stays as it is.

        Raises:
            OSError: It is no regular file.
            WriteError: The disk refused.
        """
        for name in (MANIFEST, OPTIONS):
            remove_parts(self.path.with_name(name))
        if self.path.is_symlink() or (self.path.exists() and self.path.stat().st_nlink > 1):
            with open_file(self.path) as file:
                write_chunks(self.path, iter(partial(file.read, 1 << 20), b""), sync=self._sync)

    def __exit__(self, *_exc: object) -> None:
        self._open.close()

    def check(self) -> None:
        if self._lock is not None:
            self._lock.check()

    def added(self, lines: bytes) -> None: ...

    def sync(self) -> None:
        if self._sync and self._lock is not None:
            flush([self.path])

    def rewritten(self) -> None: ...


class _BucketJournal:
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
                self._lock = stack.enter_context(locked(self._out / MANIFEST, self._out))
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

    def check(self) -> None:
        if self._lock is not None:
            self._lock.check()

    def added(self, lines: bytes) -> None:
        self._unsent.append(lines)
        late = time.monotonic() - self._sent_at > _SEND_S
        if late or sum(map(len, self._unsent)) > _SEND_BYTES:
            self.sync()

    def sync(self) -> None:
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
        self.check()
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
