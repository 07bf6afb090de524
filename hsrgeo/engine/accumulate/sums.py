"""What an accumulation keeps while it runs: periods, the frames of each time, and the sums that are open."""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Literal

from hsrgeo.cube.axis import stored_crc32
from hsrgeo.engine.axis import ceil_step, floor_step
from hsrgeo.engine.outcome import Standing
from hsrgeo.errors import HsrGeoError, OptionsError
from hsrgeo.formats.composite import peek_header
from hsrgeo.model.frame import Frame
from hsrgeo.model.rank import LOWEST, rank_of
from hsrgeo.model.times import KST, kst_text, length_text, utc_text
from hsrgeo.products.rain import Law
from hsrgeo.products.sums import RunningSum
from hsrgeo.sources.found import Found

_DAY = timedelta(days=1)
_ROUNDING = 1e-9
_OPEN_BYTES = 1 << 29
# ^ sums that stay in memory: ten of the whole 500 m grid, hundreds of a crop; more wait on disk

PeriodLength = timedelta | Literal["event"]


@dataclass(frozen=True, slots=True)
class Period:
    """A time that is summed up: frames from `start` on and before `end` belong to it."""

    start: datetime
    end: datetime
    name: str
    """``10min``, ``1h``, ``1d`` or ``event``."""
    step: timedelta
    """What each frame stands for."""

    @property
    def expected(self) -> int:
        """Frames of a period without gaps."""
        return (self.end - self.start) // self.step

    def path(self, region: str, what: str = "rain") -> str:
        """Return the path of its file below OUT; times are KST."""
        start = self.start.astimezone(KST)
        if self.name == "event":
            path = f"{what}_event_{start:%Y%m%d%H%M}_{self.end.astimezone(KST):%Y%m%d%H%M}.tif"
        else:
            path = f"{start:%Y%m/%d}/{what}_{self.name}_{start:%Y%m%d%H%M}.tif"
        return f"{region}/{path}" if region else path


def period_name(length: PeriodLength) -> str:
    """Return ``10min``, ``1h``, ``1d`` or ``event``."""
    return length if isinstance(length, str) else length_text(length)


def check_period(length: PeriodLength, step: timedelta) -> None:
    """Refuse a length of period that cannot be.

    Args:
        length: As a user gave it.
        step: What a frame or a reading stands for.

    Raises:
        OptionsError: Another word than ``event``; not whole steps, or not a whole part of a day.
    """
    if isinstance(length, str):
        if length != "event":
            raise OptionsError(f"period {length!r}: expected a length such as 1h or 1d, or event")
    elif length < step or _DAY % length or length % step:
        raise OptionsError(f"period {length}: must divide a day evenly, and be whole steps of {length_text(step)} long")


def fewest_of(share: float, expected: int) -> int:
    """Return how many of those expected are at least a share of them."""
    return math.ceil(share * expected - _ROUNDING)


def periods_of(
    times: Iterable[datetime], length: PeriodLength, step: timedelta, start: datetime | None, end: datetime | None
) -> dict[datetime, Period]:
    """Return the period of each time of a frame.

    Args:
        times: On whole steps; at least one.
        length: Of a period, counted from midnight KST, or ``event``: all of them, from the first to the last, or as
            far as `start` and `end` reach.
        step: What each frame stands for.
        start: First time wanted, or None.
        end: First time no longer wanted, or None.
    """
    listed = sorted(times)
    name = period_name(length)
    if isinstance(length, str):
        begin = listed[0] if start is None else ceil_step(start, step)
        finish = listed[-1] + step if end is None else ceil_step(end, step)
        whole = Period(begin, finish, name, step)
        return dict.fromkeys(listed, whole)
    found: dict[datetime, Period] = {}
    return {
        time: found.setdefault(begin, Period(begin, begin + length, name, step))
        for time, begin in ((time, floor_step(time, length)) for time in listed)
    }


def starts_between(
    periods: Iterable[Period], length: PeriodLength, start: datetime | None, end: datetime | None
) -> list[datetime]:
    """Return the start of every period of the range, KST, whether or not it has a frame.

    Args:
        periods: Those that have one; at least one.
        length: Of each, or ``event``.
        start: Where the range begins; None is the first of them.
        end: Where it ends, not included; None is after the last of them.
    """
    known = sorted(period.start for period in periods)
    if isinstance(length, str):
        return known
    begin = known[0] if start is None else floor_step(start, length)
    finish = known[-1] + length if end is None else ceil_step(end, length)
    return [begin + number * length for number in range((finish - begin) // length)]


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
        self.found.append(Found(found.source, found.member, found.told, found.size))

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
        return rank_of(header.station_count, header.created, stored_crc32(data)), found.label
    except HsrGeoError:
        return LOWEST, found.label


Key = tuple[datetime, int]
"""Start of a period, number of the area."""


class OpenSums:
    """The sums that are not complete yet; those that were not used for longest wait on disk where there are many.

    Args:
        folder: For the ones that wait.
        most_bytes: That stay in memory.
    """

    def __init__(self, folder: Path, most_bytes: int = _OPEN_BYTES) -> None:
        self._folder = folder
        self._most = most_bytes
        self._bytes = 0
        self._here: OrderedDict[Key, RunningSum] = OrderedDict()
        self._away: dict[Key, RunningSum] = {}

    def get(self, key: Key, shape: tuple[int, int], unit_mm: float) -> RunningSum:
        """Return the sum of a period and area; a new one where there is none."""
        if key not in self._here:
            total = self._restored(key) if key in self._away else RunningSum(shape, unit_mm)
            self._here[key] = total
            self._bytes += total.nbytes
            while self._bytes > self._most and len(self._here) > 1:
                oldest, other = next(iter(self._here.items()))
                self._bytes -= other.nbytes
                other.save(self._path(oldest))
                self._away[oldest] = self._here.pop(oldest)
        self._here.move_to_end(key)
        return self._here[key]

    def pop(self, key: Key) -> RunningSum | None:
        """Return a sum and forget it, or None where there is none."""
        if key in self._away:
            return self._restored(key)
        total = self._here.pop(key, None)
        self._bytes -= total.nbytes if total else 0
        return total

    def _restored(self, key: Key) -> RunningSum:
        total = self._away.pop(key)
        total.restore(self._path(key))
        self._path(key).unlink()
        return total

    def _path(self, key: Key) -> Path:
        return self._folder / f"{key[0].timestamp():.0f}_{key[1]}.npy"


def law_text(frame: Frame, law: Law) -> str:
    """Return how the rain of a sum followed, by one of its frames."""
    if frame.quantity.name == "rain_rate":
        return dict(frame.derived).get("RAIN_LAW", "as observed")
    return str(law)


def described(what: str, period: Period) -> str:
    """Return what a file shows, and of which time."""
    start, end = period.start.astimezone(KST), period.end.astimezone(KST)
    return f"{what}, {start:%Y-%m-%d %H:%M} to {end:%Y-%m-%d %H:%M} KST"


def period_tags(what: str, period: Period, named: Mapping[str, str]) -> dict[str, str]:
    """Return the first tags of a file of a period.

    Args:
        what: It shows, for people.
        period: That it is of.
        named: Tags that name what it holds.
    """
    return {
        "TIFFTAG_DATETIME": period.start.astimezone(UTC).strftime("%Y:%m:%d %H:%M:%S"),
        "TIFFTAG_IMAGEDESCRIPTION": described(what, period),
        **named,
        "PERIOD": period.name,
        "TIME_START_UTC": utc_text(period.start),
        "TIME_END_UTC": utc_text(period.end),
        "TIME_START_KST": kst_text(period.start),
        "TIME_END_KST": kst_text(period.end),
    }


def sum_tags(period: Period, used: int, frame: Frame, law: str, min_coverage: float) -> dict[str, str]:
    """Return the tags of a sum's file.

    Args:
        period: What was summed up.
        used: Frames that were summed up.
        frame: One of its frames, cut to the area.
        law: How rain followed from reflectivity.
        min_coverage: Share of the expected frames below which a cell is nodata.
    """
    minutes = period.step // timedelta(minutes=1)
    made_up = "SYNTHETIC " if frame.header.synthetic else ""
    named = {"PRODUCT": frame.product, "QUANTITY": "rain_depth", "UNIT": "mm"}
    tags = {
        **period_tags(f"{made_up}KMA {frame.product} composites, rain_depth (mm)", period, named),
        "FRAMES_USED": str(used),
        "FRAMES_EXPECTED": str(period.expected),
        "FRAME_STEP_MINUTES": str(minutes),
        "SUM_RULE": f"rate x {minutes} min over the frames from start on and before end; gaps are not filled",
        "MIN_COVERAGE": f"{min_coverage:g}",
        "RAIN_LAW": law,
        "GRID": frame.grid.name,
        "WINDOW": str(frame.window),
        "SYNTHETIC": "yes" if frame.header.synthetic else "",
    }
    return {name: value for name, value in tags.items() if value}
