"""Members of zip archives, in stored order."""

from __future__ import annotations

import lzma
import stat
import time
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import suppress
from typing import IO

from hsrgeo.errors import ArchiveError
from hsrgeo.sources.members import EntryType, Member

_CHUNK = 1 << 20
_ENCRYPTED = 0x1
_UTF8 = 0x800
# ^ general purpose bits 0 and 11 (APPNOTE.TXT, section 4.4.4)


def zip_members(path: str, file: IO[bytes], _start: bytes) -> Iterator[Member]:
    """Yield the members of a zip archive.

    Args:
        path: What the archive is called in errors.
        file: The archive; must be able to seek.

    Raises:
        ArchiveError: It is damaged or cut. The list of members is at the end of the file, so that nothing of an
            archive that is cut can be read.
    """
    try:
        archive = zipfile.ZipFile(file)
    except (zipfile.BadZipFile, EOFError, ValueError, RuntimeError) as error:
        problem = f"damaged or cut short: the list of members at its end cannot be read ({error})"
        raise ArchiveError(path, problem) from error
    with archive:
        for entry in sorted(archive.infolist(), key=lambda entry: entry.header_offset):
            yield _member(path, archive, entry)


def _member(path: str, archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> Member:
    name, mode = _name(entry), entry.external_attr >> 16
    entry_type: EntryType = "link" if stat.S_ISLNK(mode) else "folder" if entry.is_dir() else "file"
    return Member(name, entry.file_size, lambda: _read(path, name, archive, entry), entry_type, _mtime(entry))


def _read(path: str, name: str, archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> Iterator[bytes]:
    if entry.flag_bits & _ENCRYPTED:
        raise ArchiveError(path, f"member {name!r} is encrypted: unpack it with its password first")
    left = entry.file_size
    try:
        with archive.open(entry) as stream:
            while chunk := stream.read(_CHUNK):  # no more than the list of members says, CRC-32 checked at the end
                left -= len(chunk)
                yield chunk
    except (zipfile.BadZipFile, EOFError, OSError, ValueError, RuntimeError, zlib.error, lzma.LZMAError) as error:
        raise ArchiveError(path, f"damaged in member {name!r}: {error}") from error
    if left:
        raise ArchiveError(path, f"damaged in member {name!r}: it is {left:,} bytes shorter than listed")


def _name(entry: zipfile.ZipInfo) -> str:
    """Return the name. Where the archive does not say that it is UTF-8, Korean Windows wrote CP949, not CP437."""
    if not entry.flag_bits & _UTF8 and not entry.filename.isascii():
        with suppress(UnicodeError):
            return entry.filename.encode("cp437").decode("cp949")
    return entry.filename


def _mtime(entry: zipfile.ZipInfo) -> float:
    with suppress(ValueError, OverflowError):
        return time.mktime((*entry.date_time, 0, 0, -1))
    return 0.0
