"""Members of tar archives, read forwards as a stream."""

from __future__ import annotations

import io
import lzma
import re
import tarfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import IO, Any, cast

from hsrgeo.errors import ArchiveError
from hsrgeo.formats.other import beginning, text_of
from hsrgeo.sources.members import EntryType, Member
from hsrgeo.sources.tarheaders import DamagedTarError, StrictMember, check_member
from hsrgeo.sources.unpacking import ISAL_ERROR, STEP

_PAGES = (b"<", b"{", b"[", b"# ")
_CHUNK = 1 << 20
_UNREADABLE: tuple[type[Exception], ...] = (
    DamagedTarError,
    tarfile.TarError,
    EOFError,
    ISAL_ERROR,
    lzma.LZMAError,
    OSError,
    ValueError,
    RecursionError,
)
# ^ what gzip and tarfile raise where an archive is cut or damaged; the last two from attributes that are no numbers
#   and from names upon names


Unpack = Callable[[IO[bytes]], Any]
"""Opens a compressed file as a stream with `read` alone, which is all that tarfile calls."""
_USTAR, _USTAR_AT = b"ustar", 257  # POSIX.1-1988, ustar header
_HEADER_BYTES = 512


def begins_as_tar(start: bytes, unpack: Unpack | None = None) -> bool:
    """Tell whether a file is a tar archive, by its first bytes."""
    if unpack is not None:
        try:
            start = unpack(io.BytesIO(start)).read(_HEADER_BYTES)
        except _UNREADABLE:
            return False
    return start[_USTAR_AT:].startswith(_USTAR)


def tar_members(path: str, file: IO[bytes], start: bytes, unpack: Unpack | None = None) -> Iterator[Member]:
    """Yield the members of a tar archive, compressed by `unpack` or not; the file is read from its beginning.

    Raises:
        ArchiveError: It is no tar archive, damaged, truncated, or followed by junk.
    """
    if not start:
        raise ArchiveError(path, "expected a tar archive, found 0 bytes")
    # A tar archive begins with a name: only what begins as a page or an answer of a server does is a text.
    said = text_of(start) if start.startswith(_PAGES) else ""
    if unpack is None and (other := said or beginning(start)):
        raise ArchiveError(path, f"expected a tar or zip archive, found {other}")
    stream = file if unpack is None else unpack(file)
    with _damage_as_error(path), _open_tar(stream) as tar:
        for entry in tar:
            check_member(tar, entry)  # attributes may have changed its size
            yield _member(entry, partial(_read, path, tar, entry), compressed=unpack is not None)
            tar.members.clear()  # type: ignore[attr-defined] # tarfile keeps every member ever seen
        _drain(path, tar)


def _open_tar(stream: IO[bytes]) -> tarfile.TarFile:
    try:  # this reads the first header
        return tarfile.open(fileobj=stream, mode="r|", bufsize=STEP, tarinfo=StrictMember, errors="surrogateescape")
    except DamagedTarError as error:
        raise DamagedTarError(f"no tar archive, or damaged from the start: {error}") from error


@contextmanager
def _damage_as_error(path: str) -> Iterator[None]:
    try:
        yield
    except _UNREADABLE as error:
        raise ArchiveError(path, _reason(error)) from error


def _read(path: str, tar: tarfile.TarFile, member: tarfile.TarInfo) -> Iterator[bytes]:
    with _damage_as_error(path):
        stream = tar.extractfile(member)
        if member.sparse is None:  # what `extractfile` reads where there are no holes, copied twice less
            stream = cast("IO[bytes]", tar.fileobj)
            stream.seek(member.offset_data)
        left = member.size
        while stream and left:
            chunk = stream.read(min(left, _CHUNK))
            if not chunk:
                raise ArchiveError(path, f"truncated inside {member.name!r}")
            left -= len(chunk)
            yield chunk


def _drain(path: str, tar: tarfile.TarFile) -> None:
    # tarfile stops at the end mark; the rest must be zeros, and reading to the end checks gzip's CRC.
    stream = tar.fileobj
    assert stream is not None  # noqa: S101 - an open TarFile has one
    while chunk := stream.read(_CHUNK):
        if chunk.strip(b"\0"):
            raise ArchiveError(path, "data follow the archive's end mark and are not read (joined archives?)")


def _reason(error: Exception) -> str:
    if isinstance(error, EOFError) or "end of" in str(error):
        return "truncated: the file ends inside the archive"
    text = _ISAL_NUMBER.sub("", str(error))
    return f"damaged: {'CRC or length check failed' if text == 'Incorrect checksum found' else text}"


_ISAL_NUMBER = re.compile(r"Error -?\d+ ")


def _member(entry: tarfile.TarInfo, read: Callable[[], Iterator[bytes]], *, compressed: bool) -> Member:
    """Return the member that a tar header describes."""
    link = entry.issym() or entry.islnk()
    entry_type: EntryType = "file" if entry.isreg() else "folder" if entry.isdir() else "link" if link else "special"
    sparse = entry.sparse is not None
    offset = None if compressed or sparse else entry.offset_data
    return Member(entry.name, entry.size, read, entry_type, entry.mtime, offset, sparse)
