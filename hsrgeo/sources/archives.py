"""Frames in archives, read once as a stream and never unpacked to disk."""

from __future__ import annotations

import gzip
import io
import lzma
import re
import shutil
import tarfile
from collections import Counter
from collections.abc import Callable, Generator, Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, cast

from isal import isal_zlib

from hsrgeo.errors import ArchiveError, FrameNameError, TooLargeError
from hsrgeo.formats.composite import MAX_STORED_BYTES
from hsrgeo.formats.gzipped import MAGIC
from hsrgeo.formats.names import FrameName, claims_frame, parse_name, repeated
from hsrgeo.formats.other import LOOKED_AT, beginning, text_of
from hsrgeo.sources.found import Found, Tally
from hsrgeo.sources.members import (
    Member,
    MemberFile,
    Unpacked,
    is_archive_name,
    is_sealed_name,
    packing_of,
    tar_member,
)
from hsrgeo.sources.remote import Place
from hsrgeo.sources.select import Selection
from hsrgeo.sources.tarheaders import DamagedTarError, StrictMember, check_member
from hsrgeo.sources.texts import refuse_special
from hsrgeo.sources.zips import zip_members

_PAGES = (b"<", b"{", b"[", b"# ")
_CHUNK = 1 << 20
_STEP = 1 << 18  # what tarfile reads at a time: more goes through more memory than the processor's cache holds


_ISAL_ERROR: type[Exception] = isal_zlib.error  # type: ignore[assignment] # its stub takes it for an instance
_UNREADABLE: tuple[type[Exception], ...] = (
    DamagedTarError,
    tarfile.TarError,
    EOFError,
    _ISAL_ERROR,
    lzma.LZMAError,
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


def frames_in_archive(path: Place, selection: Selection, tally: Tally) -> Iterator[Found]:
    """Yield the wanted frames of an archive in stored order, with their bytes; also those of archives inside it.

    An archive that is damaged on the way yields one last record with an `ArchiveError`: what comes after cannot be
    read. What came before was sound as far as the member itself can tell: a ``.bin.gz`` has a CRC of its own, a plain
    ``.bin`` in a ``.tar.gz`` only that at the end of the archive. Of archives inside, a damaged one does not stop the
    others; the last record names them all.

    Args:
        path: A tar archive (plain, gzip, bzip2 or xz), or a zip archive.
        selection: Which frames are wanted.
        tally: Counts everything else.
    """
    before = tally.read_bytes
    walk = _Walk(str(path), selection, tally)
    try:
        with open_members(path, lambda offset: _advance(tally, before + offset)) as members:
            yield from walk.frames(members)
    except ArchiveError as error:
        walk.problems.append(f"{error.problem} (after {walk.count} frames)")
    if walk.problems:
        shown, more = walk.problems[:_PROBLEMS_SHOWN], len(walk.problems) - _PROBLEMS_SHOWN
        text = "; ".join([*shown, f"{more:,} more archives inside it have problems"] if more > 0 else shown)
        yield Found(str(path), None, None, 0, error=ArchiveError(str(path), text))


_PROBLEMS_SHOWN = 20
_DEEPEST = 3
_LARGEST_ZIP_INSIDE = 4 << 30
# ^ archives inside archives inside an archive; and bytes of a zip inside another archive, which is copied to a
#   temporary file to be read


class _Walk:
    """The members of one archive and of those inside it.

    Args:
        source: What the archive is called.
        selection: Which frames are wanted.
        tally: Counts everything else.
    """

    def __init__(self, source: str, selection: Selection, tally: Tally) -> None:
        self._source, self._selection, self._tally = source, selection, tally
        self._seen: Counter[int] = Counter()
        self.count = 0
        """Frames so far."""
        self.problems: list[str] = []
        """What is wrong with archives inside."""

    def frames(self, members: Iterator[Member], above: str = "", depth: int = 1) -> Iterator[Found]:
        """Yield the frames among members.

        Args:
            members: Of one archive.
            above: Path of that archive in the outermost one, with a slash at its end.
            depth: 1 for the outermost.

        Raises:
            ArchiveError: The outermost archive is damaged.
        """
        for member in members:
            name = above + member.name
            if member.kind == "file" and claims_frame(member.name):
                yield from self._frame(member, name)
            elif member.kind == "file" and is_archive_name(member.name):
                yield from self._inside(member, name, depth)
            elif member.kind == "file" and is_sealed_name(member.name):
                self.problems.append(
                    f"{name!r} may hold frames, and hsrgeo does not read such archives: unpack it first"
                )
            elif member.kind != "folder":
                self._tally.pass_over(name)

    def _frame(self, member: Member, name: str) -> Iterator[Found]:
        found = _found(self._source, member, name, self._selection)
        if isinstance(found, FrameName):
            self._tally.leave_out(found)
            return
        self._seen[hash(name)] += 1
        if (repeat := self._seen[hash(name)]) > 1:  # tar -r appends a second member of the same name
            found = replace(found, member=repeated(name, repeat))
        yield found
        self.count += 1

    def _inside(self, member: Member, name: str, depth: int) -> Iterator[Found]:
        inside = f"{self._source} [{name}]"
        if depth == _DEEPEST:
            self.problems.append(f"{name!r} is an archive {_DEEPEST} archives deep, and is not read: unpack it first")
            return
        before = self.count
        try:
            with closing(_members_inside(inside, member)) as members:
                yield from self.frames(members, f"{name}/", depth + 1)
        except ArchiveError as error:
            if error.source != inside:
                raise  # the outer archive is damaged
            self.problems.append(f"{name!r}: {error.problem} (after {self.count - before} frames)")


def _members_inside(inside: str, member: Member) -> Generator[Member]:
    file = io.BufferedReader(MemberFile(member), _STEP)
    start = file.peek(LOOKED_AT)[:LOOKED_AT]
    if packing_of(start) != "zip":
        for one in _tar_members(inside, file, start, lambda: None):
            yield replace(one, offset=None)
        return
    if member.size > _LARGEST_ZIP_INSIDE:
        problem = f"a zip of {member.size:,} bytes inside another archive is not read: unpack it first"
        raise ArchiveError(inside, problem)
    with TemporaryFile(prefix="hsrgeo-") as spool:
        shutil.copyfileobj(file, spool, _CHUNK)
        yield from zip_members(inside, spool)


@contextmanager
def open_members(path: Place, progress: Callable[[int], None] = lambda _offset: None) -> Iterator[Iterator[Member]]:
    """Open an archive as a stream of members.

    Args:
        path: A tar archive (plain, gzip, bzip2 or xz), or a zip archive; its first bytes tell which.
        progress: Called with the offset in the file now and then.

    Raises:
        ArchiveError: Here or while iterating: unreadable, no archive, damaged, truncated, or followed by junk.
    """
    try:
        if isinstance(path, Path):
            refuse_special(path, pipes=False)
        with path.open("rb") as file:
            start = file.read(LOOKED_AT)
            file.seek(0)
            if packing_of(start) == "zip":
                yield _with_progress(zip_members(str(path), file), lambda: progress(file.tell()))
            else:
                yield _tar_members(str(path), file, start, lambda: progress(file.tell()))
    except OSError as error:
        raise ArchiveError(str(path), f"cannot be read: {error.strerror or error}") from error


def _with_progress(members: Iterator[Member], progress: Callable[[], None]) -> Iterator[Member]:
    for member in members:
        yield member
        progress()


def _tar_members(path: str, file: IO[bytes], start: bytes, progress: Callable[[], None]) -> Iterator[Member]:
    if not start:
        raise ArchiveError(path, "expected a tar archive, found 0 bytes")
    packing = packing_of(start)
    # A tar archive begins with a name: only what begins as a page or an answer of a server does is a text.
    said = text_of(start) if start.startswith(_PAGES) else ""
    if not packing and (other := said or beginning(start)):
        raise ArchiveError(path, f"expected a tar or zip archive, found {other}")
    stream = file
    if packing == "gzip":
        stream = cast("IO[bytes]", _Unpacking(file))  # tarfile only reads
    elif packing in ("bzip2", "xz"):
        stream = cast("IO[bytes]", Unpacked(file, packing))
    with _damage_told(path):
        with _open_tar(stream) as tar:
            for entry in tar:
                check_member(tar, entry)  # attributes may have changed its size
                yield tar_member(entry, partial(_read, path, tar, entry), packed=bool(packing))
                tar.members.clear()  # type: ignore[attr-defined] # tarfile keeps every member ever seen
                progress()
            _drain(path, tar)
        progress()


def _open_tar(stream: IO[bytes]) -> tarfile.TarFile:
    try:  # this reads the first header
        return tarfile.open(fileobj=stream, mode="r|", bufsize=_STEP, tarinfo=StrictMember, errors="surrogateescape")
    except DamagedTarError as error:
        raise DamagedTarError(f"no tar archive, or damaged from the start: {error}") from error


@contextmanager
def _damage_told(path: str) -> Iterator[None]:
    try:
        yield
    except _UNREADABLE as error:
        raise ArchiveError(path, _reason(error)) from error


def _read(path: str, tar: tarfile.TarFile, member: tarfile.TarInfo) -> Iterator[bytes]:
    with _damage_told(path):
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


def _found(source: str, member: Member, name: str, selection: Selection) -> Found | FrameName:
    """Return the frame; of one that is not wanted, and so not read, its name alone."""
    try:
        told = parse_name(name)
    except FrameNameError as error:
        return Found(source, name, None, member.size, error=error.at(source, name))
    if not selection.wants(told):
        return told
    if member.size > MAX_STORED_BYTES:
        limit = f"at most {MAX_STORED_BYTES:,} bytes"
        too_large = TooLargeError("too large", limit, f"{member.size:,} bytes", source, name)
        return Found(source, name, told, member.size, error=too_large)
    return Found(source, name, told, member.size, data=b"".join(member.read()), offset=member.offset)


def _advance(tally: Tally, position: int) -> None:
    tally.read_bytes = position
