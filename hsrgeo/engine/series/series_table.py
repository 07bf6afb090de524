"""A table of `hsrgeo series` read back, place by place."""

from __future__ import annotations

import csv
from collections.abc import Collection, Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from hsrgeo.engine.axis import ceil_step
from hsrgeo.errors import OptionsError, SourceError, printable
from hsrgeo.gis.hyetograph import PlaceSeries
from hsrgeo.model.texts import from_cell
from hsrgeo.model.times import FRAME_STEP, KST, existing, length_text, on_step, time_label, usual_step
from hsrgeo.products.rain import KMA_LAW
from hsrgeo.sources.arrow import pyarrow_modules
from hsrgeo.sources.encodings import unreadable

MOST_PLACES = 12
"""Panels of one plot."""
_RATES = ("mean_mm_h", "rain_mm_h")
_NO_RAIN = "reflectivity_dbz"
_KEYS = ("time_utc", "name", "coverage")
_DAY = timedelta(days=1)
_MOST_SLOTS = 5_000_000  # forty years of five minutes; more is a time that was mistyped
_WHOLE = 1 + 1e-6

MINUTES = "minutes"
"""Column: how long a row stands for."""
RAIN_LAW = "rain_law"
"""Column: how the rain follows, as the tag ``RAIN_LAW`` of a COG says it; a table without it is by KMA's law."""

FACTOR_COLUMN = "bias_factor"
"""Column: that the rain of a row was multiplied by; with a bias only."""

_Line = tuple[Any, ...]
"""Time, place, rate [mm/h], coverage, and the numbers of further columns; NaN for no number."""
_Rows = dict[str, dict[datetime, tuple[float, float]]]


def read_series(
    path: Path,
    names: Sequence[str] = (),
    start: datetime | None = None,
    end: datetime | None = None,
    most: int | None = MOST_PLACES,
) -> tuple[list[PlaceSeries], list[str]]:
    """Return the series of places, all on one time axis, and notes.

    Args:
        path: ``.csv`` or ``.parquet`` as `hsrgeo series` writes it; columns that it does not know are passed over.
        names: Of the places wanted, in the order wanted; empty for all.
        start: First time wanted, aware; None is the first of the table.
        end: First time no longer wanted, aware; None is after the last of the table.
        most: Places that there may be; None for any number.

    Raises:
        SourceError: The table is not there, not a series of rain, or damaged.
        OptionsError: No such place, no row within the times, too many places.
        MissingExtraError: pyarrow is not installed.
    """
    rows: _Rows = {name: {} for name in names}
    if most is not None and len(rows) > most:
        raise OptionsError(f"{len(rows)} places: at most {most} in one plot")
    there: dict[str, None] = {}
    lengths: set[float] = set()
    for time, name, rate, coverage, minutes in series_lines(path, (MINUTES,)):
        there.setdefault(name)
        if most is not None and not names and len(there) > most:
            raise OptionsError(f"{path}: more than {most} places: choose with --name, of {_listed(there)}")
        wanted = (start is None or time >= start) and (end is None or time < end)
        if not wanted or (names and name not in rows):
            continue
        of_place = rows.setdefault(name, {})
        if time in of_place:
            raise SourceError(str(path), f"has two rows of {name!r} at {time_label(time)}")
        of_place[time] = rate, coverage
        lengths.add(minutes)
    if not there:
        raise SourceError(str(path), "is empty: it has no row")
    if unknown := [name for name in names if name not in there]:
        raise OptionsError(f"{path}: no place {', '.join(map(repr, unknown))}; there are {_listed(there)}")
    times = sorted({time for of_place in rows.values() for time in of_place})
    if not times:
        raise OptionsError(f"{path}: has no row in the requested times")
    return _on_one_axis(path, rows, times, start, end, _step(path, times, lengths))


def _on_one_axis(
    path: Path, rows: _Rows, times: list[datetime], start: datetime | None, end: datetime | None, step: timedelta
) -> tuple[list[PlaceSeries], list[str]]:
    """Fill every whole step from the first to the last; what lies between the steps stands for no time of its own."""
    kept = [time for time in times if on_step(time, step)]
    if not kept:
        raise SourceError(str(path), f"has no time on whole steps of {length_text(step)} after midnight KST")
    begin = kept[0] if start is None else min(ceil_step(start, step), kept[0])
    finish = kept[-1] + step if end is None else max(ceil_step(end, step), kept[-1] + step)
    count = (finish - begin) // step
    if count > _MOST_SLOTS:
        raise OptionsError(f"{path}: {begin:%Y-%m-%d} to {finish:%Y-%m-%d} in steps of {step} is too long")
    made = []
    for name, of_place in rows.items():
        rates, coverage = np.full(count, np.nan), np.zeros(count)
        for time in kept:
            if time in of_place:
                slot = (time - begin) // step
                rates[slot], coverage[slot] = of_place[time]
        coverage[np.isnan(rates) | np.isnan(coverage)] = 0  # without one of the two nothing is known
        rates[coverage <= 0] = np.nan
        made.append(PlaceSeries(name, begin, step, rates, coverage))
    return made, between_steps(times, step)


def between_steps(times: Collection[datetime], step: timedelta) -> list[str]:
    """Return a note on the times between whole steps after midnight KST, which no sum takes; empty if none are."""
    between = sum(not on_step(time, step) for time in times)
    said = f"{between:,} of {len(times):,} times lie between steps of {length_text(step)}, and are left out of sums"
    return [said] if between else []


def _step(path: Path, times: Sequence[datetime], lengths: set[float]) -> timedelta:
    """Return how long each row stands for; of a table that does not say so, how far most rows are apart."""
    if len(lengths) > 1:
        raise SourceError(str(path), f"its rows stand for different lengths of time: {sorted(lengths)} minutes")
    said = lengths.pop()
    step = (usual_step(times) or FRAME_STEP) if np.isnan(said) else timedelta(minutes=said)
    if _DAY % step:
        raise SourceError(str(path), f"its times are {step} apart, which does not divide a day")
    return step


def series_lines(path: Path, more: Sequence[str] = ()) -> Iterator[_Line]:
    """Yield time, name, rate [mm/h], coverage and further numbers of each row of a table that `hsrgeo series` wrote.

    Of further columns that the table lacks every number is NaN.

    Raises:
        SourceError: It cannot be read, or is no such table.
    """
    if not path.is_file():
        raise SourceError(str(path), "no such file")
    match path.suffix.lower():
        case ".csv":
            return _of_csv(path, more)
        case ".parquet":
            return _of_parquet(path, more)
        case other:
            raise OptionsError(
                f"{path}: a table of hsrgeo series is read from .csv or .parquet, not {other!r}: write it as one"
            )


def law_of(path: Path) -> str:
    """Return how the rain of a table that `series_lines` reads follows; KMA's law where it does not say."""
    law: object = None
    if path.suffix.lower() == ".csv":
        with path.open(encoding="utf-8-sig", newline="") as file:
            law = next(csv.DictReader(file), {}).get(RAIN_LAW)
    else:
        _pa, parquet = pyarrow_modules("to read Parquet")
        with parquet.ParquetFile(path) as opened:
            if RAIN_LAW in opened.schema_arrow.names:
                first = next(opened.iter_batches(batch_size=1, columns=[RAIN_LAW]), None)
                law = first.column(0).to_pylist()[0] if first is not None else None
    return printable(from_cell(str(law))) if law else str(KMA_LAW)


def has_factors(path: Path) -> bool:
    """Tell whether a table of `hsrgeo series` was made with a bias."""
    if path.suffix.lower() == ".csv":
        with path.open(encoding="utf-8-sig", newline="") as file:
            return FACTOR_COLUMN in next(csv.reader(file), [])
    _pa, parquet = pyarrow_modules("to read Parquet")
    return FACTOR_COLUMN in parquet.read_schema(path).names


def _of_csv(path: Path, more: Sequence[str]) -> Iterator[_Line]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file)
            header = next(reader, [])
            places = [header.index(name) for name in _columns(path, header)]
            further = [header.index(name) if name in header else None for name in more]
            text, time = "", datetime.min.replace(tzinfo=UTC)
            for row in reader:
                if not row:
                    continue
                try:
                    moment, name, covered, rate = (row[place] for place in places)
                    if moment != text:  # of all places of a time the text is the same
                        text, time = moment, _time(moment)
                    numbers = [np.nan if place is None else _number(row[place], np.inf) for place in further]
                    yield time, from_cell(name), _number(rate, np.inf), _number(covered, _WHOLE), *numbers
                except IndexError as error:
                    short = f"expected {len(header)} columns as in its head, found {len(row)}"
                    raise SourceError(str(path), f"line {reader.line_num}: {short}") from error
                except ValueError as error:
                    raise SourceError(str(path), f"line {reader.line_num}: {error}") from error
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise SourceError(str(path), f"cannot be read as CSV in UTF-8: {unreadable(error)}") from error


def _of_parquet(path: Path, more: Sequence[str]) -> Iterator[_Line]:
    pa, parquet = pyarrow_modules("to read Parquet")
    try:
        with parquet.ParquetFile(path) as file:
            wanted = _columns(path, file.schema_arrow.names)
            there = [name for name in more if name in file.schema_arrow.names]
            for batch in file.iter_batches(columns=[*wanted, *there]):
                times, names, covered, rates = (batch.column(name).to_pylist() for name in wanted)
                nothing = [None] * len(times)
                further = [batch.column(name).to_pylist() if name in there else nothing for name in more]
                for time, name, share, rate, *numbers in zip(times, names, covered, rates, *further, strict=True):
                    checked = [_checked(number, np.inf) for number in numbers]
                    yield time.astimezone(KST), name, _checked(rate, np.inf), _checked(share, _WHOLE), *checked
    except (OSError, pa.ArrowException, ValueError, AttributeError, TypeError) as error:
        raise SourceError(str(path), f"cannot be read as a series: {error}") from error


def _columns(path: Path, header: Sequence[str]) -> tuple[str, str, str, str]:
    """Return the names of the columns for time, place, coverage and rain."""
    rate = next((name for name in _RATES if name in header), None)
    if "depth_mm" in header:
        raise SourceError(
            str(path),
            "is a table of periods (--period): give a table made without --period; "
            "of that, hsrgeo plot series --bar 1h draws hours and hsrgeo series TABLE --period 1d adds up days",
        )
    lacking = [name for name in _KEYS if name not in header]
    if not lacking and rate is None and _NO_RAIN in header:
        raise SourceError(str(path), "contains reflectivity, which is no depth: run hsrgeo series with --quantity rain")
    if "name" in lacking and any(name.startswith("time") for name in header):
        raise SourceError(str(path), "has no column name: a table of one column per place (--wide) cannot be used here")
    if lacking or rate is None:
        missed = ", ".join([*lacking, *([] if rate else [" or ".join(_RATES)])])
        raise SourceError(str(path), f"is not a table from hsrgeo series: it has no column {missed}")
    time, name, coverage = _KEYS
    return time, name, coverage, rate


def _time(text: str) -> datetime:
    time = datetime.fromisoformat(text)
    if time.tzinfo is None:
        raise ValueError(f"time {text!r} has no zone")
    return existing(time).astimezone(KST)


_HIGHEST = 1e9  # of any rain, so that sums of it are numbers


def _number(text: str, most: float) -> float:
    return _checked(float(text) if text.strip() else None, most)


def _checked(number: float | None, most: float) -> float:
    value = np.nan if number is None else number
    if value < 0 or value > min(most, _HIGHEST):
        raise ValueError(f"{value:g} is out of range")
    return value


def _listed(names: Iterable[str]) -> str:
    first = list(islice(names, MOST_PLACES + 1))
    return ", ".join(map(repr, first[:MOST_PLACES])) + (" ..." if len(first) > MOST_PLACES else "")
