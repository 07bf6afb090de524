"""Lists of stations with several rows a station: the row that holds at a time, and names that tell stations apart."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import datetime, timedelta

from hsrgeo.errors import OptionsError
from hsrgeo.model.times import kst_text, parse_time
from hsrgeo.sources.gauge_csv import numbered, spreadsheet_time

Row = tuple[int, list[str]]
"""Line, and cells."""

_NUMBER, _BEGUN, _ENDED = "지점", "시작일", "종료일"  # as KMA's META_관측지점정보.csv has them
_DAY = timedelta(days=1)


def rows_that_hold(columns: Sequence[str], rows: list[Row], at: datetime | None) -> tuple[list[Row], list[str]]:
    """Return one row of each station, and notes on the choice; all rows of a list without times.

    Args:
        columns: Of the list, with ``name``.
        rows: Of the list.
        at: The row that holds then; None for the current one, or else the last.

    Raises:
        OptionsError: A day that cannot be read.
    """
    if _BEGUN not in columns or _ENDED not in columns:
        return rows, []
    stations: dict[str, list[tuple[datetime, datetime | None, Row]]] = {}
    for row in rows:
        begun, ended = (_day(row[0], which, _cell(columns, row, which)) for which in (_BEGUN, _ENDED))
        if begun is None:
            raise OptionsError(f"line {row[0]}: no {_BEGUN}")
        key = _cell(columns, row, _NUMBER) or _cell(columns, row, "name")
        stations.setdefault(key, []).append((begun, ended, row))
    chosen: list[Row] = []
    several = 0
    for listed in stations.values():
        if at is None:
            fit = [one for one in listed if one[1] is None] or [max(listed, key=lambda one: (one[1] or one[0], one[0]))]
        else:
            fit = [one for one in listed if one[0] <= at and (one[1] is None or at < one[1] + _DAY)]
        several += len(listed) > 1 and bool(fit)
        # On the day of a move the old row and the new one both hold: the later one counts.
        chosen += [max(fit, key=lambda one: one[0])[2]] if fit else []
    when = "the current one (the last, of a closed station)" if at is None else f"the one valid at {kst_text(at)}"
    notes = [f"stations with several rows, of which {when} is taken: {several:,}"] if several else []
    if gone := len(stations) - len(chosen):
        notes.append(f"stations with no row for that time, ignored: {gone:,}")
    return chosen, notes


def numbered_names(columns: Sequence[str], rows: Sequence[Row]) -> dict[tuple[str, str], str]:
    """Return the name of each pair of a name and a number: with the number where stations share the name."""
    pairs = dict.fromkeys((_cell(columns, row, "name"), _cell(columns, row, _NUMBER)) for row in rows)
    counts = Counter(name for name, _number in pairs)
    return {pair: numbered(*pair) if counts[pair[0]] > 1 and pair[1] else pair[0] for pair in pairs}


def _cell(columns: Sequence[str], row: Row, which: str) -> str:
    at = columns.index(which) if which in columns else len(row[1])
    return row[1][at].strip() if at < len(row[1]) else ""


def name_of(columns: Sequence[str], row: Row, names: dict[tuple[str, str], str]) -> str:
    """Return the name of a row, of `numbered_names`."""
    return names[_cell(columns, row, "name"), _cell(columns, row, _NUMBER)]


def _day(line: int, which: str, text: str) -> datetime | None:
    if not text:
        return None
    try:
        return parse_time(spreadsheet_time(text))
    except (OptionsError, ValueError) as error:
        raise OptionsError(f"line {line}: {which} {text!r} is no day") from error
