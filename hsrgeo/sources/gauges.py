"""Readings of rain gauges from CSV: a row a reading, or a row a time."""

from __future__ import annotations

import codecs
import csv
import math
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime
from itertools import chain
from pathlib import Path

import numpy as np

from hsrgeo.errors import OptionsError
from hsrgeo.model.texts import first_names, plain, short
from hsrgeo.model.times import KST, length_text, on_step, parse_time
from hsrgeo.sources.encodings import MARK_BYTES, is_utf8, unreadable, wrong_encoding
from hsrgeo.sources.gauge_csv import (
    BAD_FLAG,
    NO_READING,
    columns_below,
    flag_of,
    is_flag,
    numbered,
    refuse_hub_text,
    refuse_other_sums,
    separator_line,
    separator_of,
    spreadsheet_time,
)
from hsrgeo.sources.gauge_rules import ReadingRules, Unit
from hsrgeo.sources.readings import Readings
from hsrgeo.sources.texts import read_ends, refuse_special

_TIMES = ("time", "time_utc", "time_kst", "일시")
_NAMES = ("name", "지점명")
_NO_VALUE = {*_TIMES, *_NAMES, "lon", "lat", "지점"}
_RAIN = ("강수량", "rain", "precip")
_RATE_MARKS, _DEPTH_MARKS = ("mm_h", "mm/h", "mmh", "mm h-1"), ("_mm", "(mm)")
_DAY_DIGITS = 8  # of a time: less is a month, which is a span
_BLOCK = 1 << 20  # bytes
_NO_NUMBER = (NO_READING, "na", "n/a", "null", "none", "-", "--")


def read_readings(path: str | Path, names: Sequence[str], rules: ReadingRules) -> Readings:
    """Read what gauges measured.

    Either a row a reading (``time,name,rain_mm``) or a row a time with a column a gauge (``time,서울,인천``), parted by
    commas, semicolons or tabs. Times without a zone are KST, but those of a column ``time_utc``. Readings of gauges
    that are not among `names` are counted, and left out.

    Raises:
        OptionsError: Unreadable, in another encoding, without the columns, without a reading; bad rows, each named
            with its line and what is wrong, unless `ReadingRules.skip_bad`.
    """
    readings = Readings(tuple(names), rules.step)
    numbers = {name: number for number, name in enumerate(names)}
    try:
        refuse_special(path, pipes=True)
        with Path(path).open(encoding=_encoding(path, rules.encoding), newline="") as file:
            first = file.readline()
            refuse_hub_text(str(path), first)
            above = 0
            if separator := separator_line(first):
                above, first = 1, file.readline()
            reader = csv.reader(chain([first], file), delimiter=separator or separator_of(first), skipinitialspace=True)
            try:
                header = [plain(name) for name in next(reader, [])]
                if not {*_TIMES} & {*map(str.lower, header)}:
                    below = columns_below(file, above + 2, _TIMES)
                    raise OptionsError(
                        f"{path}, line {above + 1}: must name a column time (or time_utc, time_kst, 일시); found "
                        f"{_names_text(header)}{below}"
                    )
                taking = _Taking(f"{path}, line {above + 1}", header, numbers, rules, readings)
                for cells in reader:
                    if any(cell.strip() for cell in cells):
                        taking.take(reader.line_num + above, cells)
            except csv.Error as error:
                raise OptionsError(f"{path}, line {reader.line_num + above}: {unreadable(error)}") from error
    except OSError as error:
        raise OptionsError(f"{path}: cannot be read: {error.strerror or error}") from error
    except UnicodeError as error:
        raise wrong_encoding(str(path), rules.encoding, _start(path)) from error
    if readings.bad.count and not rules.skip_bad:
        raise OptionsError(f"{path}: {readings.bad}. With skip_bad bad rows are left out and counted")
    if not readings.counts["used"]:
        why = "; ".join(readings.notes())
        raise OptionsError(f"{path}: contains no reading of these gauges and times{f': {why}' if why else ''}")
    return readings


class _Taking:
    """Takes rows in; what a row is depends on the columns."""

    def __init__(
        self, where: str, header: Sequence[str], numbers: dict[str, int], rules: ReadingRules, readings: Readings
    ) -> None:
        self._rules, self._readings, self._numbers = rules, readings, numbers
        lowered = [name.lower() for name in header]
        times = [name for name in _TIMES if name in lowered]
        if twice := [name for name, count in Counter(header).items() if count > 1 and name]:
            raise OptionsError(f"{where}: has the column {twice[0]!r} twice")
        zone = "time_utc" if "time_utc" in times else times[0]
        self._time, self._zone = lowered.index(zone), UTC if zone == "time_utc" else KST
        self._name = next((lowered.index(name) for name in _NAMES if name in lowered), None)
        self._station = header.index("지점") if "지점" in header else None
        self._columns = len(header)
        self._flag: int | None = None
        self._moments: dict[str, datetime | str | None] = {}
        if self._name is None:
            self._values = self._of_gauges(where, header, lowered)
        else:
            value = _value_column(where, header, lowered, rules.column)
            _check_unit(where, header[value], rules.unit)
            refuse_other_sums(where, header[value], rules.step)
            self._values = {value: ""}
            self._flag = flag_of(header[value], header)

    def _of_gauges(self, where: str, header: Sequence[str], lowered: Sequence[str]) -> dict[int, str]:
        if self._rules.column is not None:
            raise OptionsError(f"{where}: has no column name, so each column is a gauge: --column cannot choose")
        columns = {at: name for at, name in enumerate(header) if lowered[at] not in _NO_VALUE and name}
        self._readings.unknown.update({name: None for name in columns.values() if name not in self._numbers})
        if not set(columns.values()) & set(self._numbers):
            raise OptionsError(
                f"{where}: has neither a column name (or 지점명) nor a column called as a gauge "
                f"({first_names(list(self._numbers))}); found {_names_text(header)}"
            )
        return columns

    def take(self, line: int, cells: Sequence[str]) -> None:
        """Take in a row."""
        if len(cells) > self._columns and any(cell.strip() for cell in cells[self._columns :]):
            return self._refuse(line, "more cells than columns")  # 1,5 in place of 1.5?
        moment = self._moment(cells[self._time] if self._time < len(cells) else "")
        if isinstance(moment, str):
            return self._refuse(line, moment, cells[self._time].strip() if self._time < len(cells) else "")
        for at, gauge in self._values.items():
            name = gauge if self._name is None else plain(cells[self._name] if self._name < len(cells) else "")
            if name not in self._numbers and self._station is not None and self._station < len(cells):
                full = numbered(name, cells[self._station].strip())  # where stations share the name
                name = full if full in self._numbers else name
            number = self._numbers.get(name)
            if not name:
                self._refuse(line, "no name")
            elif moment is None:
                self._readings.counts["other_time"] += 1
            elif number is None:
                self._readings.counts["unknown"] += 1
                self._readings.unknown.setdefault(name)
            else:
                is_bad = self._flag is not None and self._flag < len(cells) and cells[self._flag].strip() == BAD_FLAG
                self._put(line, name, moment, number, NO_READING if is_bad else cells[at] if at < len(cells) else "")
        return None

    def _put(self, line: int, name: str, moment: datetime, number: int, text: str) -> None:
        counts = self._readings.counts
        row = self._readings.depths_mm.setdefault(moment, np.full(len(self._numbers), np.nan))
        try:
            depth, cell = self._depth(text)
        except ValueError as error:
            return self._refuse(line, str(error), name)
        if depth is None:
            counts[cell] += 1
            return None
        if math.isnan(row[number]):
            row[number] = depth
            counts["used"] += 1
            if cell == "zero":
                counts["zero"] += 1
        elif row[number] == depth:
            counts["repeated"] += 1
        else:
            self._refuse(line, f"another reading of the same time, {row[number]:g} and {depth:g} mm", name)
        return None

    def _depth(self, text: str) -> tuple[float | None, str]:
        """Return the depth [mm], and what kind of cell it is."""
        stripped = text.strip()
        if not stripped:
            return (0.0, "zero") if self._rules.empty == "zero" else (None, "missing")
        if stripped.lower() in _NO_NUMBER:
            return None, "missing"
        try:
            value = float(stripped) if stripped.isascii() and "_" not in stripped else math.nan
        except ValueError:
            value = math.nan
        if not math.isfinite(value):
            raise ValueError(f"{short(text)} is no number")
        if value in self._rules.missing:
            return None, "code"
        if value < 0:
            raise ValueError(f"{value:g} is negative (if it is a code for no reading: --missing {value:g})")
        depth = value * self._rules.hours if self._rules.unit == "mm/h" else value
        if depth > self._rules.limit_mm:
            raise ValueError(f"{depth:g} mm is more than {self._rules.limit_mm:g} mm in one step")
        return depth + 0.0, "used"  # a negative zero is a plain one

    def _moment(self, text: str) -> datetime | str | None:
        """Return the start of a row's step, what is wrong with it, or None where it is not wanted."""
        if text not in self._moments:
            self._moments[text] = self._read_moment(text)
        return self._moments[text]

    def _read_moment(self, text: str) -> datetime | str | None:
        rules = self._rules
        try:
            full = spreadsheet_time(text)
            digits = sum(letter.isdigit() for letter in full)
            if digits < _DAY_DIGITS:
                return "the time must be day and time, as 2022-06-09T11:00"
            time = parse_time(full)
            if digits == _DAY_DIGITS and rules.stamp == "end":
                return "a day without a time cannot be the end of a step; perhaps it is the start (--stamp start)"
            if self._zone is UTC and not _has_zone(full):
                time = time.replace(tzinfo=UTC)
            start = (time - rules.step if rules.stamp == "end" else time).astimezone(KST)
        except OptionsError:
            return "the time must be day and time, as 2022-06-09T11:00"
        except (OverflowError, ValueError) as error:
            return f"the time cannot be: {error}"
        if not on_step(start, rules.step):
            return f"the time is not on whole steps of {length_text(rules.step)} after midnight KST"
        self._readings.in_file.add(start)
        after = rules.end is not None and start + rules.step > rules.end
        return None if after or (rules.start is not None and start < rules.start) else start

    def _refuse(self, line: int, what: str, name: str = "") -> None:
        self._readings.counts["bad"] += 1
        self._readings.bad.add(line, what, name)


def _value_column(where: str, header: Sequence[str], lowered: Sequence[str], wanted: str | None) -> int:
    if wanted is not None:
        name = plain(wanted).lower()
        if name in lowered:
            return lowered.index(name)
        raise OptionsError(f"{where}: has no column {wanted!r}; found {_names_text(header)}")
    others = [at for at, name in enumerate(lowered) if name and name not in _NO_VALUE and not is_flag(name)]
    if len(named := [at for at in others if lowered[at].startswith(_RAIN)]) == 1:
        return named[0]  # beside 기온(°C) and 풍속(m/s)
    if len(others) != 1:
        found = "several could be it" if others else "none is there"
        choose = "choose by --column"
        raise OptionsError(f"{where}: which column is the rain? {found}: found {_names_text(header)}; {choose}")
    return others[0]


def _check_unit(where: str, column: str, unit: Unit) -> None:
    """Refuse a column whose own name tells another unit."""
    lowered = column.lower()
    is_rate = any(mark in lowered for mark in _RATE_MARKS)
    is_depth = not is_rate and lowered.endswith(_DEPTH_MARKS)
    if (is_rate and unit == "mm") or (is_depth and unit == "mm/h"):
        other = "mm/h" if unit == "mm" else "mm"
        raise OptionsError(f"{where}: the column {column!r} is called as {other}, but read as {unit}: choose --unit")


def _has_zone(text: str) -> bool:
    stripped = text.strip()
    try:
        return datetime.fromisoformat(stripped).tzinfo is not None
    except ValueError:
        return False


def _encoding(path: str | Path, wanted: str) -> str:
    """Return the encoding of a file: UTF-8 where it is, for Korean letters of another encoding never are by chance."""
    if is_utf8(wanted):
        return "utf-8-sig"
    if not Path(path).is_file():  # a pipe can be read once only
        return wanted
    decoder = codecs.getincrementaldecoder("utf-8-sig")()
    try:
        with Path(path).open("rb") as file:
            while block := file.read(_BLOCK):
                decoder.decode(block)
            decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        return wanted
    return "utf-8-sig"


def _start(path: str | Path) -> bytes:
    """Return the first bytes of a file; nothing of a pipe, which is over."""
    return read_ends(str(path), MARK_BYTES, 0)[0] if Path(path).is_file() else b""


def _names_text(header: Sequence[str]) -> str:
    return ", ".join(header) or "nothing"
