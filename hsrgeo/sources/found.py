"""What a source holds: one record a frame, and a tally of everything else."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from pathlib import Path

from hsrgeo.errors import FrameError, HsrGeoError, SourceError, TooLargeError, label_of
from hsrgeo.formats.composite import MAX_STORED_BYTES
from hsrgeo.formats.gzipped import MAGIC, peek
from hsrgeo.formats.header import VERSION_BYTE
from hsrgeo.formats.names import FrameName, basename
from hsrgeo.sources.remote import Place, RemotePath, place
from hsrgeo.sources.skipped import ZARR_ROOTS
from hsrgeo.sources.texts import open_file


@dataclass(frozen=True, slots=True)
class Extent:
    """Bytes of a file that several machines see."""

    path: str
    """Absolute."""
    offset: int = 0
    size: int | None = None
    """None up to the end of the file."""

    def read(self, source: str) -> bytes:
        """Return the bytes.

        Raises:
            SourceError: It cannot be read, or is shorter than it was.
            TooLargeError: It is larger than a frame can be.
        """
        if self.size is None:
            try:
                return read_file(Path(self.path))
            except SourceError as error:
                raise SourceError(source, error.problem) from error
            except TooLargeError as error:
                raise error.at(source, None) from error
        try:
            with open_file(self.path) as file:
                file.seek(self.offset)
                data = file.read(self.size)
        except OSError as error:
            raise SourceError(source, f"cannot be read: {error.strerror or error}") from error
        if len(data) != self.size:
            raise SourceError(source, f"ends at {self.offset + len(data):,} bytes: it was longer when it was listed")
        return data


@dataclass(frozen=True, slots=True)
class Found:
    """A frame, or something that should have been one."""

    source: str
    """Path or URL of the file, or of the archive that holds it."""
    member: str | None
    """Name inside the archive, or None for a plain file; a second member of the same name ends in #2."""
    frame_name: FrameName | None
    """Product, kind and time, known before the frame is unpacked; None where even these are unknown."""
    size: int
    """Bytes as stored."""
    data: bytes | None = field(default=None, repr=False)
    """The stored bytes, for archive members; a plain file is read by whoever needs it."""
    error: HsrGeoError | None = None
    """Why it cannot be used, where that is known without unpacking it."""
    version: str = ""
    """Version of a remote file (ETag of a bucket)."""
    offset: int | None = None
    """Where a member's bytes begin in its archive, unpacked; None where they are in pieces."""
    extent: Extent | None = None
    """Where the stored bytes are for a worker elsewhere (`hsrgeo.sources.several.as_reference`)."""

    @property
    def label(self) -> str:
        """Source and member, for people."""
        return label_of(self.source, self.member)

    def read(self) -> bytes:
        """Return the stored bytes.

        Raises:
            SourceError: The file cannot be read.
            TooLargeError: The file is larger than a frame can be.
        """
        if self.data is None and self.extent is not None:
            return self.extent.read(self.source)
        return self.data if self.data is not None else read_file(place(self.source))


@dataclass
class Tally:
    """What went by while sources were read."""

    measure: Callable[[], int] = field(default=int, repr=False, compare=False)
    """Returns the size of every source."""
    read_bytes: int = 0
    """How far the reading has come."""
    unselected: int = 0
    """Frames that the selection did not want."""
    spans: dict[str, tuple[datetime, datetime]] = field(default_factory=dict)
    """First and last time of these, by product; of a few products only."""
    passed_over: Counter[str] = field(default_factory=Counter)
    """Things that are no frames, counted by what they are."""
    other_kinds: Counter[tuple[str, str]] = field(default_factory=Counter)
    """Frames that were left out for one of another kind, by their kind and the preferred one."""
    twins: dict[tuple[str, datetime], list[tuple[tuple[str, str], tuple[str | RemotePath, bool]]]] = field(
        default_factory=dict
    )
    """These by product and time: the two kinds, and the file as the listing has it."""
    broken: set[tuple[str, datetime]] = field(default_factory=set)
    """Product and time of frames that were preferred to these, and cannot be used."""
    lookalikes: list[str] = field(default_factory=list)
    """A few .bin and .bin.gz files that were passed over for their names."""

    @cached_property
    def total_bytes(self) -> int:
        """Size of every source, for progress; hundreds of thousands of files take a while, so only who asks waits."""
        return self.measure()

    def give_up(self, frame_name: FrameName | None, error: Exception | None) -> None:
        """Note that a frame cannot be used, which may have been preferred to one of another kind."""
        if frame_name is None or not isinstance(error, (FrameError, SourceError)):
            return
        key = frame_name.product, frame_name.time
        if key in self.twins:
            self.broken.add(key)

    def leave_out(self, frame_name: FrameName) -> None:
        """Count a frame that is not wanted."""
        self.unselected += 1
        self.widen({frame_name.product: (frame_name.time, frame_name.time)})

    def widen(self, spans: Mapping[str, tuple[datetime, datetime]]) -> None:
        """Take in more of `spans`."""
        for product, (first, last) in spans.items():
            if product in self.spans or len(self.spans) < _KINDS:
                known = self.spans.get(product, (first, last))
                self.spans[product] = min(first, known[0]), max(last, known[1])

    def notes(self) -> list[str]:
        """Return what a user should know of the frames that were left out for another kind."""
        return [
            f"frames left out: {count:,} of {kind}, for {better} of the same time is preferred; choose with --kind"
            for (kind, better), count in sorted(self.other_kinds.items())
            if count
        ]

    def pass_over(self, name: str) -> None:
        """Count something that is no frame."""
        own_name = basename(name)
        self.passed_over[self._kind(own_name)] += 1
        if own_name.lower().endswith((".bin", ".bin.gz")) and len(self.lookalikes) < _LOOKALIKES:
            self.lookalikes.append(own_name)

    def take_back(self, name: str) -> None:
        """Take something off the count of what was passed over: it has a use after all."""
        kind = self._kind(basename(name))
        self.passed_over[kind] -= 1
        self.passed_over = +self.passed_over

    def _kind(self, own_name: str) -> str:
        if own_name in ZARR_ROOTS:
            return own_name
        suffixes = Path(own_name).suffixes
        suffix = "".join(suffixes[-2 if suffixes[-1] == ".gz" else -1 :]) if suffixes else "no suffix"
        known = suffix in self.passed_over or len(self.passed_over) < _KINDS
        return suffix if known and len(suffix) <= _LONGEST_SUFFIX else "other"


def closable(found: Iterator[Found]) -> Generator[Found]:
    """Yield what is found, and let go of it when closed.

    Whoever feeds workers keeps the iterator that it was given, and with it an open archive, when a run ends early.
    """
    yield from found


@contextmanager
def reading(found: Iterator[Found]) -> Iterator[Generator[Found]]:
    """Give what is found, and close it in the end.

    Another thread, which feeds workers, may still be inside when a run ends early: then it is left to that thread, and
    what ended the run comes out, not that.
    """
    listed = closable(found)
    try:
        yield listed
    finally:
        try:
            listed.close()
        except ValueError as error:
            if str(error) != _STILL_INSIDE:
                raise


_STILL_INSIDE = "generator already executing"
_LONGEST_SUFFIX = 12
_KINDS = 100
_LOOKALIKES = 5


def read_file(path: Place) -> bytes:
    """Return the bytes of a frame's file, on this machine or elsewhere.

    Raises:
        SourceError: It cannot be read, is no regular file, or is a link to a file that is no composite.
        TooLargeError: It is larger than a frame can be; no more than that is read, for it may have no end.
    """
    try:
        if isinstance(path, RemotePath):
            data = path.read_bytes(MAX_STORED_BYTES + 1)
        else:
            with open_file(path) as file:
                data = file.read(MAX_STORED_BYTES + 1)
            if path.is_symlink():
                _refuse_other(path, data)
    except OSError as error:
        raise SourceError(str(path), f"cannot be read: {error.strerror or error}") from error
    if len(data) > MAX_STORED_BYTES:
        raise TooLargeError("too large", f"at most {MAX_STORED_BYTES:,} bytes", "more", str(path))
    return data


def _refuse_other(path: Path, data: bytes) -> None:
    """Refuse what begins neither as a composite nor as a volume: who put a link into a folder must not learn more."""
    from hsrgeo.formats.volume import is_volume  # noqa: PLC0415 - links are rare, and its readers many modules

    start = peek(data, 1) if data.startswith(MAGIC) else data[:1]
    if start and start != VERSION_BYTE and not is_volume(data):
        raise SourceError(str(path), "is a link to a file that is no composite")
