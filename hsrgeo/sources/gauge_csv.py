"""CSV of gauges as spreadsheets write it, with separators, times and bad rows; and what columns of KMA's tables are."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import islice

from hsrgeo.errors import OptionsError
from hsrgeo.model.times import iso_time, length_text

_SEPARATORS = ",;\t"
_ANY_SEPARATOR = re.compile(f"[{_SEPARATORS}]")
_SEPARATOR_LINE = re.compile(r'\ufeff?"?sep=([^"\r\n])"?\s*', re.IGNORECASE)
_QUOTED = re.compile(r'"[^"]*"')
_SERIAL = re.compile(r"[2-7]\d{4}(?:\.\d+)?", re.ASCII)
_SERIAL_ORIGIN = datetime(1899, 12, 30)  # noqa: DTZ001 - spreadsheets know no zones
# ^ days since then, as a spreadsheet stores times: ISO/IEC 29500-1, 18.17.4.1, dates from March 1900 on. 20000 to 79999
# are the years 1954 to 2119; a text of five digits is no other time.
_SHOWN = 10  # different things that are wrong, and lines of each, that a message lists


def separator_of(header: str) -> str:
    """Return what parts the columns of a header: the most frequent of comma, semicolon and tab; of equals the first."""
    return max(_SEPARATORS, key=_QUOTED.sub("", header).count)


def separator_line(line: str) -> str:
    """Return the separator that a line above the columns names for Excel, as ``sep=;`` does; empty for another line."""
    match = _SEPARATOR_LINE.fullmatch(line)
    return match[1] if match else ""


def columns_below(lines: Iterable[str], first: int, names: Iterable[str]) -> str:
    """Return what to do where a title stands above the columns; empty where none of the next lines names one.

    Args:
        lines: After the one that was taken for the columns.
        first: Number of the first of them.
        names: Of columns, one of which is enough.
    """
    known = {*names}
    for number, line in enumerate(islice(lines, _SHOWN), first):
        cells = (cell.strip(' "\r\n') for cell in _ANY_SEPARATOR.split(line))
        if found := [cell for cell in cells if cell.lower() in known]:
            return f"; line {number} has the columns {', '.join(found)}: delete the lines above it"
    return ""


def missing_columns(wanted: Sequence[str], columns: Sequence[str], other_names: str = "") -> str:
    """Return which columns a first line must name, which it lacks and which it has; empty where it has them all."""
    missing = [name for name in wanted if name not in columns]
    if not missing:
        return ""
    allowed = f" (or {other_names})" if other_names else ""
    found = ", ".join(columns) or "nothing"
    return f"must name the columns {','.join(wanted)}{allowed}; missing {','.join(missing)}; found {found}"


def spreadsheet_time(text: str) -> str:
    """Return a time in full as `hsrgeo.model.times.iso_time` does; also of ``44721.25``, as a spreadsheet stores it.

    Returns:
        What `hsrgeo.model.times.parse_time` reads; a text of another kind as it is.

    Raises:
        ValueError: There is no such date or time.
    """
    stripped = text.strip()
    if _SERIAL.fullmatch(stripped):
        return (_SERIAL_ORIGIN + timedelta(seconds=round(float(stripped) * 86_400))).isoformat()
    return iso_time(text)


@dataclass(slots=True)
class BadRows:
    """What is wrong with rows: each thing once, with the lines that it is wrong in."""

    count: int = 0
    _counts: Counter[str] = field(default_factory=Counter)
    """By what is wrong."""
    _places: dict[str, list[str]] = field(default_factory=dict)
    """The first lines of each of the first things."""

    def add(self, line: int, what: str, name: str = "") -> None:
        """Count a row. `what` says what is wrong: in the same words for the same mistake. Lines are counted from 1."""
        self.count += 1
        if what in self._places or len(self._places) < _SHOWN:
            self._counts[what] += 1
            places = self._places.setdefault(what, [])
            if len(places) < _SHOWN:
                places.append(f"{line} ({name})" if name else str(line))

    def __str__(self) -> str:
        """``'x' is no number: lines 3 (서울), 4 (인천) and 15 more; more cells than columns: line 7``."""
        parts = []
        for what, places in self._places.items():
            more = self._counts[what] - len(places)
            word = "line" if self._counts[what] == 1 else "lines"
            parts.append(f"{what}: {word} {', '.join(places)}{f' and {more:,} more' if more else ''}")
        others = self.count - self._counts.total()
        return "; ".join(parts) + (f"; and {others:,} others" if others else "")


def numbered(name: str, number: str) -> str:
    """Return the name of a station that shares it with another: ``서울 (108)``."""
    return f"{name} ({number})"


BAD_FLAG = "9"
"""Of quality: the reading is missing or bad (KMA composite format, section 7, "Other facts")."""
NO_READING = "nan"
"""What a reading with that flag is taken as, whatever its cell says."""
_FLAG_MARKS = ("qc", "플래그", "flag")
_MOVING = re.compile(r"rn[-_ ]?(\d+)\s*(m|h)(?:in)?\b", re.ASCII)
_DAY = re.compile(r"rn[-_ ]?day|일\s*강수량|daily", re.ASCII)
_RUNNING = re.compile(r"누적|cumul|accum")
_UNITS = {"m": timedelta(minutes=1), "h": timedelta(hours=1)}


def is_flag(column: str) -> bool:
    """Tell whether a column holds flags of quality: ``강수량 QC플래그``."""
    return any(mark in column.lower() for mark in _FLAG_MARKS)


def flag_of(column: str, header: Sequence[str]) -> int | None:
    """Return where the flags of a column are: ``강수량 QC플래그`` are those of ``강수량(mm)``; None for none."""
    quantity = column.partition("(")[0].strip().lower()
    flags = [at for at, name in enumerate(header) if is_flag(name) and name.strip().lower().startswith(quantity)]
    return flags[0] if len(flags) == 1 else None


def refuse_other_sums(path: str, column: str, step: timedelta) -> None:
    """Refuse a column that, by its name, sums up other times than one step.

    The columns RN-15m to RN-12H of KMA's minute tables are moving sums, RN-DAY is the sum since midnight (KMA composite
    format, section 7, "Other facts"): each tells of the same rain many times.
    """
    lowered = column.lower()
    if moving := _MOVING.search(lowered):
        length: timedelta | None = int(moving[1]) * _UNITS[moving[2]]
    elif _RUNNING.search(lowered):
        length = None
    elif _DAY.search(lowered):
        length = timedelta(days=1)
    else:
        return
    if length == step:
        return
    found = f"sums of {length_text(length)}" if length else "sums since some beginning"
    raise OptionsError(
        f"{path}: the column {column!r} contains {found}, not of a step of {length_text(step)}: "
        "choose another by --column"
        + (f", or rows {length_text(length)} apart with --step {length_text(length)}" if length else "")
    )


def refuse_hub_text(path: str, first: str) -> None:
    """Refuse the own text of KMA's API hub, whose columns stand apart by blanks and whose rain is moving sums.

    Raises:
        OptionsError: The first line is the one that such a text begins with (KMA composite format, section 7).
    """
    if first.lstrip("\ufeff").startswith("#START7777"):
        raise OptionsError(
            f"{path}: is text of KMA's API hub (#START7777), which is not read: its RN columns are moving sums; make "
            "a CSV of time,name,rain_mm of it, with rows as far apart as the sum is long (RN-15m: --step 15min)"
        )
