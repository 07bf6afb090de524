"""A member of an archive, in whatever format the archive is."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

EntryType = Literal["file", "folder", "link", "special"]


@dataclass(frozen=True, slots=True)
class Member:
    """One entry of an archive; it can be read only until the next one is asked for."""

    name: str
    size: int
    """Bytes, unpacked."""
    read: Callable[[], Iterator[bytes]]
    """Yield the bytes in pieces. Raises ArchiveError where the archive is damaged or cut."""
    entry_type: EntryType = "file"
    mtime: float = 0.0
    """Seconds since 1970."""
    offset: int | None = None
    """Where its bytes begin in the archive; None where they are compressed, or stored in pieces."""
    sparse: bool = False
    """Whether it may be larger than what is stored of it."""


class MemberFile(io.RawIOBase):
    """A member's bytes as a file that is read forwards.

    Args:
        member: The current one of its archive.
    """

    def __init__(self, member: Member) -> None:
        self._chunks = member.read()
        self._rest = memoryview(b"")

    def readable(self) -> bool:
        """See `io.RawIOBase`."""
        return True

    def readinto(self, buffer: object) -> int:
        """See `io.RawIOBase`."""
        target = memoryview(buffer).cast("B")  # type: ignore[arg-type]
        if not self._rest:
            self._rest = memoryview(next(self._chunks, b""))
        count = min(len(target), len(self._rest))
        target[:count] = self._rest[:count]
        self._rest = self._rest[count:]
        return count
