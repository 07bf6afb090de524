"""Tables of numbers by time and place, as CSV or Parquet; rows are written while they are made."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hsrgeo.errors import MissingExtraError, OptionsError
from hsrgeo.model.texts import to_cell
from hsrgeo.model.times import kst_text, utc_text
from hsrgeo.sources.remote import Place
from hsrgeo.writers.files import write_chunks

Row = tuple[datetime, NDArray[np.float64]]
"""A time, and the numbers of every place at that time, shape (places, columns); NaN for no number."""

_KEYS = ("time_utc", "time_kst", "name")
_GROUP_ROWS = 1 << 17
# ^ rows of Parquet that are packed together: memory is bounded by this
_CHUNK_BYTES = 1 << 20


def check_table(path: Place) -> None:
    """Refuse a table that could not be written, before the work begins.

    Raises:
        OptionsError: The name ends in neither .csv nor .parquet.
        MissingExtraError: pyarrow is not installed.
    """
    match path.suffix.lower():
        case ".csv":
            return
        case ".parquet":
            _pyarrow()
        case other:
            raise OptionsError(f"{path}: a table ends in .csv or .parquet, not in {other!r}")


def write_table(path: Place, names: Sequence[str], columns: Sequence[str], rows: Iterable[Row]) -> None:
    """Write a table in one step: time_utc, time_kst and name, then the columns; a row for each time and place.

    CSV is UTF-8 with nine significant digits, and nothing between the commas where there is no number; a name that a
    spreadsheet would take for a formula has ``'`` in front (`hsrgeo.model.texts.to_cell`). Parquet has
    float64, null where there is no number, and both times as timestamps.

    Args:
        path: The target; its suffix decides the format.
        names: Of the places.
        columns: Names of the numbers.
        rows: In the order of the table.

    Raises:
        OptionsError, MissingExtraError: See `check_table`.
        WriteError: The disk refused; nothing is left behind.
    """
    check_table(path)
    chunks = _csv if path.suffix.lower() == ".csv" else _parquet
    write_chunks(path, chunks(names, columns, rows))


def _csv(names: Sequence[str], columns: Sequence[str], rows: Iterable[Row]) -> Iterator[bytes]:
    quoted = [_quoted(to_cell(name)) for name in names]
    lines = [",".join((*_KEYS, *map(_quoted, columns)))]
    size = 0
    for time, numbers in rows:
        begin = f"{utc_text(time)},{kst_text(time)},"
        # "+ 0.0" makes a negative zero a plain one; only NaN differs from itself.
        lines += [
            begin + name + "," + ",".join([f"{number + 0.0:.9g}" if number == number else "" for number in numbers_of])  # noqa: PLR0124
            for name, numbers_of in zip(quoted, numbers.tolist(), strict=True)
        ]
        size += 64 * len(quoted)
        if size > _CHUNK_BYTES:
            yield ("\n".join(lines) + "\n").encode()
            lines, size = [], 0
    if lines:
        yield ("\n".join(lines) + "\n").encode()


def _quoted(text: str) -> str:
    line = io.StringIO()
    csv.writer(line, lineterminator="").writerow([text])
    return line.getvalue()


def _parquet(names: Sequence[str], columns: Sequence[str], rows: Iterable[Row]) -> Iterator[bytes]:
    arrow, parquet = _pyarrow()
    times = [("time_utc", arrow.timestamp("ms", "UTC")), ("time_kst", arrow.timestamp("ms", "+09:00"))]
    schema = arrow.schema([*times, ("name", arrow.string()), *((name, arrow.float64()) for name in columns)])
    buffer = io.BytesIO()
    with parquet.ParquetWriter(buffer, schema, compression="zstd") as writer:
        for group in _groups(rows, max(_GROUP_ROWS // max(len(names), 1), 1)):
            moments = np.repeat([int(time.timestamp() * 1000) for time, _numbers in group], len(names))
            numbers = np.concatenate([numbers for _time, numbers in group])
            arrays = [arrow.array(moments).cast(kind) for _name, kind in times]
            arrays.append(arrow.array(list(names) * len(group), arrow.string()))
            arrays += [arrow.array(np.ascontiguousarray(column), mask=np.isnan(column)) for column in numbers.T]
            writer.write_table(arrow.Table.from_arrays(arrays, schema=schema))
            yield _taken(buffer)
    yield _taken(buffer)


def _groups(rows: Iterable[Row], most: int) -> Iterator[list[Row]]:
    group: list[Row] = []
    for row in rows:
        group.append(row)
        if len(group) == most:
            yield group
            group = []
    if group:
        yield group


def _taken(buffer: io.BytesIO) -> bytes:
    # pyarrow counts what it wrote itself, so the buffer may begin again at any time.
    data = buffer.getvalue()
    buffer.seek(0)
    buffer.truncate()
    return data


def _pyarrow() -> tuple[Any, Any]:
    try:
        import pyarrow as pa  # noqa: PLC0415 - an optional extra
        from pyarrow import parquet  # noqa: PLC0415
    except ImportError as error:
        raise MissingExtraError("pyarrow, to write Parquet", "series") from error
    return pa, parquet
