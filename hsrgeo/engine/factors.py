"""The table of `hsrgeo gauges bias` read back, as factors by time."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterator, Mapping
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

from hsrgeo.errors import OptionsError, SourceError, printable
from hsrgeo.model.texts import from_cell
from hsrgeo.model.times import existing
from hsrgeo.products.bias import MOST_FACTOR
from hsrgeo.products.factors import Factor, Factors
from hsrgeo.sources.arrow import pyarrow_modules
from hsrgeo.sources.encodings import unreadable

_NEEDED = ("time_utc", "hours", "bias")
_MORE = ("pairs", "rain_law")
_HOUR_S = 3600

_Line = tuple[str, dict[str, Any]]
"""Where in the table, for people, and the values by column."""


def as_factors(given: object) -> Factors:
    """Return factors that were given as such, or read them.

    Raises:
        OptionsError: They are neither; see `read_factors`.
        SourceError, MissingExtraError: See `read_factors`.
    """
    if isinstance(given, Factors):
        return given
    if not isinstance(given, (str, Path)):
        raise OptionsError(f"bias {given!r}: expected the table that hsrgeo gauges bias writes")
    return read_factors(Path(given))


def read_factors(path: Path) -> Factors:
    """Read the table that `hsrgeo gauges bias` writes, ``.csv`` or ``.parquet``.

    A row is for the frames from its ``time_utc`` on, before ``hours`` later. Rows may have any order; those without a
    factor are passed over.

    Raises:
        OptionsError: Another suffix; no row has a factor.
        SourceError: It is not there, damaged, or no such table; two rows overlap.
        MissingExtraError: pyarrow is not installed, and it is Parquet.
    """
    laws: dict[str, str] = {}
    rows: list[tuple[Factor | tuple[int, int], str]] = []
    for where, line in _lines(path):
        try:
            row, law = _row(line)
        except ValueError as error:
            raise SourceError(str(path), f"{where}: {error}") from error
        rows.append((row, where))
        laws.setdefault(law, where)
    if len(laws) > 1:
        (one, first), (other, second) = list(laws.items())[:2]
        raise SourceError(str(path), f"{second}: expected rain by {one!r}, as {first}, found {other!r}")
    rows.sort(key=lambda row: _ends(row[0]))
    for (before, first), (after, second) in pairwise(rows):
        if _ends(before)[1] > _ends(after)[0]:
            raise SourceError(str(path), f"{second}: expected a time after that of {first}, found one within it")
    factors = tuple(row for row, _where in rows if isinstance(row, Factor))
    if not factors:
        raise OptionsError(f"{path}: no row has a factor (column bias)")
    return Factors(printable(path.name), next(iter(laws)), factors)


def notes_on_factors(factors: Factors) -> list[str]:
    """Return what a user should know of factors before they are applied."""
    notes = []
    if not factors.law:
        notes.append(f"{factors.source} does not say how its rain follows: is it by the same zr and max_rate?")
    odd = [one.value for one in factors.rows if not 1 / MOST_FACTOR <= one.value <= MOST_FACTOR]
    if odd:
        notes.append(f"{factors.source}: factors below {1 / MOST_FACTOR:g} or above {MOST_FACTOR:g}: {len(odd):,}")
    return notes


def _ends(row: Factor | tuple[int, int]) -> tuple[int, int]:
    return (row.start, row.end) if isinstance(row, Factor) else row


def _row(line: Mapping[str, Any]) -> tuple[Factor | tuple[int, int], str]:
    """Return the factor of a row, or only its time where it has none, and how its rain follows."""
    time = line["time_utc"]
    if not isinstance(time, datetime):
        try:
            time = datetime.fromisoformat(str(time).strip())
        except ValueError:
            raise ValueError(f"time_utc: expected a time such as 2022-06-09T02:00:00Z, found {time!r}") from None
    if time.tzinfo is None:
        raise ValueError(f"time_utc: expected a time with a zone, as 2022-06-09T02:00:00Z, found {line['time_utc']!r}")
    hours = _number(line, "hours", "a length above 0")
    if hours is None:
        raise ValueError("hours: expected a length above 0, found nothing")
    start = round(existing(time).timestamp())
    end = start + round(hours * _HOUR_S)
    law = line.get("rain_law")
    text = printable(from_cell(str(law)).strip()) if law is not None else ""
    value = _number(line, "bias", "a factor above 0, or nothing")
    if value is None:
        return (start, end), text
    pairs = _number(line, "pairs", "a count above 0")
    return Factor(start, end, value, None if pairs is None else round(pairs)), text


def _number(line: Mapping[str, Any], name: str, expected: str) -> float | None:
    """Return a number above 0, or None where there is none."""
    given = line.get(name)
    if given is None or not str(given).strip():
        return None
    try:
        number = float(given)
    except ValueError:
        number = math.nan
    if not 0 < number < math.inf:
        raise ValueError(f"{name}: expected {expected}, found {given!r}")
    return number


def _lines(path: Path) -> Iterator[_Line]:
    suffix = path.suffix.lower()
    if suffix not in (".csv", ".parquet"):
        raise OptionsError(f"{path}: the table of hsrgeo gauges bias ends in .csv or .parquet, not in {suffix!r}")
    if not path.is_file():
        raise SourceError(str(path), "no such file")
    return _of_csv(path) if suffix == ".csv" else _of_parquet(path)


def _of_csv(path: Path) -> Iterator[_Line]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file, strict=True)
            header = next(reader, [])
            _check_header(path, header)
            for row in reader:
                where = f"line {reader.line_num}"
                if row and len(row) != len(header):
                    raise SourceError(str(path), f"{where}: expected {len(header)} columns, found {len(row)}")
                if row:
                    yield where, dict(zip(header, row, strict=True))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise SourceError(str(path), f"cannot be read as CSV in UTF-8: {unreadable(error)}") from error


def _of_parquet(path: Path) -> Iterator[_Line]:
    pa, parquet = pyarrow_modules("to read Parquet")
    try:
        with parquet.ParquetFile(path) as file:
            names = file.schema_arrow.names
            _check_header(path, names)
            table = file.read([name for name in (*_NEEDED, *_MORE) if name in names]).to_pylist()
    except (OSError, pa.ArrowException, ValueError) as error:
        raise SourceError(str(path), f"cannot be read as Parquet: {error}") from error
    for number, row in enumerate(table, 1):
        yield f"row {number}", row


def _check_header(path: Path, header: list[str]) -> None:
    if lacking := [name for name in _NEEDED if name not in header]:
        raise SourceError(
            str(path),
            f"is not a table from hsrgeo gauges bias: it has no column {', '.join(lacking)} in its first line",
        )
