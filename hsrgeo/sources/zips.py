"""Members of zip archives, in stored order."""

from __future__ import annotations

import stat
import time
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import suppress
from typing import IO, cast

from hsrgeo.errors import ArchiveError
from hsrgeo.sources.members import EntryType, Member

_CHUNK = 1 << 20
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
# ^ `zipfile` unpacks the others as far as a few bytes of them go at once: a kilobyte of bzip2 may be a gigabyte
_REFUSED = {zipfile.ZIP_BZIP2: "bzip2", zipfile.ZIP_LZMA: "LZMA", 93: "Zstandard"}  # APPNOTE.TXT, section 4.4.5
_LONGEST_LIST = 32 << 20
# ^ bytes of the list of members, which `zipfile` holds in ten times the memory; frames of four years take that many
_ENCRYPTED = 0x1
_UTF8 = 0x800
# ^ general purpose bits 0 and 11 (APPNOTE.TXT, section 4.4.4)


def zip_members(path: str, file: IO[bytes], _start: bytes) -> Iterator[Member]:
    """Yield the members of a zip archive; the file must be able to seek.

    Raises:
        ArchiveError: It is damaged or cut. The list of members is at the end of the file, so that nothing of an
            archive that is cut can be read.
    """
    try:
        archive = zipfile.ZipFile(cast("IO[bytes]", _Careful(file)))
    except (zipfile.BadZipFile, EOFError, ValueError, RuntimeError) as error:
        problem = f"damaged or cut short: the list of members at its end cannot be read ({error})"
        raise ArchiveError(path, problem) from error
    with archive:
        for entry in sorted(archive.infolist(), key=lambda entry: entry.header_offset):
            yield _member(path, archive, entry)


class _Careful:
    """A file that `zipfile` reads from: it reads the list of members at once, however long a stranger made it."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file

    def __getattr__(self, name: str) -> object:
        return getattr(self._file, name)

    def read(self, size: int = -1) -> bytes:
        """Return as many bytes.

        Raises:
            BadZipFile: They are more than a list of members may have.
        """
        if size > _LONGEST_LIST:
            raise zipfile.BadZipFile(f"it has {size:,} bytes, more than {_LONGEST_LIST:,}")
        return self._file.read(size)


def _member(path: str, archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> Member:
    name, mode = _name(entry), entry.external_attr >> 16
    entry_type: EntryType = "link" if stat.S_ISLNK(mode) else "folder" if entry.is_dir() else "file"
    return Member(name, entry.file_size, lambda: _read(path, name, archive, entry), entry_type, _mtime(entry))


def _read(path: str, name: str, archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> Iterator[bytes]:
    if entry.flag_bits & _ENCRYPTED:
        raise ArchiveError(path, f"member {name!r} is encrypted: unpack it with its password first")
    if entry.compress_type not in _METHODS:
        method = _REFUSED.get(entry.compress_type, f"method {entry.compress_type}")
        problem = f"is compressed with {method}: repack the archive as .tar.gz, or as .zip with deflate"
        raise ArchiveError(path, f"member {name!r} {problem}")
    left = entry.file_size
    try:
        with archive.open(entry) as stream:
            while chunk := stream.read(_CHUNK):  # no more than the list of members says, CRC-32 checked at the end
                left -= len(chunk)
                yield chunk
    except (zipfile.BadZipFile, EOFError, OSError, ValueError, RuntimeError, zlib.error) as error:
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
