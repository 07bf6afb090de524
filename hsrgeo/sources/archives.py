"""Frames in tar archives, read once as a stream and never unpacked to disk."""

from __future__ import annotations

import gzip
import re
import tarfile
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import IO, cast

from isal import isal_zlib

from hsrgeo.errors import ArchiveError, FrameNameError, TooLargeError
from hsrgeo.formats.composite import MAX_STORED_BYTES
from hsrgeo.formats.gzipped import MAGIC
from hsrgeo.formats.names import FrameName, claims_frame, parse_name, repeated
from hsrgeo.formats.other import LOOKED_AT, beginning, text_of
from hsrgeo.sources.found import Found, Tally
from hsrgeo.sources.remote import Place
from hsrgeo.sources.select import Selection
from hsrgeo.sources.tarheaders import DamagedTarError, StrictMember, check_member
from hsrgeo.sources.texts import refuse_special

_PAGES = (b"<", b"{", b"[", b"# ")
ARCHIVE_SUFFIXES = (".tar.gz", ".tgz", ".tar")
_CHUNK = 1 << 20
_STEP = 1 << 18  # what tarfile reads at a time: more goes through more memory than the processor's cache holds


_ISAL_ERROR: type[Exception] = isal_zlib.error  # type: ignore[assignment] # its stub takes it for an instance
_UNREADABLE: tuple[type[Exception], ...] = (
    DamagedTarError,
    tarfile.TarError,
    EOFError,
    _ISAL_ERROR,
    OSError,
    ValueError,
    RecursionError,
)
# ^ what gzip and tarfile raise where an archive is cut or damaged; the last two from attributes that are no numbers
#   and from names upon names


class _Unpacking:
    """A gzip stream that gives what it has: where it breaks off, what came before is not lost.

    Through ISA-L, in a third less time than the gzip module takes, which gives up what it was about to hand out.
    """

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._stream = isal_zlib.decompressobj(wbits=_GZIP)
        self._input = b""
        self._held = b""  # the file's last bytes so far: a wrong trailer would keep back what comes with it

    def read(self, size: int) -> bytes:
        """Return 1 to `size` bytes, or none at the end.

        Raises:
            EOFError, IsalError, BadGzipFile: The stream is cut or damaged, or something else follows it.
        """
        while not self._stream.eof:
            data: bytes = self._stream.decompress(self._input, size)
            self._input = self._stream.unconsumed_tail
            if data:
                return data
            if not self._input and not self._stream.eof:
                self._input = self._more()
        return self._next_stream(size)

    def _more(self) -> bytes:
        read = self._file.read(_STEP)
        ready, self._held = self._held + read, b""
        if read:
            ready, self._held = ready[:-_TRAILER], ready[-_TRAILER:]
        elif not ready:
            raise EOFError
        return ready

    def _next_stream(self, size: int) -> bytes:
        rest = self._stream.unused_data + self._held
        while not (rest := rest.lstrip(b"\0")):  # padding
            if not (rest := self._file.read(_STEP)):
                return b""
        if not rest.startswith(MAGIC[: len(rest)]):
            raise gzip.BadGzipFile(f"{len(rest):,} bytes or more follow the gzip stream")
        self._stream, self._input, self._held = isal_zlib.decompressobj(wbits=_GZIP), rest, b""
        return self.read(size)


_GZIP = 31  # wbits: gzip header and trailer, RFC 1952
_TRAILER = 8  # CRC-32 and length, RFC 1952, section 2.3.1


def is_archive(path: Place) -> bool:
    """Tell whether a name is that of a tar archive."""
    return path.name.lower().endswith(ARCHIVE_SUFFIXES)


def frames_in_archive(path: Place, selection: Selection, tally: Tally) -> Iterator[Found]:
    """Yield the wanted frames of an archive in stored order, with their bytes.

    An archive that is damaged on the way yields one last record with an `ArchiveError`: what comes after cannot be
    read. What came before was sound as far as the member itself can tell: a ``.bin.gz`` has a CRC of its own, a plain
    ``.bin`` in a ``.tar.gz`` only that at the end of the archive.

    Args:
        path: A ``.tar``, ``.tar.gz`` or ``.tgz`` file.
        selection: Which frames are wanted.
        tally: Counts everything else.
    """
    count = 0
    seen: Counter[int] = Counter()
    before = tally.read_bytes
    try:
        with open_members(path, lambda offset: _advance(tally, before + offset)) as members:
            for member, read in members:
                if not (member.isreg() and claims_frame(member.name)):
                    if not member.isdir():
                        tally.pass_over(member.name)
                    continue
                found = _found(str(path), member, read, selection)
                if isinstance(found, FrameName):
                    tally.leave_out(found)
                    continue
                seen[hash(member.name)] += 1
                if (repeat := seen[hash(member.name)]) > 1:  # tar -r appends a second member of the same name
                    found = replace(found, member=repeated(member.name, repeat))
                yield found
                count += 1
    except ArchiveError as error:
        damaged = ArchiveError(error.source, f"{error.problem} (after {count} frames)")
        yield Found(str(path), None, None, 0, error=damaged)


Members = Iterator[tuple[tarfile.TarInfo, Callable[[], Iterator[bytes]]]]


@contextmanager
def open_members(path: Place, progress: Callable[[int], None] = lambda _offset: None) -> Iterator[Members]:
    """Open an archive as a stream of members, each with a function that yields its bytes while it is current.

    Args:
        path: A tar archive, gzipped or not.
        progress: Called with the offset in the file now and then.

    Raises:
        ArchiveError: Here or while iterating: unreadable, not a tar, damaged, truncated, or followed by junk.
    """
    try:
        if isinstance(path, Path):
            refuse_special(path, pipes=False)
        with path.open("rb") as file:
            yield _members(path, file, progress)
    except OSError as error:
        raise ArchiveError(str(path), f"cannot be read: {error.strerror or error}") from error


def _members(path: Place, file: IO[bytes], progress: Callable[[int], None]) -> Members:
    start = file.read(LOOKED_AT)
    file.seek(0)
    if not start:
        raise ArchiveError(str(path), "expected a tar archive, found 0 bytes")
    is_packed = start.startswith(MAGIC)
    # A tar archive begins with a name: only what begins as a page or an answer of a server does is a text.
    said = text_of(start) if start.startswith(_PAGES) else ""
    if not is_packed and (other := said or beginning(start)):
        raise ArchiveError(str(path), f"expected a tar archive, found {other}")
    stream = cast("IO[bytes]", _Unpacking(file)) if is_packed else file  # tarfile only reads
    with _damage_told(path):
        with _open_tar(stream) as tar:
            for member in tar:
                check_member(tar, member)  # attributes may have changed its size
                yield member, lambda member=member: _read(path, tar, member)  # type: ignore[misc]
                tar.members.clear()  # type: ignore[attr-defined] # tarfile keeps every member ever seen
                progress(file.tell())
            _drain(path, tar)
        progress(file.tell())


def _open_tar(stream: IO[bytes]) -> tarfile.TarFile:
    try:  # this reads the first header
        return tarfile.open(fileobj=stream, mode="r|", bufsize=_STEP, tarinfo=StrictMember, errors="surrogateescape")
    except DamagedTarError as error:
        raise DamagedTarError(f"no tar archive, or damaged from the start: {error}") from error


@contextmanager
def _damage_told(path: Place) -> Iterator[None]:
    try:
        yield
    except _UNREADABLE as error:
        raise ArchiveError(str(path), _reason(error)) from error


def _read(path: Place, tar: tarfile.TarFile, member: tarfile.TarInfo) -> Iterator[bytes]:
    with _damage_told(path):
        stream = tar.extractfile(member)
        if member.sparse is None:  # what `extractfile` reads where there are no holes, copied twice less
            stream = cast("IO[bytes]", tar.fileobj)
            stream.seek(member.offset_data)
        left = member.size
        while stream and left:
            chunk = stream.read(min(left, _CHUNK))
            if not chunk:
                raise ArchiveError(str(path), f"truncated inside {member.name!r}")
            left -= len(chunk)
            yield chunk


def _drain(path: Place, tar: tarfile.TarFile) -> None:
    # tarfile stops at the end mark; the rest must be zeros, and reading to the end checks gzip's CRC.
    stream = tar.fileobj
    assert stream is not None  # noqa: S101 - an open TarFile has one
    while chunk := stream.read(_CHUNK):
        if chunk.strip(b"\0"):
            raise ArchiveError(str(path), "data follow the archive's end mark and are not read (joined archives?)")


def _reason(error: Exception) -> str:
    if isinstance(error, EOFError) or "end of" in str(error):
        return "truncated: the file ends inside the archive"
    text = _ISAL_NUMBER.sub("", str(error))
    return f"damaged: {'CRC or length check failed' if text == 'Incorrect checksum found' else text}"


_ISAL_NUMBER = re.compile(r"Error -?\d+ ")


def _found(
    source: str, member: tarfile.TarInfo, read: Callable[[], Iterator[bytes]], selection: Selection
) -> Found | FrameName:
    """Return the frame; of one that is not wanted, and so not read, its name alone."""
    try:
        told = parse_name(member.name)
    except FrameNameError as error:
        return Found(source, member.name, None, member.size, error=error.at(source, member.name))
    if not selection.wants(told):
        return told
    if member.size > MAX_STORED_BYTES:
        too_large = TooLargeError(
            "too large", f"at most {MAX_STORED_BYTES:,} bytes", f"{member.size:,} bytes", source, member.name
        )
        return Found(source, member.name, told, member.size, error=too_large)
    offset = member.offset_data if member.sparse is None else None
    return Found(source, member.name, told, member.size, data=b"".join(read()), offset=offset)


def _advance(tally: Tally, position: int) -> None:
    tally.read_bytes = position
