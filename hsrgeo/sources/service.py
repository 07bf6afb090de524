"""What a service elsewhere can do, and a file of it read from front to back."""

from __future__ import annotations

import errno
import io
import time
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

_READ_TRIES = 5
"""Failures without a byte of progress between them after which a stream is given up."""
_PAUSE_S = 0.2
"""After the first of them; each other pause is twice as long."""


@dataclass(frozen=True, slots=True)
class Listed:
    """What a service tells of a file without sending it."""

    key: str
    """Below the root of the service: no slash in front."""
    size: int
    version: str
    """Changes when the content does: an ETag, or a time of change; empty where the service tells none."""
    changed: float = 0.0
    """When, in seconds since 1970 by the clock of the service."""


WHOLE = 1 << 40
"""Bytes that no file has: all of it."""


class Service(Protocol):
    """One bucket, web server or machine. Every failure is an `OSError`; requests are tried again, within bounds."""

    def stat(self, key: str) -> Listed:
        """Return size and version of a file, or raise FileNotFoundError."""

    def listed(self, prefix: str, *, deep: bool) -> Iterator[Listed]:
        """Yield the files below a folder, sorted by key; only those right in it unless `deep`."""

    def read(self, key: str, size: int) -> bytes:
        """Return the first `size` bytes of a file, or all of a shorter one."""

    def stream(self, key: str, start: int, version: str) -> Iterator[bytes]:
        """Yield the bytes of a file from an offset on; an OSError if its version is another."""


class WritableService(Service, Protocol):
    """A bucket."""

    def write(self, key: str, data: bytes | Path, *, new: bool, over: str, mark: str) -> None:
        """Write a file in one step, from bytes or another file, with a mark beside its bytes unless that is empty.

        If it must be new and is there: FileExistsError; if a version of it must be there and is not: ESTALE.
        """

    def mark(self, key: str) -> str:
        """Return the mark of a file, empty where it has none."""

    def remove(self, key: str) -> None:
        """Remove a file if it is there."""

    def remove_all(self, keys: Sequence[str]) -> None:
        """Remove files that are there, many with a request where the service can."""

    def copy(self, key: str, to: str) -> None:
        """Copy a file within the service, in one step, in place of what is there."""

    def move(self, key: str, to: str) -> None:
        """Move a file: until it is whole at its new place, it is at the old one."""


class Stream(io.RawIOBase):
    """A remote file read from front to back; where the connection breaks off, the rest is asked for."""

    def __init__(self, service: Service, listed: Listed) -> None:
        self._service = service
        self._listed = listed
        self._offset = 0
        self._chunks: Iterator[bytes] | None = None
        self._chunk = memoryview(b"")

    def close(self) -> None:
        """See `io.RawIOBase`."""
        self._end()
        super().close()

    def _end(self) -> None:
        """Close the connection."""
        if isinstance(self._chunks, Generator):
            self._chunks.close()
        self._chunks = None

    def readable(self) -> bool:
        """See `io.RawIOBase`."""
        return True

    def seekable(self) -> bool:
        """See `io.RawIOBase`."""
        return True

    def tell(self) -> int:
        """See `io.RawIOBase`."""
        return self._offset

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """See `io.RawIOBase`."""
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._offset, io.SEEK_END: self._listed.size}[whence]
        if base + offset != self._offset:
            self._end()
            self._offset, self._chunk = base + offset, memoryview(b"")
        return self._offset

    def readinto(self, buffer: object) -> int:
        """See `io.RawIOBase`."""
        target = memoryview(buffer).cast("B")  # type: ignore[arg-type]
        if not self._chunk and self._offset < self._listed.size:
            self._chunk = memoryview(self._next_chunk())
        count = min(len(target), len(self._chunk))
        target[:count] = self._chunk[:count]
        self._chunk = self._chunk[count:]
        self._offset += count
        return count

    def _next_chunk(self) -> bytes:
        for tried in range(_READ_TRIES):
            try:
                if self._chunks is None:
                    self._chunks = self._service.stream(self._listed.key, self._offset, self._listed.version)
                chunk = next(self._chunks, b"")
                if chunk:
                    return chunk
                message = f"the connection ended at byte {self._offset:,} of {self._listed.size:,}"
                raise OSError(errno.EIO, message)  # noqa: TRY301 - tried again like any other
            except OSError as error:
                self._end()
                final = isinstance(error, (FileNotFoundError, PermissionError)) or error.errno == errno.ESTALE
                if final or tried == _READ_TRIES - 1:
                    raise
                time.sleep(_PAUSE_S * 2**tried)
        raise AssertionError
