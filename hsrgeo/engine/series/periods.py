"""Rows of a series added up by the hour, the day or the event: depth, volume, rates, and how much was observed."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hsrgeo.engine.axis import ceil_step, floor_step, frame_length_of
from hsrgeo.engine.periods import PeriodLength, check_period
from hsrgeo.engine.series.series_table import FACTOR_COLUMN, RAIN_LAW, between_steps, has_factors, law_of, series_lines
from hsrgeo.errors import OptionsError, SourceError
from hsrgeo.model.times import KST, length_text, on_step, time_label
from hsrgeo.products.rain import KMA_LAW
from hsrgeo.sources.remote import local, target
from hsrgeo.writers.table_files import check_table, write_table

RATE, MAXIMUM, VOLUME, COVERAGE = range(4)
"""Columns of the numbers of places at a time: mm/h, mm/h, m3, share of the place; NaN for no number."""

POINT_PERIOD_COLUMNS = ("depth_mm", "mean_mm_h", "max_mm_h", "time_coverage", "area_coverage")
ADJUSTED_COLUMN = "adjusted"
"""Share of the rows of a period, of those in which anything was observed, whose rain was multiplied by a factor."""
POLYGON_PERIOD_COLUMNS = ("depth_mm", "volume_m3", "mean_mm_h", "max_mm_h", "time_coverage", "area_coverage")

_HOUR = timedelta(hours=1)
_ROUNDING = 1e-9
_MORE = ("minutes", "max_mm_h", "volume_m3", FACTOR_COLUMN)

Row = tuple[datetime, NDArray[np.float64]]
"""A time and the numbers of every place, shape (places, 4)."""


@dataclass(frozen=True, slots=True)
class Periods:
    """How rows are added up.

    Raises:
        OptionsError: A length that cannot be.
    """

    length: PeriodLength
    """Counted from midnight KST, or ``event``: all rows in one."""
    step: timedelta
    """How long a row stands for."""
    min_coverage: float = 0.0
    """Share of time x area, 0 to 1, below which there is no number."""
    polygons: bool = False
    has_factor: Callable[[datetime], bool] | None = None
    """Whether the rain of a row was multiplied by a factor, by its time; None without a bias."""

    def __post_init__(self) -> None:
        check_period(self.length, self.step)

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the numbers."""
        columns = POLYGON_PERIOD_COLUMNS if self.polygons else POINT_PERIOD_COLUMNS
        return columns if self.has_factor is None else (*columns, ADJUSTED_COLUMN)

    @property
    def common(self) -> str:
        """The column that all places share (`hsrgeo.writers.table_files.write_table`); empty without a bias."""
        return "" if self.has_factor is None else ADJUSTED_COLUMN

    def rows(self, rows: Iterable[Row], start: datetime | None = None, end: datetime | None = None) -> Iterator[Row]:
        """Yield the start of each period, KST, and its numbers, shape (places, columns).

        Depth and volume are of what was observed: gaps are not filled. The mean rate is over the observed time, the
        maximum the highest of any row. ``time_coverage`` is the share of the period's rows in which any of the place
        was observed, ``area_coverage`` the share of the place that these saw.

        Args:
            rows: In order; those between whole steps are left out.
            start: Of an event; None is its first row.
            end: Of an event, not included; None is after its last row.
        """
        total: _Total | None = None
        last: datetime | None = None
        for time, numbers in rows:
            if not on_step(time, self.step):
                continue
            begin = floor_step(time, self.length) if isinstance(self.length, timedelta) else (start or time)
            if total is None or (begin != total.start and isinstance(self.length, timedelta)):
                if total is not None:
                    yield self._finished(total, self.length)
                total = _Total(begin, len(numbers))
            total.add(numbers, has_factor=self.has_factor is not None and self.has_factor(time))
            last = time
        if total is None or last is None:
            return
        if isinstance(self.length, timedelta):
            yield self._finished(total, self.length)
        else:
            yield self._finished(total, (ceil_step(end, self.step) if end else last + self.step) - total.start)

    def _finished(self, total: _Total, length: PeriodLength) -> Row:
        assert isinstance(length, timedelta)  # noqa: S101 - an event's is known by now
        expected = max(length // self.step, 1)
        seen = total.rows > 0
        nan = np.full(len(seen), np.nan)
        time_coverage = total.rows / expected
        area_coverage = np.divide(total.coverage, total.rows, out=np.zeros(len(seen)), where=seen)
        known = seen & (time_coverage * area_coverage >= self.min_coverage - _ROUNDING)
        depth = np.where(known, total.rates * (self.step / _HOUR), np.nan)
        mean = np.divide(total.rates, total.rows, out=nan.copy(), where=known)
        maximum, volume = (np.where(known, values, np.nan) for values in (total.maximum, total.volume))
        rates = [mean, maximum, time_coverage, area_coverage]
        if self.has_factor is not None:
            rates.append(np.full(len(seen), total.adjusted / total.seen if total.seen else np.nan))
        return total.start, np.column_stack([depth, volume, *rates] if self.polygons else [depth, *rates])


@dataclass(slots=True)
class _Total:
    """What the rows of a period add up to, place by place."""

    start: datetime
    places: int
    rates: NDArray[np.float64] = field(init=False)
    rows: NDArray[np.float64] = field(init=False)
    maximum: NDArray[np.float64] = field(init=False)
    volume: NDArray[np.float64] = field(init=False)
    coverage: NDArray[np.float64] = field(init=False)
    seen: int = 0
    """Rows in which any place was observed."""
    adjusted: int = 0
    """Of those: with a factor."""

    def __post_init__(self) -> None:
        self.rates, self.rows, self.maximum, self.volume, self.coverage = np.zeros((5, self.places))

    def add(self, numbers: NDArray[np.float64], *, has_factor: bool) -> None:
        """Take in the row of a time; a place without a rate was not observed."""
        seen = ~np.isnan(numbers[:, RATE])
        self.seen += bool(seen.any())
        self.adjusted += bool(seen.any()) and has_factor
        self.rows += seen
        self.rates[seen] += numbers[seen, RATE]
        self.maximum[seen] = np.maximum(self.maximum[seen], numbers[seen, MAXIMUM])
        self.volume[seen] += numbers[seen, VOLUME]
        self.coverage[seen] += numbers[seen, COVERAGE]


@dataclass(frozen=True, slots=True)
class PeriodTable:
    """What came of it."""

    path: Path
    places: int
    periods: int
    notes: tuple[str, ...] = ()


def series_by_period(  # noqa: PLR0913 - the options of `hsrgeo series --period`
    table: str | Path,
    out: str | Path,
    length: PeriodLength,
    *,
    start: datetime | None = None,
    end: datetime | None = None,
    min_coverage: float = 0.0,
    wide: bool = False,
    excel: bool = False,
) -> PeriodTable:
    """Add up a table of `hsrgeo series` by the hour, the day or the event.

    Args:
        table: ``.csv`` or ``.parquet`` of rain.
        out: The new table, ``.csv``, ``.xlsx`` or ``.parquet``; what is there already is replaced.
        length: Of a period, counted from midnight KST, or ``event``.
        start: First time wanted, aware.
        end: First time no longer wanted, aware.
        min_coverage: Share of time x area, 0 to 1, below which there is no number.
        wide: See `SeriesOptions`.
        excel: See `SeriesOptions`.

    Raises:
        OptionsError: A length that cannot be; no row within the times; the table would replace itself.
        SourceError: No series of rain, or a damaged one; all times lie between steps.
        MissingExtraError: pyarrow is not installed, and one of the two is Parquet.
        WriteError: The disk refused.
    """
    source, path = Path(table), target(local(out, "hsrgeo series --period"))
    check_table(path, wide=wide, excel=excel)
    if source.resolve() == Path(str(path)).resolve():
        raise OptionsError(f"{out}: the table would overwrite its source; use another name")
    names: dict[str, int] = {}
    found: dict[datetime, dict[int, tuple[float, ...]]] = {}
    lengths: set[float] = set()
    polygons = False
    adjusted: set[datetime] = set()
    for time, name, rate, coverage, minutes, maximum, volume, factor in series_lines(source, _MORE):
        number = names.setdefault(name, len(names))
        if (start is not None and time < start) or (end is not None and time >= end):
            continue
        of_time = found.setdefault(time, {})
        if number in of_time:
            raise SourceError(str(source), f"has two rows of {name!r} at {time_label(time)}")
        polygons = polygons or not np.isnan(volume)
        of_time[number] = (rate, rate if np.isnan(maximum) else maximum, volume, coverage)
        lengths.add(minutes)
        if not np.isnan(factor):
            adjusted.add(time)
    if not found:
        raise OptionsError(f"{table}: has no row in the requested times")
    said = {minutes for minutes in lengths if not np.isnan(minutes)}
    if len(lengths) > 1:
        raise SourceError(str(source), "its rows stand for different lengths of time (column minutes)")
    step, notes = frame_length_of(found, timedelta(minutes=said.pop()) if said else None)
    has_factor = adjusted.__contains__ if has_factors(source) else None
    periods = Periods(length, step, min_coverage, polygons, has_factor)
    rows = list(periods.rows(_in_order(found, len(names)), start, end))
    if not rows:
        raise SourceError(str(source), f"has no time on whole steps of {length_text(step)} after midnight KST")
    law = law_of(source)
    texts = {RAIN_LAW: law} if law != str(KMA_LAW) else {}
    write_table(path, list(names), periods.columns, rows, texts=texts, common=periods.common, wide=wide, excel=excel)
    return PeriodTable(Path(str(path)), len(names), len(rows), (*notes, *between_steps(found, step)))


def _in_order(found: dict[datetime, dict[int, tuple[float, ...]]], places: int) -> Iterator[Row]:
    for time in sorted(found):
        numbers = np.full((places, 4), np.nan)
        for number, values in found[time].items():
            numbers[number] = values
        yield time.astimezone(KST), numbers
