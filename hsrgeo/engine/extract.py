"""Archives -> files, several archives at a time."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath
from unicodedata import category

from hsrgeo.engine.workers.crew import count_workers
from hsrgeo.engine.workers.parallel import run_parallel
from hsrgeo.errors import ArchiveError, HsrGeoError, OutputError, OutputExistsError, SourceError, refused
from hsrgeo.formats.composite import MAX_STORED_BYTES
from hsrgeo.outputs.names import is_reserved
from hsrgeo.outputs.taken import refuse_cube
from hsrgeo.sources.archive_formats import ARCHIVE_SUFFIXES, is_archive
from hsrgeo.sources.archives import open_members
from hsrgeo.sources.listing import expand, files_below, is_folder
from hsrgeo.sources.members import Member
from hsrgeo.sources.remote import Place, RemotePath, local
from hsrgeo.writers.disk import Together

_DRIVE = 2  # "C:"


@dataclass(frozen=True, slots=True)
class Extracted:
    """What became of one archive."""

    archive: str
    files: int
    """Written, or there already with the same bytes."""
    bytes: int
    errors: tuple[HsrGeoError, ...]
    """Members that were refused, and damage; empty where all went well."""


def extract(
    archives: Sequence[str | Path], out: str | Path, *, jobs: int = -1, overwrite: bool = False
) -> Iterator[Extracted]:
    """Unpack archives in parallel, yielding each as it is done; a bad one does not stop the others.

    Absolute names, ``..``, links and devices are refused, member by member; nothing is written outside OUT, and no link
    that lies in it is followed.

    Args:
        archives: Tar archives (plain, gzip, bzip2, xz) and zip archives, folders of them, or globs. Archives inside
            archives are written as they are.
        out: Folder that the members' own folders go to.
        jobs: Archives at a time; -1 is one a core.
        overwrite: Replace files that are there and differ.

    Raises:
        OptionsError: Neither -1 nor 1 or more jobs; `out` is a cube.
        SourceError: An archive does not exist, or there is none.
    """
    workers = count_workers(jobs)
    paths = [path for source in expand(archives) for path in _archives(source)]
    if not paths:
        raise SourceError(", ".join(map(str, archives)), f"no archive there ({', '.join(ARCHIVE_SUFFIXES)})")
    unique = list({_real(path): path for path in paths}.values())
    folder = local(out, "hsrgeo extract")
    refuse_cube(folder)
    task = partial(extract_archive, out=folder, overwrite=overwrite)
    return run_parallel(task, unique, min(workers, len(unique)))


def extract_archive(path: Place, out: Path, *, overwrite: bool = False) -> Extracted:
    """Unpack one archive; what is wrong with it becomes part of the answer."""
    with Together() as together:
        unpacked = _Unpacked(together, overwrite=overwrite)
        try:
            with open_members(path) as members:
                for member in members:
                    if member.entry_type == "folder":
                        continue
                    try:
                        name = safe_name(path, member)
                    except ArchiveError as error:
                        unpacked.note(error)
                        continue
                    try:
                        _refuse_links(out, name, overwrite=overwrite)
                        unpacked.write(out / name, member)
                    except OutputError as error:  # this member's; damage to the archive ends it
                        unpacked.note(error)
        except ArchiveError as error:
            unpacked.errors.append(error)
        unpacked.take_names()
    if unpacked.more:
        message = f"{unpacked.more:,} more members are refused or could not be written"
        unpacked.errors.append(ArchiveError(str(path), message))
    return Extracted(str(path), unpacked.files, unpacked.bytes, tuple(unpacked.errors))


class _Unpacked:
    """What became of the members of an archive so far. Files take their names many at a time, when they are on disk."""

    def __init__(self, together: Together, *, overwrite: bool) -> None:
        self.files = self.bytes = self.more = 0
        self.errors: list[HsrGeoError] = []
        self._together = together
        self._overwrite = overwrite
        self._waiting: list[tuple[Path, int, float]] = []

    def note(self, error: HsrGeoError) -> None:
        """Keep an error; where there are very many they are only counted."""
        if len(self.errors) < _MOST_ERRORS:
            self.errors.append(error)
        else:
            self.more += 1

    def write(self, target: Path, member: Member) -> None:
        """Write a member, or see that it is there.

        Raises:
            OutputError: It cannot be written, or something else is there.
            ArchiveError: The archive is damaged.
        """
        if not {path for path, _size, _mtime in self._waiting}.isdisjoint(target.parents):
            self.take_names()  # a file where this one needs a folder
        try:
            there = target.exists()
        except OSError as error:  # a name that is too long
            raise refused(str(target), error) from error
        if there and not self._overwrite:
            _compare(target, member)
            self._count(member.size)
            return
        # Two archives may hold the same member, and be unpacked at the same time: neither writes over the other.
        self._together.write(target, member.read(), replace=self._overwrite)
        self._waiting.append((target, member.size, member.mtime))
        if len(self._waiting) == _TOGETHER:
            self.take_names()

    def take_names(self) -> None:
        """Give the files that were written until now their names."""
        for (target, size, mtime), refusal in zip(self._waiting, self._together.take_names(), strict=True):
            if refusal is not None:
                self.note(refusal)
                continue
            with suppress(OSError, OverflowError, ValueError):  # a time that no file can have
                os.utime(target, (mtime, mtime))
            self._count(size)
        self._waiting.clear()

    def _count(self, size: int) -> None:
        self.files += 1
        self.bytes += size


_TOGETHER = 64  # files that the disk is waited for at a time
_MOST_ERRORS = 1000  # an archive of a million links is a megabyte, and its errors would be one of memory


_IS_WINDOWS = os.name == "nt"
_UNSEEN = ("Cc", "Cf")
# ^ Unicode's categories of what moves a terminal's cursor or turns the direction of what follows, as in the next `ls`


def safe_name(archive: Place, member: Member) -> PurePosixPath:
    """Return a member's path below OUT.

    Raises:
        ArchiveError: It would leave OUT, or is no plain file.
    """
    name = member.name.replace("\\", "/")
    path = PurePosixPath(name)
    if member.entry_type != "file":
        what = "a link" if member.entry_type == "link" else "a device or other special file"
        raise ArchiveError(str(archive), f"member {member.name!r} is refused: it is {what}")
    if member.sparse and member.size > MAX_STORED_BYTES:  # a few bytes may claim a terabyte of holes
        size = f"it is sparse and would fill {member.size:,} bytes"
        raise ArchiveError(str(archive), f"member {member.name!r} is refused: {size}")
    if path.is_absolute() or name[1:_DRIVE] == ":" or "\0" in name:
        raise ArchiveError(str(archive), f"member {member.name!r} is refused: absolute name")
    if any(category(letter) in _UNSEEN for letter in name):
        raise ArchiveError(str(archive), f"member {member.name!r} is refused: control characters in its name")
    if ".." in path.parts:
        raise ArchiveError(str(archive), f"member {member.name!r} is refused: '..' in its name")
    if _IS_WINDOWS and (":" in name or any(map(is_reserved, path.parts))):
        raise ArchiveError(str(archive), f"member {member.name!r} is refused: Windows takes no such name")
    if not path.parts:
        raise ArchiveError(str(archive), f"member {member.name!r} is refused: it has no name")
    return path


def _archives(source: Place) -> list[Place]:
    if not is_archive(source) and is_folder(source):
        return [path for path in files_below(source) if is_archive(path)]
    return [source]


def _real(path: Place) -> str:
    return str(path) if isinstance(path, RemotePath) else os.path.realpath(path)


def _refuse_links(out: Path, name: PurePosixPath, *, overwrite: bool) -> None:
    """Refuse to write through a link that lies in OUT, from wherever it came; OUT itself may be one."""
    path = str(out)
    for part in name.parts[:-1] if overwrite else name.parts:
        path = f"{path}{os.sep}{part}"
        try:
            mode = os.lstat(path).st_mode
        except OSError:  # nothing is there, nor below
            return
        if stat.S_ISLNK(mode):
            raise OutputExistsError(path, "is a link, and none is followed")


def _compare(target: Path, member: Member) -> None:
    try:
        same = target.is_file() and target.stat().st_size == member.size
        if same:
            with target.open("rb") as file:
                same = all(file.read(len(chunk)) == chunk for chunk in member.read())
    except OSError as error:
        raise OutputExistsError(str(target), f"already exists and cannot be read: {error.strerror}") from error
    if not same:
        raise OutputExistsError(str(target), "already exists and differs; use --overwrite or another --out")
