"""Where the lines of a manifest are kept while a run goes on: in a file of OUT, or beside it in a bucket.

A bucket knows no appending. There the lines are gathered in a file on this machine and sent every few seconds, each
time as an object of its own, ``manifest.jsonl.000001`` and so on; at the end of the run ``manifest.jsonl`` is written
anew and these go. What a killed run had not sent yet is done again.
"""

from __future__ import annotations

import os
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

from hsrgeo.errors import ManifestError
from hsrgeo.outputs.bucket import BucketJournal, manifest_objects
from hsrgeo.outputs.lock import locked
from hsrgeo.outputs.names import MANIFEST, OPTIONS, UNFINISHED
from hsrgeo.sources.remote import Place, RemotePath
from hsrgeo.sources.texts import open_file
from hsrgeo.writers.disk import flush
from hsrgeo.writers.files import remove_parts, write_chunks


class Journal(Protocol):
    """The file that a manifest reads and appends to, and its way to OUT; use it in a ``with`` statement."""

    path: Path
    """On this machine."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, error_type: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    def check(self) -> None:
        """Raise a WriteError where another run has taken OUT over; call it before something is written."""

    def added(self, lines: bytes) -> None:
        """Record that lines were appended to the file."""

    def sync(self) -> None:
        """Make sure that no line is lost if this process dies."""

    def rewritten(self) -> None:
        """Record that the file was rewritten."""


def journal(out: Place, *, read_only: bool, sync: bool = True) -> Journal:
    """Return the journal of an output folder.

    Entering it raises an OSError where it cannot be opened, and a ManifestError where another run has it.
    """
    return (
        BucketJournal(out, read_only=read_only) if isinstance(out, RemotePath) else _DiskJournal(out, read_only, sync)
    )


def manifest_files(out: Place) -> list[Place]:
    """Return the files of a manifest that may be there, the oldest lines first.

    Raises:
        ManifestError: The bucket cannot be reached.
    """
    return list(manifest_objects(out)) if isinstance(out, RemotePath) else [out / MANIFEST]


def is_output(out: Place) -> bool:
    """Tell whether a folder is the output of an export.

    Raises:
        ManifestError: The bucket cannot be reached.
    """
    if not isinstance(out, RemotePath):
        return os.path.isfile(out / MANIFEST)  # noqa: PTH113 - Path.is_file raises where a name is too long
    return bool(manifest_objects(out))


def not_an_output(out: Place, problem: str = f"no {MANIFEST} there: is it the OUT of an export?") -> ManifestError:
    """Return the error of a folder that is not the output of an export, or is not there at all."""
    is_missing = not isinstance(out, RemotePath) and not os.path.lexists(out)
    return ManifestError(str(out), "no such folder; expected the OUT of an export" if is_missing else problem)


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
    return any(file.stat().size for file in manifest_objects(out))


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
        """Replace a manifest that has other hard links by a copy, so that a snapshot made of links stays as it is.

        Raises:
            OSError: It is no regular file.
            WriteError: The disk refused.
        """
        for name in (MANIFEST, OPTIONS, UNFINISHED):
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
