"""Files in archives, whatever packs them: tar (plain, gzip, bzip2, xz), zip, and archives inside archives."""

from __future__ import annotations

import bz2
import io
import lzma
import zlib
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from hsrgeo.formats.names import claims_frame
from hsrgeo.sources.remote import Place
from hsrgeo.sources.texts import open_file
from hsrgeo.sources.unpacking import packing_of

ARCHIVE_SUFFIXES = (".tar.gz", ".tgz", ".tar", ".tar.bz2", ".tbz2", ".tbz", ".tar.xz", ".txz", ".zip")
"""Of archives that are read."""
SEALED_SUFFIXES = (".7z", ".rar", ".alz", ".egg", ".zst", ".tzst", ".lz4", ".tar.z")
"""Of archives that are not read, and may hold frames."""
SEALED = "may contain frames, but hsrgeo does not read this kind of archive: unpack it, or repack it as .zip or .tar.gz"

_TAR_MAGIC, _TAR_MAGIC_AT = b"ustar", 257  # POSIX.1-1988, ustar header
_HEADER_BYTES = 512
_UNNAMED_SUFFIXES = ("", ".gz", ".bz2", ".xz")
# ^ of files that may be archives although their names do not say so: "RDR_HSR_202206", "RDR_HSR_202206.tar (1).gz"


@dataclass(frozen=True, slots=True)
class Member:
    """One entry of an archive; it can be read only until the next one is asked for."""

    name: str
    size: int
    """Bytes, unpacked."""
    read: Callable[[], Iterator[bytes]]
    """Yield the bytes in pieces. Raises ArchiveError where the archive is damaged or cut."""
    kind: Literal["file", "folder", "link", "special"] = "file"
    mtime: float = 0.0
    """Seconds since 1970."""
    offset: int | None = None
    """Where its bytes begin in the archive; None where they are packed there, or in pieces."""
    sparse: bool = False
    """Whether it may be larger than what is stored of it."""


def is_archive(path: Place) -> bool:
    """Tell whether a file is an archive that is read: by its name; where the name says nothing, by its first bytes."""
    if is_archive_name(path.name):
        return True
    named = path.name.lower().endswith(".bin.gz") or claims_frame(path.name)
    if not isinstance(path, Path) or named or path.suffix.lower() not in _UNNAMED_SUFFIXES:
        return False
    try:
        with open_file(path) as file:
            return _begins_as_archive(file.read(_LOOKED_AT))
    except OSError:
        return False


def is_archive_name(name: str) -> bool:
    """Tell whether a name is that of an archive that is read."""
    return name.lower().endswith(ARCHIVE_SUFFIXES)


def is_sealed_name(name: str) -> bool:
    """Tell whether a name is that of an archive that is not read."""
    return name.lower().endswith(SEALED_SUFFIXES)


def _begins_as_archive(start: bytes) -> bool:
    packing = packing_of(start)
    first = b""
    with suppress(zlib.error, OSError, EOFError, lzma.LZMAError):
        if packing == "gzip":
            first = zlib.decompressobj(wbits=31).decompress(start, _HEADER_BYTES)
        elif packing == "bzip2":
            first = bz2.BZ2Decompressor().decompress(start, _HEADER_BYTES)
        elif packing == "xz":
            first = lzma.LZMADecompressor().decompress(start, _HEADER_BYTES)
        elif not packing:
            first = start
    return packing == "zip" or first[_TAR_MAGIC_AT:].startswith(_TAR_MAGIC)


_LOOKED_AT = 1 << 16  # a block of bzip2 can be longer; then the name has to tell


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
