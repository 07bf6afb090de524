"""Times: aware everywhere; names, headers and folders are KST, outputs carry UTC and say so."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from datetime import MAXYEAR, MINYEAR, UTC, date, datetime, timedelta, timezone
from itertools import pairwise

from hsrgeo.errors import OptionsError

KST = timezone(timedelta(hours=9), "KST")
"""Korea Standard Time: names and headers of KMA composites (KMA composite format, section 1)."""

FRAME_STEP = timedelta(minutes=5)
"""A composite is made every five minutes (KMA composite format, section 1)."""
EARLY_FRAME_STEP = timedelta(minutes=10)
FIVE_MINUTES_SINCE = datetime(2019, 9, 16, tzinfo=KST)
"""Before then a composite was made every ten minutes (KMA composite format, section 7, "Other facts")."""

_COMPACT = re.compile(r"(\d{4})(\d{2})(?:(\d{2})(?:(\d{2})(?:(\d{2}))?)?)?")
_TIME = re.compile(
    r"(\d{4})([-/]|\. ?)(\d{1,2})\2(\d{1,2})\.?"
    r"(?:[ T]+(?:(오전|오후|AM|PM) *)?(\d{1,2}):(\d{2})(?::(\d{2}(?:\.\d+)?))?"
    r"(?: *(AM|PM))?\s*(Z|UTC|KST|[+-]\d{2}:?\d{2})?)?",
    re.IGNORECASE | re.ASCII,
)
_ZONES = {"": "", "Z": "Z", "UTC": "Z", "KST": "+09:00"}
_AFTERNOON = ("오후", "PM")
_LAST_HOUR, _NOON = 23, 12
_MONTH = re.compile(r"(\d{4})-(\d{2})")
_STEP = re.compile(r"(\d{1,6})\s*(min|m|h|d)", re.IGNORECASE | re.ASCII)
_STEP_UNITS = {
    "min": timedelta(minutes=1),
    "m": timedelta(minutes=1),
    "h": timedelta(hours=1),
    "d": timedelta(days=1),
}


def existing(time: datetime) -> datetime:
    """Return an aware time as it is, where it has a date both in UTC and in KST.

    Raises:
        ValueError: It has not: the first hours of the year 1 in KST, the last ones of 9999 in UTC.
    """
    if MINYEAR + 1 < time.year < MAXYEAR - 1:
        return time
    try:
        time.astimezone(UTC), time.astimezone(KST)
    except OverflowError as error:
        raise ValueError(str(error)) from error
    return time


def iso_time(text: str) -> str:
    """Return a time that people write, year first, in full: ``2022/6/9 6:10`` is ``2022-06-09T06:10``.

    So are ``2022. 6. 9.``, ``2022-06-09 오후 2:10`` and ``2022-06-09 24:00`` (the next day's midnight). ``KST`` and
    ``UTC`` may follow, as in what hsrgeo prints.

    Returns:
        ISO 8601; a text of another kind as it is.

    Raises:
        ValueError: There is no such date or time.
    """
    match = _TIME.fullmatch(text.strip())
    if match is None:
        return text
    year, _mark, month, day, before, hour, minute, second, after, zone = match.groups()
    try:
        day = date(int(year), int(month), int(day))
    except ValueError as error:
        raise ValueError("there is no such date") from error
    if hour is None:
        return day.isoformat()
    hours = int(hour)
    if half := (before or after or "").upper():
        if not 1 <= hours <= _NOON or (before and after):
            raise ValueError("there is no such time; 오전 and 오후 have the hours 1 to 12")
        hours = hours % _NOON + (_NOON if half in _AFTERNOON else 0)
    if hours == _LAST_HOUR + 1 and not int(minute) and not float(second or 0):
        hours, day = 0, day + timedelta(days=1)  # 24:00 is the end of the day
    if hours > _LAST_HOUR:
        raise ValueError("there is no such time; a day ends at 24:00")
    return (
        f"{day.isoformat()}T{hours:02}:{minute}{f':{second}' if second else ''}{_ZONES.get((zone or '').upper(), zone)}"
    )


def parse_time(text: str) -> datetime:
    """Read a time that a user typed.

    Args:
        text: ``2022-06-09 11:15``, ISO 8601 with or without a zone, compact ``202206091115``, or another form of
            `iso_time`; day, hour and minute may be left out from the right. Without a zone it is KST.

    Returns:
        An aware time.

    Raises:
        OptionsError: The text is no time.
    """
    stripped = text.strip()
    try:
        if match := _COMPACT.fullmatch(stripped):
            year, month, day, hour, minute = (part or "" for part in match.groups())
            stripped = f"{year}-{month}-{day or '01'}T{hour or '00'}:{minute or '00'}"
        if match := _MONTH.fullmatch(stripped):
            return existing(datetime(int(match[1]), int(match[2]), 1, tzinfo=KST))
        if stripped.isdigit():
            raise ValueError(f"{len(stripped)} digits")  # noqa: TRY301 - ISO would take one of them for a separator
        time = datetime.fromisoformat(iso_time(stripped))
        return existing(time if time.tzinfo else time.replace(tzinfo=KST))
    except (ValueError, OverflowError) as error:
        raise OptionsError(
            f"time {text!r}: expected 2022-06-09T11:15 (KST), 202206091115 or an ISO time with a zone"
            + ("" if "isoformat" in str(error) else f": {error}")
        ) from error


def parse_step(text: str) -> timedelta:
    """Read a step such as ``10min``, ``1h`` or ``1d``.

    Raises:
        OptionsError: No step, or one that does not divide a day: slots are counted from midnight KST.
    """
    step = parse_length(text)
    refuse_uneven(f"length of time {text!r}", step)
    return step


def parse_length(text: str) -> timedelta:
    """Read a length such as ``10min``, ``7h`` or ``2d``, which need not divide a day.

    Raises:
        OptionsError: No length.
    """
    match = _STEP.fullmatch(text.strip())
    if not match:
        raise OptionsError(f"length of time {text!r}: expected a number and one of min, h and d, as in 10min, 1h or 1d")
    return int(match[1]) * _STEP_UNITS[match[2].lower()]


def refuse_uneven(what: str, step: timedelta) -> None:
    """Refuse a step that does not divide a day."""
    if step <= timedelta(0) or timedelta(days=1) % step:
        raise OptionsError(f"{what}: must divide a day evenly, because it is counted from midnight KST")


def length_text(length: timedelta) -> str:
    """Return a length as a user gives it: ``1d``, ``1h`` or ``10min``."""
    for letter in "dh":
        if not length % _STEP_UNITS[letter]:
            return f"{length // _STEP_UNITS[letter]}{letter}"
    return f"{length / timedelta(minutes=1):g}min"


def usual_step(times: Iterable[datetime]) -> timedelta | None:
    """Return the most frequent distance between two times that follow each other; None for fewer than two times.

    The times must be sorted. Of two distances that are as frequent the shorter counts.
    """
    apart = Counter(later - earlier for earlier, later in pairwise(times))
    return max(apart, key=lambda one: (apart[one], -one)) if apart else None


def frame_length(times: Iterable[datetime]) -> timedelta:
    """Return how long a frame stands for: 5 minutes; 10 where all are of before 16 September 2019, on whole 10 minutes.

    How far apart the frames are does not matter: of every twelfth frame nobody knows what fell in between.
    """
    early = [time < FIVE_MINUTES_SINCE and on_step(time, EARLY_FRAME_STEP) for time in times]
    return EARLY_FRAME_STEP if early and all(early) else FRAME_STEP


def early_step(times: Iterable[datetime], step: timedelta = FRAME_STEP) -> timedelta:
    """Return how far apart frames of before 16 September 2019 should be, where those of later are a step apart.

    Ten minutes, where the step is five and all earlier times are on whole ten minutes; else the step.
    """
    is_ten = step == FRAME_STEP and all(on_step(time, EARLY_FRAME_STEP) for time in times if time < FIVE_MINUTES_SINCE)
    return EARLY_FRAME_STEP if is_ten else step


def export_step(times: Iterable[datetime]) -> timedelta:
    """Return how far apart times are meant to be; `FRAME_STEP` where they do not tell it for sure.

    An export may have been made of every second frame, by ``--every`` or by hand, and nothing in it says so. But a gap
    is no step. `times` are all that it holds, in any order: a choice among them would look like a step.
    """
    listed = sorted(set(times))
    apart = [later - earlier for earlier, later in pairwise(listed)]
    step = usual_step(listed)
    if step is None or len(apart) < _LEAST_INTERVALS or timedelta(days=1) % step or any(one % step for one in apart):
        return FRAME_STEP
    return max(step, FRAME_STEP)


_LEAST_INTERVALS = 3


def on_step(time: datetime, step: timedelta) -> bool:
    """Tell whether a time falls on a whole number of steps after midnight KST."""
    local = time.astimezone(KST)
    midnight = local.replace(hour=0, minute=0, second=0, microsecond=0)
    return not (local - midnight) % step


def utc_text(time: datetime) -> str:
    """Return ``2022-06-09T02:15:00Z``."""
    return time.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="seconds") + "Z"


def time_label(time: datetime, until: datetime | None = None, *, between: str = " to ") -> str:
    """Return a time as users read it: ``2022-06-09 11:15 KST``, or ``2022-06-09 11:15 to 2022-06-09 12:15 KST``."""
    text = f"{time.astimezone(KST):%Y-%m-%d %H:%M}"
    return f"{text} KST" if until in (None, time) else f"{text}{between}{time_label(until)}"


def kst_text(time: datetime) -> str:
    """Return ``2022-06-09T11:15:00+09:00``."""
    return time.astimezone(KST).isoformat(timespec="seconds")
