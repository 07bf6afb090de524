"""Builds a cube without values: frames are unpacked once, to be checked, and stay where they are.

A reference is quick to make and small, so that it is made anew each time: nothing is staged, and a run that was killed
leaves nothing behind.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from functools import partial
from pathlib import Path

from hsrgeo.cube.axis import missing_between
from hsrgeo.cube.build import Plan, Slot
from hsrgeo.cube.reference import Span, url_of
from hsrgeo.cube.referred import read_reference
from hsrgeo.cube.store import Shape
from hsrgeo.cube.virtual import write_reference
from hsrgeo.engine.cube.cube_frames import Contest, FrameType, Work, check_frame, first_shape, frame_type_of
from hsrgeo.engine.cube.cube_options import CubeOptions
from hsrgeo.errors import ArchiveError, OptionsError, OutputExistsError, SourceError
from hsrgeo.formats.names import claims_frame, repeated
from hsrgeo.outputs.outcome import Outcome
from hsrgeo.sources.archive_formats import format_of, is_archive
from hsrgeo.sources.archives import open_members
from hsrgeo.sources.arrow import pyarrow_modules
from hsrgeo.sources.found import Found
from hsrgeo.sources.listing import expand, files_below
from hsrgeo.sources.remote import Place, RemotePath
from hsrgeo.sources.texts import open_file
from hsrgeo.writers.folders import mend, write_errors


class VirtualBuilder:
    """Builds a reference to frames; a `Builder`.

    Args:
        sources: Files, folders, globs, and archives that are not compressed.
        out: The reference, ``.json`` or ``.parquet``.
        options: What to make.

    Raises:
        OptionsError: An archive in which no byte range is a frame.
        OutputExistsError: Something is there, and is not to be replaced or is no reference.
        MissingExtraError: pyarrow is not installed, and it is to be Parquet.
    """

    def __init__(self, sources: Sequence[str | Path], out: Place, options: CubeOptions) -> None:
        self._out, self._options = out, options
        self._recipe = options.recipe(form := options.form(out))
        if form == "parquet":
            pyarrow_modules("for references as Parquet", "virtual")
        if isinstance(out, Path):
            mend(out)
        self._refuse_what_is_there()
        for path in expand(sources):
            for file in files_below(path):
                if is_archive(file):
                    _refuse_compressed(file)
        self._contest = Contest({})
        self._frame_type: FrameType | None = None

    def _refuse_what_is_there(self) -> None:
        with write_errors(self._out):
            if not (self._out.is_file() if isinstance(self._out, RemotePath) else self._out.exists()):
                return
        if not self._options.frames.overwrite:
            raise OutputExistsError(
                str(self._out), "already exists; references cannot be appended to: give all sources and --overwrite"
            )
        try:
            read_reference(self._out)
        except SourceError as error:
            raise OutputExistsError(str(self._out), "already exists and is not a reference made by hsrgeo") from error

    def prepare(self) -> None:
        """See `Builder`: what is there stays until it is replaced."""

    def shape(self, found: Iterator[Found]) -> tuple[Shape | None, list[Found | Outcome]]:
        """See `Builder`: as the first sound frame is."""
        shape, taken, frame = first_shape(found, self._options.frames.recipe, self._recipe)
        self._frame_type = frame_type_of(frame) if frame is not None else None
        return shape, taken

    def contest(self) -> Contest:
        """See `Builder`."""
        return self._contest

    def work(self, shape: Shape) -> Work:
        """See `Builder`: check the frames."""
        return partial(check_frame, recipe=self._options.frames.recipe, shape=shape, frame_type=self._frame_type)

    def build(self, shape: Shape, failed: set[datetime], check: Callable[[], None]) -> tuple[int, int, int]:
        """See `Builder`."""
        winners = self._contest.winners()
        times = sorted(winners)
        dry = sorted(self._contest.dry())
        missing = missing_between([*times, *dry], shape.step, failed)
        plan = Plan(
            shape=shape,
            slots=tuple(Slot(time, winners[time].rank, None, "") for time in times),
            missing=tuple(missing),
            dry=tuple(dry),
            attrs=dict(self._options.attrs),
            layouts=("map",),
            zarr_format=self._options.written_format,
            out=self._out,
            part=self._out.with_name(f".{self._out.name}.part"),
        )
        if times:
            spans = list(_spans(winners[time] for time in times))
            check()
            write_reference(plan, spans)
        return len(times), len(missing), len(dry)


def _spans(outcomes: Iterator[Outcome]) -> Iterator[Span]:
    """Yield where frames are."""
    archives: dict[str, Mapping[str, Span]] = {}
    for outcome in outcomes:
        if outcome.member is None:
            yield Span(url_of(outcome.source))
            continue
        if outcome.source not in archives:
            archives[outcome.source] = _members(Path(outcome.source))
        span = archives[outcome.source].get(outcome.member)
        if span is None:
            problem = f"{outcome.member} is not in one piece there; unpack it (hsrgeo extract) and refer to the files"
            raise ArchiveError(outcome.source, problem)
        yield span


def _members(archive: Path) -> dict[str, Span]:
    """Return where the frames of an archive are, by what `hsrgeo.sources.archives` calls them."""
    spans: dict[str, Span] = {}
    seen: Counter[str] = Counter()
    url = url_of(str(archive))
    with suppress(ArchiveError), open_members(archive) as members:  # damage was reported when the frames were read
        for member in members:
            if not (member.entry_type == "file" and claims_frame(member.name)):
                continue
            seen[member.name] += 1
            number = seen[member.name]
            if member.offset is not None:
                name = member.name if number == 1 else repeated(member.name, number)
                spans[name] = Span(url, member.offset, member.size)
    return spans


def _refuse_compressed(archive: Path | RemotePath) -> None:
    """Refuse a compressed archive: no part of it can be read on its own."""
    way = "unpack it first (hsrgeo extract ARCHIVE --out FOLDER) and give FOLDER, or make a cube without --virtual"
    if isinstance(archive, RemotePath):
        raise OptionsError(f"{archive}: references to members of archives elsewhere are not made; {way}")
    with suppress(OSError), open_file(archive) as file:  # what cannot be read is reported later
        if format_of(file.read(_MAGIC_BYTES)).magic:
            raise OptionsError(f"{archive}: is compressed, so that no part of it is a frame to refer to; {way}")


_MAGIC_BYTES = 8
