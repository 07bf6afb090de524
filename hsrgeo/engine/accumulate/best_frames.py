"""Of the frames of one time the best is summed up; where it is broken, the next best."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Container, Generator, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial

from hsrgeo.cube.axis import stored_crc32
from hsrgeo.engine.accumulate.sources import SumSource
from hsrgeo.engine.workers.parallel import ahead
from hsrgeo.errors import HsrGeoError, SourceError
from hsrgeo.formats.composite import peek_header
from hsrgeo.formats.standing import Standing
from hsrgeo.model.frame import Frame
from hsrgeo.model.rank import LOWEST, rank_of
from hsrgeo.outputs.outcome import Outcome, Status, of_found
from hsrgeo.sources.found import Found, Tally


@dataclass(slots=True)
class Candidates:
    """The frames of one time, of which one is summed up."""

    found: list[Found] = field(default_factory=list)
    """Without bytes."""
    standings: list[Standing | None] = field(default_factory=list)
    """None where nobody needs to know yet."""

    def add(self, found: Found) -> None:
        """Take in a frame; that of an archive is looked at now, for later it would have to be searched."""
        self.standings.append(None if found.data is None else standing_of(found))
        self.found.append(Found(found.source, found.member, found.frame_name, found.size))

    def labels(self) -> list[str]:
        """Return their labels, the best first."""
        if len(self.found) > 1:
            known = zip(self.standings, self.found, strict=True)
            self.standings = [standing or standing_of(found) for standing, found in known]
        order = sorted(range(len(self.found)), key=lambda nth: self.standings[nth] or (), reverse=True)
        return [self.found[nth].label for nth in order]


def standing_of(found: Found) -> Standing:
    """Return the standing of a frame from its header alone; the lowest where it has none."""
    try:
        data = found.read()
        header = peek_header(data)
        rank = rank_of(header.station_count, header.created, stored_crc32(data))
    except HsrGeoError:
        rank = LOWEST
    return Standing.of(found.frame_name, rank, found.label)


def best_frames(
    source: SumSource,
    times: dict[datetime, Candidates],
    tally: Tally,
    workers: tuple[ThreadPoolExecutor, int],
    take: Callable[[datetime, Frame], HsrGeoError | None],
    settle: Callable[[datetime], None],
) -> Generator[Outcome]:
    """Read the best frame of each time; where it is broken, read the source again for the next best.

    Each frame is given to `take`, which returns what is wrong with it, or None. `settle` is called once for each time,
    when no other frame of that time will be read. `workers` is a pool of threads and how many it has.
    """
    labels = {time: candidates.labels() for time, candidates in times.items()}
    wanted = {best: time for time, (best, *_others) in labels.items()}
    losers = {loser: best for best, *others in labels.values() for loser in others}
    was: Status | None = None
    while wanted:
        again: dict[str, datetime] = {}
        chosen = {found.label: found for time in wanted.values() for found in times[time].found}
        for found, frame, error in _read(source, chosen, wanted, losers, tally, workers):
            label = found.label
            if label in losers:
                yield dataclasses.replace(of_found(found, "duplicate"), winner=losers[label])
                continue
            time = wanted[label]
            problem = error if frame is None else take(time, frame)
            if problem is None:
                notes = frame.notes if frame is not None else ()
                yield dataclasses.replace(of_found(found, "ok"), was=was, notes=notes)
            else:
                yield dataclasses.replace(of_found(found, "failed", error=problem), was=was)
                others = labels[time][labels[time].index(label) + 1 :]
                if others:
                    again[others[0]] = time
                    continue
            settle(time)
        wanted, losers, was = again, {}, "duplicate"


_Read = tuple[Found, Frame | None, HsrGeoError | None]
"""What was found, and its frame or what is wrong with it; neither for one that lost."""


def _read(
    source: SumSource,
    known: dict[str, Found],
    wanted: Container[str],
    losers: Container[str],
    tally: Tally,
    workers: tuple[ThreadPoolExecutor, int],
) -> Generator[_Read]:
    """Yield the wanted frames and those that lost, in the order of the source; at the end wanted ones that are gone."""
    pool, threads = workers
    read = Tally()
    gone = {label: found for label, found in known.items() if label in wanted}
    with closing(_chosen(source.scan(read), wanted, losers)) as chosen:
        for one in ahead(pool, partial(_decoded, source, losers), chosen, 2 * threads):
            tally.read_bytes = max(tally.read_bytes, read.read_bytes)
            gone.pop(one[0].label, None)
            yield one
    for label, found in gone.items():
        yield found, None, SourceError(label, "is gone; it was there when the times were read")


def _chosen(found: Iterable[Found], wanted: Container[str], losers: Container[str]) -> Generator[Found]:
    for one in found:
        if one.label in losers:
            yield dataclasses.replace(one, data=b"")
        elif one.label in wanted:
            yield one


def _decoded(source: SumSource, losers: Container[str], found: Found) -> _Read:
    if found.label in losers or found.error is not None:
        return found, None, found.error
    try:
        return found, source.open(found), None
    except HsrGeoError as error:
        return found, None, error
