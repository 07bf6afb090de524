"""CSV of gauges as spreadsheets write it: their separators and times; and its bad rows, told without repeating."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field
from datetime import date

_SEPARATORS = ",;\t"
_QUOTED = re.compile(r'"[^"]*"')
_TIME = re.compile(
    r"(\d{4})([-/]|\. ?)(\d{1,2})\2(\d{1,2})"
    r"(?:[ T]+(\d{1,2}):(\d{2})(?::(\d{2}(?:\.\d+)?))?\s*(Z|[+-]\d{2}:?\d{2})?)?",
    re.IGNORECASE | re.ASCII,
)
_LAST_HOUR = 23
_TOLD = 10  # different things that are wrong, and lines of each, that a message lists


def separator_of(header: str) -> str:
    """Return what parts the columns of a header: the most frequent of comma, semicolon and tab; of equals the first."""
    return max(_SEPARATORS, key=_QUOTED.sub("", header).count)


def iso_time(text: str) -> str:
    """Return a time as spreadsheets write it, year first, in full: ``2022/6/9 6:10`` is ``2022-06-09T06:10``.

    Returns:
        What `hsrgeo.model.times.parse_time` reads; a text of another kind as it is.

    Raises:
        ValueError: There is no such date or time.
    """
    match = _TIME.fullmatch(text.strip())
    if match is None:
        return text
    year, _mark, month, day, hour, minute, second, zone = match.groups()
    try:
        told = date(int(year), int(month), int(day)).isoformat()
    except ValueError as error:
        raise ValueError("there is no such date") from error
    if hour is None:
        return told
    if int(hour) > _LAST_HOUR:
        raise ValueError("there is no such time; midnight is 00:00 of the next day")
    return f"{told}T{int(hour):02}:{minute}{f':{second}' if second else ''}{(zone or '').upper()}"


@dataclass(slots=True)
class BadRows:
    """What is wrong with rows: each thing once, with the lines that it is wrong in."""

    count: int = 0
    _counts: Counter[str] = field(default_factory=Counter)
    """By what is wrong."""
    _places: dict[str, list[str]] = field(default_factory=dict)
    """The first lines of each of the first things."""

    def add(self, line: int, what: str, name: str = "") -> None:
        """Count a row.

        Args:
            line: Of the file, from 1.
            what: Is wrong, the same words where it is the same.
            name: Of the gauge, or whatever else tells what it is about.
        """
        self.count += 1
        if what in self._places or len(self._places) < _TOLD:
            self._counts[what] += 1
            places = self._places.setdefault(what, [])
            if len(places) < _TOLD:
                places.append(f"{line} ({name})" if name else str(line))

    def __str__(self) -> str:
        """``'x' is no number: lines 3 (서울), 4 (인천) and 15 more; more cells than columns: line 7``."""
        told = []
        for what, places in self._places.items():
            more = self._counts[what] - len(places)
            word = "line" if self._counts[what] == 1 else "lines"
            told.append(f"{what}: {word} {', '.join(places)}{f' and {more:,} more' if more else ''}")
        others = self.count - self._counts.total()
        return "; ".join(told) + (f"; and {others:,} others" if others else "")


def numbered(name: str, number: str) -> str:
    """Return the name of a station that shares it with another: ``서울 (108)``."""
    return f"{name} ({number})"
