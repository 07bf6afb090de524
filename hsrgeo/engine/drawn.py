"""Frames -> maps on a shelf, and what is shown when: the drawing behind `hsrgeo.engine.render`."""

from __future__ import annotations

import zlib
from collections.abc import Generator, Iterator
from contextlib import closing
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import partial
from itertools import chain, islice
from typing import BinaryIO

from hsrgeo.engine.areas import clipped_window
from hsrgeo.engine.drawn_sums import DrawnSum, read_drawn
from hsrgeo.engine.export_options import ExportOptions
from hsrgeo.engine.lazy import with_twins
from hsrgeo.engine.workers.parallel import run_parallel
from hsrgeo.errors import HsrGeoError, OptionsError, as_value
from hsrgeo.formats.names import FrameName
from hsrgeo.formats.standing import Standing
from hsrgeo.gis.map import Plan, map_for
from hsrgeo.model.frame import Frame
from hsrgeo.model.grid import Registration
from hsrgeo.model.quantity import CAP_MM_H
from hsrgeo.model.rank import LOWEST
from hsrgeo.model.window import Area
from hsrgeo.outputs.exported import read_exported
from hsrgeo.outputs.folder import Exported
from hsrgeo.reading import decode_found
from hsrgeo.sources.found import Found, Tally

Entry = Found | Exported

_POOL_FROM = 48  # frames; starting processes takes longer than drawing fewer
_NOTES = 5  # on frames, shown one by one
_LONG_GAP = 24  # missing times (two hours of KMA's); a longer gap is one picture that tells its ends


@dataclass(frozen=True, slots=True)
class Moment:
    """What is shown at a time."""

    time: datetime
    until: datetime | None = None
    """Last time of a long gap."""
    place: tuple[int, int] | None = None
    """Where the packed map lies on the shelf: offset and size; None where nothing is known."""
    synthetic: bool = False


@dataclass
class Reel:
    """What was drawn."""

    moments: dict[datetime, Moment]
    """Of the sound frames."""
    times: set[datetime]
    """Of all frames, the broken ones too."""
    broken: list[HsrGeoError]
    notes: list[str] = field(default_factory=list)
    """What a user should know of the frames that are shown."""


@dataclass(frozen=True, slots=True)
class _Drawn:
    """A frame as a worker gives it back: its map packed, or what is wrong with it."""

    frame_name: FrameName | None
    standing: Standing
    packed: bytes = b""
    synthetic: bool = False
    error: HsrGeoError | None = None
    notes: tuple[str, ...] = ()
    capped: int = 0
    """Cells at the highest rate that is stored."""


def first_sound(entries: Iterator[Entry], registration: Registration, tally: Tally) -> tuple[list[Entry], Frame | None]:
    """Open entries until one is a sound frame. Return all that were opened, and that frame."""
    tried: list[Entry] = []
    for entry in entries:
        tried.append(entry)
        try:
            return tried, _open(entry, registration)
        except HsrGeoError as error:  # `draw` tries it again, and tells
            tally.give_up(entry.frame_name, error)
    return tried, None


def problems(entries: list[Entry]) -> list[HsrGeoError]:
    """Return what is wrong with each entry that is no sound frame."""
    return [error for error in map(_problem, entries) if error is not None]


def draw(entries: Iterator[Entry], plan: Plan, options: ExportOptions, shelf: BinaryIO, tally: Tally) -> Reel:
    """Draw the map of every entry onto the shelf; of two frames of a time the better one counts.

    The entries come in any order. The shelf is an open file: maps would not all fit in memory. Few frames are drawn in
    this process, more in others.

    Raises:
        OptionsError: There are several products.
        MissingExtraError: Something of the extra ``render`` is not installed.
    """
    map_for(plan)  # what is missing is missing for all of them: it is no frame's fault
    best: dict[datetime, tuple[_Drawn, Moment]] = {}
    reel = Reel({}, set(), [])
    products: set[str] = set()
    first = list(islice(entries, _POOL_FROM))
    task = partial(_draw_one, plan=plan, area=options.recipe.cuts[0].area)
    workers = options.workers if len(first) == _POOL_FROM else 1

    def work(some: Iterator[Entry]) -> Generator[_Drawn]:
        return run_parallel(task, some, workers)

    with closing(with_twins(work, chain(first, entries), options.selection, tally)) as results:
        for drawn in results:
            if drawn.frame_name is not None:
                reel.times.add(drawn.frame_name.time)
            if drawn.error is not None or drawn.frame_name is None:
                error = drawn.error or HsrGeoError(drawn.standing.label)
                reel.broken.append(error)
                tally.give_up(drawn.frame_name, error)
                continue
            products.add(drawn.frame_name.product)
            if len(products) > 1:
                raise OptionsError(f"there are frames of {' and of '.join(sorted(products))}: choose one product")
            time = drawn.frame_name.time
            if time not in best or best[time][0].standing < drawn.standing:
                place = (shelf.seek(0, 2), len(drawn.packed))
                shelf.write(drawn.packed)
                best[time] = (replace(drawn, packed=b""), Moment(time, place=place, synthetic=drawn.synthetic))
    reel.moments = {time: moment for time, (_drawn, moment) in best.items()}
    reel.notes = _notes([drawn for drawn, _moment in best.values()])
    reel.broken.sort(key=str)
    return reel


def _notes(shown: list[_Drawn]) -> list[str]:
    every = [note for drawn in shown for note in drawn.notes]
    notes = every[:_NOTES] + ([f"{len(every) - _NOTES:,} more notes of this kind"] if len(every) > _NOTES else [])
    if capped := sum(drawn.capped for drawn in shown):
        notes.append(
            f"{capped:,} cells at {CAP_MM_H:.2f} mm/h, the highest rate that HSP stores: there it may rain harder"
        )
    return notes


def timeline(reel: Reel, step: timedelta) -> tuple[list[Moment], list[tuple[datetime, datetime, int]]]:
    """Return what is shown from the first time to the last, and the gaps: first and last time, and steps.

    A time without a sound frame is a moment without a place; a long gap is one moment.
    """
    shown: list[Moment] = []
    gaps: list[tuple[datetime, datetime, int]] = []
    gap: list[tuple[datetime, int]] = []  # begin and steps of what is missing since the last sound frame
    before: datetime | None = None
    for time in sorted(reel.times):
        if before is not None and (between := -(-(time - before) // step) - 1) > 0:
            gap.append((before + step, between))
        before = time
        if time not in reel.moments:
            gap.append((time, 1))
            continue
        _close(gap, step, shown, gaps)
        shown.append(reel.moments[time])
    _close(gap, step, shown, gaps)
    return shown, gaps


def _close(
    gap: list[tuple[datetime, int]],
    step: timedelta,
    shown: list[Moment],
    gaps: list[tuple[datetime, datetime, int]],
) -> None:
    if not gap:
        return
    count = sum(steps for _begin, steps in gap)
    begin, last = gap[0][0], gap[-1][0] + (gap[-1][1] - 1) * step
    gaps.append((begin, last, count))
    if count > _LONG_GAP:
        shown.append(Moment(begin, until=last))
    else:
        shown.extend(Moment(time + order * step) for time, steps in gap for order in range(steps))
    gap.clear()


def _open(entry: Entry, registration: Registration = "point") -> Frame:
    if isinstance(entry, Found):
        return decode_found(entry, registration=registration)
    if entry.error is not None:
        raise entry.error
    if isinstance(entry, DrawnSum):
        return read_drawn(entry)
    return read_exported(entry.path)


def _problem(entry: Entry) -> HsrGeoError | None:
    try:
        _open(entry)
    except HsrGeoError as error:
        return as_value(error)
    return None


def _draw_one(entry: Entry, plan: Plan, area: Area | None) -> _Drawn:
    """Draw the map of a frame; for workers. It goes back packed, a fiftieth of its size."""
    label = entry.label
    try:
        frame = _open(entry, plan.grid.registration)
        window, _clipped = clipped_window(frame.grid, area)  # noted once, before
        part = frame.crop(window=window)
        packed = zlib.compress(map_for(plan).panel(part).tobytes(), 1)
    except HsrGeoError as error:
        return _Drawn(entry.frame_name, Standing(0, LOWEST, label), error=as_value(error))
    frame_name = FrameName(frame.product, frame.kind, frame.time)
    return _Drawn(
        frame_name,
        Standing.of(frame_name, frame.rank, label),
        packed,
        synthetic=frame.header.synthetic,
        notes=frame.notes,
        capped=part.capped or 0,
    )
