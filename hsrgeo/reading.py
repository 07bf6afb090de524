"""Frames for scripts: one file, or every frame of a source."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Literal, get_args

from hsrgeo.errors import FrameError, HsrGeoWarning, OptionsError, SourceError
from hsrgeo.formats.composite import WindowOf, decode, decode_blocks
from hsrgeo.model.file_blocks import ALL, Block, as_block
from hsrgeo.model.frame import Frame
from hsrgeo.model.grid import Registration
from hsrgeo.model.times import time_label
from hsrgeo.model.window import BBox
from hsrgeo.sources.archive_formats import is_archive
from hsrgeo.sources.found import Found, Tally, read_file
from hsrgeo.sources.remote import listed_sources, place
from hsrgeo.sources.scan import scan
from hsrgeo.sources.select import Selection
from hsrgeo.sources.skipped import no_frame

OnError = Literal["raise", "warn", "skip"]


def open_frame(
    path: str | Path,
    *,
    block: int | str = 1,
    max_height: float | None = None,
    stations: Iterable[str] = (),
    registration: Registration = "point",
) -> Frame:
    """Read one composite.

    Args:
        path: A ``.bin.gz`` or ``.bin`` file, whatever its name; or a URL, as text.
        block: Which block of the file: a number from 1, or what it holds, such as ``height`` or ``station``.
        max_height: Cells that the beam saw from higher above the sea [m] become nodata, by the block of heights.
        stations: Cells of other radars than these, such as ``KWK``, become nodata, by the block of stations.
        registration: What the points are that KMA serves: ``point`` takes them for the centres of the cells, ``corner``
            for their south-west corners, half a cell farther north-east.

    Returns:
        The frame with its stored values (`Frame.raw`); see `Frame.clean` and `Frame.physical`.

    Raises:
        OptionsError: There is no such registration or block.
        SourceError: The file cannot be read, or is an archive.
        FrameError: It is not a sound composite; the message says where, what was expected and what was found.
    """
    chosen = as_block(block, max_height, stations)
    file = place(path)
    if is_archive(file):
        raise SourceError(str(path), "is an archive of frames: use hsrgeo.iter_frames, hsrgeo.open or hsrgeo.export")
    return warn_of_notes(decode(read_file(file), str(path), block=chosen, registration=registration))


def iter_frames(  # noqa: PLR0913 - what is wanted of many frames
    sources: str | Path | Sequence[str | Path],
    *,
    start: datetime | str | None = None,
    end: datetime | str | None = None,
    every: timedelta | str | None = None,
    times: Iterable[datetime | str] | None = None,
    product: str | None = None,
    kind: str | None = None,
    bbox: tuple[float, float, float, float] | BBox | None = None,
    registration: Registration = "point",
    on_error: OnError = "raise",
) -> Iterator[Frame]:
    """Yield the frames of files, folders, globs and archives, in stored order.

    Warns where there is none, and where a product and time comes again, such as PUB and EXT of a minute, or a copy:
    both are yielded, for which is better is known only at the end. `hsrgeo.open` and `hsrgeo.export` keep the better.

    Args:
        sources: One or several; archives are read as a stream.
        start: First time wanted: aware, or a text such as ``2022-06-09 11:15`` (KST).
        end: First time no longer wanted, likewise.
        every: Only times on whole steps after midnight KST, such as ``10min`` or ``1h``.
        times: Only these times.
        product: Only this product, such as HSR.
        kind: Only this kind, such as PUB; None is all of them.
        bbox: (west, south, east, north) [degrees]: frames are cut to it, see `Frame.crop`.
        registration: See `open_frame`.
        on_error: What a broken frame does: ``raise`` ends the iteration, ``warn`` goes on with a `HsrGeoWarning`,
            ``skip`` goes on in silence.

    Raises:
        OptionsError: There is no such registration or word, or a time or step that cannot be.
        SourceError: A source does not exist; with ``raise``, one cannot be read.
        FrameError: With ``raise``, a frame is broken.
        WindowError: The bbox lies outside.
    """
    if on_error not in get_args(OnError):
        raise OptionsError(f"on_error {on_error!r}: expected one of {', '.join(get_args(OnError))}")
    listed = listed_sources(sources)
    tally, any_found = Tally(), False
    yielded: set[tuple[str, datetime]] = set()
    for found in scan(listed, Selection(start, end, every, product, kind, times=times), tally):
        any_found = True
        try:
            frame = warn_of_notes(decode_found(found, registration=registration))
        except (FrameError, SourceError) as error:
            if on_error == "raise":
                raise
            if on_error == "warn":
                warnings.warn(f"left out: {error}", HsrGeoWarning, stacklevel=2)
            continue
        if (frame.product, frame.time) in yielded:
            again = f"{frame.product} of {time_label(frame.time)} comes again"
            warnings.warn(f"{found.label}: {again}: choose a kind, or leave out copies", HsrGeoWarning, stacklevel=2)
        yielded.add((frame.product, frame.time))
        yield frame if bbox is None else frame.crop(bbox=bbox)
    if not any_found:
        warnings.warn(no_frame(tally), HsrGeoWarning, stacklevel=2)


def warn_of_notes(frame: Frame) -> Frame:
    """Return a frame, and warn of what a user should know of its file."""
    for note in frame.notes:
        warnings.warn(note, HsrGeoWarning, stacklevel=3)
    return frame


def decode_found(
    found: Found, block: Block = 1, registration: Registration = "point", window_of: WindowOf | None = None
) -> Frame:
    """Return the frame that was found, of `ALL` its first block; see `blocks_found`.

    Raises:
        FrameError, SourceError: It cannot be used.
    """
    return blocks_found(found, 1 if block == ALL else block, registration, window_of)[0]


def blocks_found(
    found: Found, block: Block = 1, registration: Registration = "point", window_of: WindowOf | None = None
) -> tuple[Frame, ...]:
    """Return the blocks of the frame that was found: one, or all; see `hsrgeo.formats.composite.decode_blocks`.

    Raises:
        FrameError, SourceError: It cannot be used.
    """
    if found.error is not None:
        raise found.error
    data, member = found.read(), found.member
    return decode_blocks(data, found.source, member=member, block=block, registration=registration, window_of=window_of)
