"""Everything that can go wrong, as one tree.

::

    HsrGeoError
    ├── OptionsError              what was asked for cannot be done
    ├── MissingExtraError         a library of an optional extra is not installed
    ├── ClusterError              a Dask cluster cannot be reached, or cannot do the work
    ├── HubError                  KMA's API hub gives no sound answer
    │   └── HubLimitError             a limit of calls, bytes or speed is reached
    ├── SourceError               a source cannot be found or read
    │   └── ArchiveError          a tar archive is damaged or unsafe
    ├── FrameError                one frame cannot be used (expected, found, where)
    │   ├── FrameNameError        its name is malformed, or contradicts its header
    │   ├── FrameReadError        its bytes cannot be unpacked
    │   │   ├── EmptyFileError        zero bytes
    │   │   ├── ServiceMessageError   a text instead of a file, such as the download service's
    │   │   ├── NotGzipError          no gzip magic
    │   │   ├── DeflateStreamError    the compressed data are damaged
    │   │   ├── ChecksumError         CRC-32 or length in the gzip trailer disagree
    │   │   ├── TruncatedError        the file ends early
    │   │   ├── TrailingDataError     something follows the gzip stream
    │   │   └── TooLargeError         it unpacks to more than a frame may
    │   └── FrameFormatError      its unpacked bytes are not a frame
    │       ├── HeaderError           a header field is impossible
    │       │   └── TimeFieldError        a time in the header is impossible
    │       ├── OldHeaderError        the 24-byte header of before 2014
    │       ├── LengthError           the length does not fit the header
    │       └── UnknownGridError      a map or size that no known grid has
    ├── GridError                 geometry
    │   ├── WindowError               a window or box that does not fit its grid
    │   └── ProjectionError           a CRS or a coordinate that cannot be projected
    └── OutputError               a file cannot be written, or not read back
        ├── OutputExistsError         something else is there already
        ├── ManifestError             the manifest is damaged or belongs to other options
        │   └── LockError                 another run has the output, or it cannot be locked
        ├── WriteError                the disk or GDAL refused
        │   └── NoRoomError               the disk is full, or a quota used up
        └── ReadbackError             GDAL cannot read what was written

Every class is built from positional arguments that all reach ``super().__init__``: an exception that
cannot be unpickled would kill the whole pool of workers.

Said once, here, for what is not public: whatever refuses something raises `OptionsError` unless it names another class;
whatever writes raises `WriteError` where the disk or GDAL refuses, and whatever reads a file back `ReadbackError`;
whatever needs a library of an extra raises `MissingExtraError`.
"""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Self, TypeVar


class HsrGeoError(Exception):
    """Any problem hsrgeo knows about; anything else that escapes is a bug."""


_Error = TypeVar("_Error", bound=HsrGeoError)


class OptionsError(HsrGeoError):
    """What was asked for cannot be done."""


class MissingExtraError(HsrGeoError):
    """A library of an optional extra is not installed.

    Args:
        what: The library, as people call it.
        extra: The extra of hsrgeo that brings it.
    """

    def __init__(self, what: str, extra: str = "render") -> None:
        super().__init__(what, extra)
        self.what = what
        self.extra = extra

    def __str__(self) -> str:
        return f"needs {self.what}: pip install 'hsrgeo[{self.extra}]'"


@contextmanager
def needs(what: str, extra: str) -> Iterator[None]:
    """Import libraries of an optional extra within the ``with`` statement; see `MissingExtraError`."""
    try:
        yield
    except ImportError as error:
        raise MissingExtraError(what, extra) from error


class ClusterError(HsrGeoError):
    """A Dask cluster cannot be reached, or cannot do the work."""


class HubError(HsrGeoError):
    """KMA's API hub cannot be reached, or gives no sound answer."""


class HubLimitError(HubError):
    """A limit of calls, bytes or speed is reached: of KMA's API hub, or of what this machine may ask it."""


class SourceError(HsrGeoError):
    """A source cannot be found or read."""

    def __init__(self, source: str, problem: str) -> None:
        super().__init__(source, problem)
        self.source = source
        self.problem = problem

    def __str__(self) -> str:
        return f"{self.source}: {self.problem}"


class ArchiveError(SourceError):
    """A tar archive is damaged or unsafe."""


def label_of(source: str, member: str | None) -> str:
    """Return what people call a file, or a member of an archive."""
    return source if member is None else f"{source} [{member}]"


class FrameError(HsrGeoError):
    """One frame cannot be used.

    Args:
        problem: What is wrong, in a few words.
        expected: What a good frame has there.
        found: What this one has.
        source: File or archive it came from; empty until known.
        member: Name inside the archive, or None for a plain file.
    """

    def __init__(self, problem: str, expected: str, found: str, source: str = "", member: str | None = None) -> None:
        super().__init__(problem, expected, found, source, member)
        self.problem = problem
        self.expected = expected
        self.found = found
        self.source = source
        self.member = member

    def at(self, source: str, member: str | None) -> Self:
        """Return the same error with its place filled in."""
        return type(self)(self.problem, self.expected, self.found, source, member)

    @property
    def detail(self) -> str:
        """The message without the place."""
        return f"{self.problem}: expected {self.expected}, found {self.found}"

    def __str__(self) -> str:
        place = label_of(self.source, self.member)
        return f"{place}: {self.detail}" if place else self.detail


class FrameNameError(FrameError):
    """A frame's name is malformed, or contradicts its header."""


class FrameReadError(FrameError):
    """A frame's bytes cannot be unpacked."""


class EmptyFileError(FrameReadError):
    """The file has zero bytes."""


class ServiceMessageError(FrameReadError):
    """The file holds a text, such as the download service's or a web page, not a frame."""


class NotGzipError(FrameReadError):
    """The file does not start with the gzip magic."""


class DeflateStreamError(FrameReadError):
    """The compressed data are damaged."""


class ChecksumError(FrameReadError):
    """The unpacked bytes disagree with the CRC-32 or the length in the gzip trailer."""


class TruncatedError(FrameReadError):
    """The file ends before its data do."""


class TrailingDataError(FrameReadError):
    """Something follows the gzip stream."""


class TooLargeError(FrameReadError):
    """The file unpacks to more than a frame may."""


class FrameFormatError(FrameError):
    """The unpacked bytes are not a frame."""


class HeaderError(FrameFormatError):
    """A header field is impossible."""


class TimeFieldError(HeaderError):
    """A time in the header is impossible."""


class OldHeaderError(FrameFormatError):
    """The frame has the older 24-byte header, which hsrgeo does not read."""


class LengthError(FrameFormatError):
    """The length of the unpacked bytes does not fit the header."""


class UnknownGridError(FrameFormatError):
    """The header names a map or a size that no known grid has."""


class GridError(HsrGeoError):
    """Geometry that cannot be."""


class WindowError(GridError):
    """A window or box does not fit its grid."""


class ProjectionError(GridError):
    """A CRS or a coordinate cannot be projected."""


class OutputError(HsrGeoError):
    """An output cannot be written, or not read back."""

    def __init__(self, path: str, problem: str) -> None:
        super().__init__(path, problem)
        self.path = path
        self.problem = problem

    def __str__(self) -> str:
        return f"{self.path}: {self.problem}"


class OutputExistsError(OutputError):
    """Something that this run did not write is in the way."""


class ManifestError(OutputError):
    """The manifest is damaged, or belongs to a run with other options."""


class LockError(ManifestError):
    """Another run is writing to the output, or it cannot be locked against other runs."""


class WriteError(OutputError):
    """The disk or GDAL refused to write."""


class NoRoomError(WriteError):
    """The disk is full, a quota is used up, or a file is larger than it may be."""


NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


def refused(path: str, error: OSError, doing: str = "written") -> WriteError:
    """Return what to raise where the system refuses to write."""
    error_class = NoRoomError if error.errno in NO_ROOM else WriteError
    reason = in_the_way(path) if error.errno == errno.ENOTDIR else ""
    return error_class(path, f"cannot be {doing}: {reason or error.strerror or error}")


def in_the_way(path: str) -> str:
    """Tell which file stands where a path needs a folder; empty where none does any more."""
    for folder in reversed(Path(path).parents):
        if folder.exists() and not folder.is_dir():
            return f"{folder} is a file, and must be a folder"
    return ""


def as_value(error: _Error) -> _Error:
    """Return an error that is to be kept, without where it was raised: a traceback keeps a frame's bytes alive."""
    error.__traceback__ = error.__cause__ = error.__context__ = None
    return error


class ReadbackError(OutputError):
    """GDAL cannot read what was written."""


def printable(text: str) -> str:
    r"""Return a text in one line without control characters: ``\n`` for a line feed, ``\x1b`` for an escape.

    Nothing that is left moves a terminal's cursor, turns the direction of what follows, or begins a line of a log.
    """
    if text.isprintable():
        return text
    return "".join(letter if letter.isprintable() else letter.encode("unicode_escape").decode() for letter in text)


class HsrGeoWarning(UserWarning):
    """Something legal that a user should know. It may quote the name of a file: nothing of it moves a cursor."""

    def __str__(self) -> str:
        return printable(super().__str__())


class ClippedWarning(HsrGeoWarning):
    """A box reached outside the grid and was cut at its edge."""
