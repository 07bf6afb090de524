"""Frames for scripts: one file, or every frame of a source."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path

from hsrgeo.errors import HsrGeoWarning
from hsrgeo.formats.composite import decode
from hsrgeo.model.frame import Frame
from hsrgeo.model.grid import Registration
from hsrgeo.sources.found import Found, read_file
from hsrgeo.sources.remote import listed_sources, place
from hsrgeo.sources.scan import scan
from hsrgeo.sources.select import Selection


def open_frame(path: str | Path, *, block: int = 1, registration: Registration = "point") -> Frame:
    """Read one composite.

    Args:
        path: A ``.bin.gz`` or ``.bin`` file, whatever its name; or a URL, as text.
        block: Which block of the file, counted from 1; nearly every file has one.
        registration: What the points are that KMA serves: ``point`` takes them for the centres of the cells, ``corner``
            for their south-west corners, half a cell farther north-east.

    Returns:
        The frame with its stored values (`Frame.raw`); see `Frame.clean` and `Frame.physical`.

    Raises:
        OptionsError: There is no such registration.
        SourceError: The file cannot be read.
        FrameError: It is not a sound composite; the message says where, what was expected and what was found.
    """
    return told_aloud(decode(read_file(place(path)), str(path), block=block, registration=registration))


def iter_frames(
    sources: str | Path | Sequence[str | Path],
    *,
    start: datetime | None = None,
    end: datetime | None = None,
    product: str | None = None,
    kind: str | None = None,
    registration: Registration = "point",
) -> Iterator[Frame]:
    """Yield the frames of files, folders, globs and archives, in stored order.

    Args:
        sources: One or several; archives are read as a stream.
        start: First time wanted, aware.
        end: First time no longer wanted, aware.
        product: Only this product, such as HSR.
        kind: Only this kind, such as PUB; None is all of them.
        registration: See `open_frame`.

    Raises:
        OptionsError: There is no such registration.
        SourceError: A source does not exist.
        FrameError: A frame is broken: iteration ends there. `hsrgeo.export` goes on and lists it instead.
    """
    listed = listed_sources(sources)
    for found in scan(listed, Selection(start=start, end=end, product=product, kind=kind)):
        yield told_aloud(decode_found(found, registration=registration))


def told_aloud(frame: Frame) -> Frame:
    """Return a frame, and warn of what a user should know of its file."""
    for note in frame.notes:
        warnings.warn(note, HsrGeoWarning, stacklevel=3)
    return frame


def decode_found(found: Found, block: int = 1, registration: Registration = "point") -> Frame:
    """Return the frame that was found.

    Args:
        found: What it was found as.
        block: See `hsrgeo.formats.composite.decode`.
        registration: Likewise.

    Raises:
        FrameError, SourceError: It cannot be used.
    """
    if found.error is not None:
        raise found.error
    return decode(found.read(), found.source, member=found.member, block=block, registration=registration)
