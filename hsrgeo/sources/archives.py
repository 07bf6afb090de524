"""Frames in archives, read once as a stream and never unpacked to disk."""

from __future__ import annotations

import io
import shutil
from collections import Counter
from collections.abc import Callable, Generator, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryFile
from typing import BinaryIO

from hsrgeo.errors import ArchiveError, FrameNameError, FrameReadError, TooLargeError
from hsrgeo.formats.composite import MAX_STORED_BYTES
from hsrgeo.formats.names import FrameName, claims_frame, parse_name, repeated
from hsrgeo.formats.other import LOOKED_AT, text_of
from hsrgeo.sources.archive_formats import format_of, is_archive_name, is_unread_archive_name
from hsrgeo.sources.found import Found, Tally
from hsrgeo.sources.members import Member, MemberFile
from hsrgeo.sources.remote import Place
from hsrgeo.sources.select import Selection
from hsrgeo.sources.texts import open_file
from hsrgeo.sources.unpacking import STEP

_CHUNK = 1 << 20


def frames_in_archive(path: Place, selection: Selection, tally: Tally) -> Iterator[Found]:
    """Yield the wanted frames of an archive in stored order, with their bytes; also those of archives inside it.

    An archive that is damaged on the way yields one last record with an `ArchiveError`: what comes after cannot be
    read. What came before was sound as far as the member itself can tell: a ``.bin.gz`` has a CRC of its own, a plain
    ``.bin`` in a ``.tar.gz`` only that at the end of the archive. Of archives inside, a damaged one does not stop the
    others; the last record names them all.
    """
    before = tally.read_bytes
    walk = _Walk(str(path), selection, tally)
    try:
        with open_members(path, lambda offset: _advance(tally, before + offset)) as members:
            yield from walk.frames(members)
    except ArchiveError as error:
        walk.problems.append(f"{error.problem} (after {walk.count} frame{'s' * (walk.count != 1)})")
    if walk.problems:
        shown, more = walk.problems[:_PROBLEMS_SHOWN], len(walk.problems) - _PROBLEMS_SHOWN
        text = "; ".join([*shown, f"{more:,} more archives inside it have problems"] if more > 0 else shown)
        yield Found(str(path), None, None, 0, error=ArchiveError(str(path), text))


_PROBLEMS_SHOWN = 20
_DEEPEST = 3
_LARGEST_COPIED = 4 << 30
# ^ archives inside archives inside an archive; and bytes of one inside another that is copied to a temporary file,
#   for its format needs a file that can seek


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
        """Yield the frames among members of an archive.

        `above` is the path of that archive in the outermost one, with a slash at its end; `depth` is 1 for the
        outermost.

        Raises:
            ArchiveError: The outermost archive is damaged.
        """
        for member in members:
            name = above + member.name
            if member.entry_type != "folder" and claims_frame(member.name):
                yield from self._frame(member, name)
            elif member.entry_type == "file" and is_archive_name(member.name):
                yield from self._inside(member, name, depth)
            elif member.entry_type == "file" and is_unread_archive_name(member.name):
                self.problems.append(
                    f"{name!r} may contain frames, but hsrgeo does not read such archives: unpack it first"
                )
            elif member.entry_type != "folder":
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
            frames = self.count - before
            self.problems.append(f"{name!r}: {error.problem} (after {frames} frame{'s' * (frames != 1)})")


def _members_inside(inside: str, member: Member) -> Generator[Member]:
    file = io.BufferedReader(MemberFile(member), STEP)
    start = file.peek(LOOKED_AT)[:LOOKED_AT]
    archive = format_of(start)
    if not archive.seeks:
        for one in archive.members(inside, file, start):
            yield replace(one, offset=None)
        return
    if member.size > _LARGEST_COPIED:
        name = archive.suffixes[0].removeprefix(".")
        problem = f"a {name} of {member.size:,} bytes inside another archive is not read: unpack it first"
        raise ArchiveError(inside, problem)
    with TemporaryFile(prefix="hsrgeo-") as copy:
        shutil.copyfileobj(file, copy, _CHUNK)
        yield from archive.members(inside, copy, start)


@contextmanager
def open_members(path: Place, progress: Callable[[int], None] = lambda _offset: None) -> Iterator[Iterator[Member]]:
    """Open an archive as a stream of members; its first bytes tell its format.

    `progress` is called with the offset in the file now and then.

    Raises:
        ArchiveError: Here or while iterating: unreadable, no archive, damaged, truncated, or followed by junk.
    """
    try:
        with _opened(path) as file:
            start = file.read(LOOKED_AT)
            file.seek(0)
            if isinstance(path, Path) and path.is_symlink() and text_of(start):
                # Who put a link into a folder must not learn what it leads to.
                raise ArchiveError(str(path), "expected a tar or zip archive, found a link to a text")
            members = format_of(start).members(str(path), file, start)
            yield _with_progress(members, lambda: progress(file.tell()))
    except OSError as error:
        raise ArchiveError(str(path), f"cannot be read: {error.strerror or error}") from error


@contextmanager
def _opened(path: Place) -> Iterator[BinaryIO]:
    file = open_file(path) if isinstance(path, Path) else path.open("rb")
    try:
        yield file
    finally:
        with suppress(OSError):  # that it cannot be closed says nothing against what was read
            file.close()


def _with_progress(members: Iterator[Member], progress: Callable[[], None]) -> Iterator[Member]:
    for member in members:
        yield member
        progress()
    progress()


def _found(source: str, member: Member, name: str, selection: Selection) -> Found | FrameName:
    """Return the frame; of one that is not wanted, and so not read, its name alone."""
    try:
        frame_name = parse_name(name)
    except FrameNameError as error:
        return Found(source, name, None, member.size, error=error.at(source, name))
    if not selection.wants(frame_name):
        return frame_name
    if member.entry_type != "file":
        entry = "a link, which is not followed" if member.entry_type == "link" else "a device or pipe"
        no_file = FrameReadError("cannot be read", "a file", entry, source, name)
        return Found(source, name, frame_name, 0, error=no_file)
    if member.size > MAX_STORED_BYTES:
        limit = f"at most {MAX_STORED_BYTES:,} bytes"
        too_large = TooLargeError("too large", limit, f"{member.size:,} bytes", source, name)
        return Found(source, name, frame_name, member.size, error=too_large)
    return Found(source, name, frame_name, member.size, data=b"".join(member.read()), offset=member.offset)


def _advance(tally: Tally, position: int) -> None:
    tally.read_bytes = position
