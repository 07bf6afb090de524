"""Periods: the hours, days or events that rain is added up over, counted from midnight KST."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from hsrgeo.engine.axis import ceil_step, floor_step
from hsrgeo.errors import OptionsError
from hsrgeo.model.times import KST, length_text

_DAY = timedelta(days=1)
_ROUNDING = 1e-9

PeriodLength = timedelta | Literal["event"]


@dataclass(frozen=True, slots=True)
class Period:
    """A time that is summed up: frames from `start` on and before `end` belong to it."""

    start: datetime
    end: datetime
    name: str
    """``10min``, ``1h``, ``1d`` or ``event``."""
    step: timedelta
    """Time that each frame covers."""

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

    Raises:
        OptionsError: Another word than ``event``; not whole steps, or not a whole part of a day.
    """
    if isinstance(length, str):
        if length != "event":
            raise OptionsError(f"period {length!r}: expected a length such as 1h or 1d, or event")
    elif length < step or _DAY % length or length % step:
        raise OptionsError(
            f"period {length_text(length)}: must divide a day evenly, and be whole steps of {length_text(step)} long"
        )


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
        step: Time that each frame covers.
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
