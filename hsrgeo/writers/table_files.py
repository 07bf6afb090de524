"""Tables of numbers by time and place, as CSV, Excel workbook or Parquet; rows are written while they are made."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from hsrgeo.errors import OptionsError
from hsrgeo.model.texts import to_cell
from hsrgeo.model.times import KST, kst_text, utc_text
from hsrgeo.sources.arrow import pyarrow_modules
from hsrgeo.sources.remote import Place
from hsrgeo.writers.files import write_chunks
from hsrgeo.writers.sheets import MOST_COLUMNS, records_book, workbook, xlsxwriter

Row = tuple[datetime, NDArray[np.float64]]
"""A time, and the numbers of every place at that time, shape (places, columns); NaN for no number."""

_KEYS = ("time_utc", "time_kst", "name")
_GROUP_ROWS = 1 << 17
# ^ rows of Parquet that are packed together: memory is bounded by this
_CHUNK_BYTES = 1 << 20


def check_table(path: Place, places: int = 0, *, wide: bool = False, excel: bool = False) -> None:
    """Refuse a table that could not be written, see `write_table`, before the work begins.

    Raises:
        OptionsError: The name does not end in .csv, .xlsx or .parquet, or ends so that it cannot be as it is asked for.
        MissingExtraError: XlsxWriter or pyarrow is not installed.
    """
    match path.suffix.lower():
        case ".csv":
            return
        case ".xlsx":
            xlsxwriter()
            if wide and places >= MOST_COLUMNS:
                raise OptionsError(f"{path}: {places:,} places are more than the columns of an Excel sheet: as .csv")
        case ".parquet" if wide or excel:
            raise OptionsError(f"{path}: wide and excel are for .csv and .xlsx")
        case ".parquet":
            pyarrow_modules("to write Parquet")
        case other:
            raise OptionsError(f"{path}: a table ends in .csv, .xlsx or .parquet, not in {other!r}")


def write_table(  # noqa: PLR0913 - what a table has, and how it is written
    path: Place,
    names: Sequence[str],
    columns: Sequence[str],
    rows: Iterable[Row],
    *,
    texts: Mapping[str, str] | None = None,
    common: str = "",
    wide: bool = False,
    excel: bool = False,
) -> None:
    """Write a table in one step: time_utc, time_kst and name, then the columns; a row for each time and place.

    CSV is UTF-8 with nine significant digits, and nothing between the commas where there is no number; a name that a
    spreadsheet would take for a formula has ``'`` in front (`hsrgeo.model.texts.to_cell`). Parquet has
    float64, null where there is no number, and both times as timestamps. A workbook (.xlsx) has times in KST.

    Args:
        path: The target; its suffix decides the format.
        names: Of the places.
        columns: Names of the numbers.
        rows: In the order of the table.
        texts: Further columns, each with one text in all rows; a wide table has none.
        common: One of `columns` that has the same number for all places of a time; wide CSV has it last.
        wide: A row a time, and a column a place after time_kst: the first of `columns` as CSV, a sheet for each in a
            workbook.
        excel: CSV that Excel reads as it is: with a byte-order mark, and time_kst without a zone.

    Raises:
        OptionsError, MissingExtraError: See `check_table`.
        WriteError: The disk refused; nothing is left behind.
    """
    check_table(path, len(names), wide=wide, excel=excel)
    texts = texts or {}
    match path.suffix.lower():
        case ".csv":
            chunks = _csv(names, columns, rows, texts, common=common, wide=wide, excel=excel)
        case ".xlsx":
            chunks = workbook(names, columns, rows, texts, wide=wide)
        case _:
            chunks = _parquet(names, columns, rows, texts)
    write_chunks(path, chunks)


Column = Sequence[datetime] | Sequence[str] | Sequence[float]


Columns = Mapping[str, tuple[Literal["time", "text", "number"], Column]]


def write_records(path: Place, columns: Columns, *, excel: bool = False) -> None:
    """Write a table of records in one step, as `write_table` writes its cells; a time becomes two columns.

    Args:
        path: The target; its suffix decides the format.
        columns: By name, what each holds and its values, all of the same number. A time ``start`` is written as
            ``start_utc`` and ``start_kst``; a workbook has the second.
        excel: See `write_table`.

    Raises:
        OptionsError, MissingExtraError: See `check_table`.
        WriteError: The disk refused; nothing is left behind.
    """
    check_table(path, excel=excel)
    match path.suffix.lower():
        case ".csv":
            chunks = csv_records(columns, excel=excel)
        case ".xlsx":
            header = [f"{name}_kst" if type_ == "time" else name for name, (type_, _values) in columns.items()]
            rows = zip(*(values for _type, values in columns.values()), strict=True)
            chunks = iter([records_book(header, rows)])
        case _:
            chunks = _parquet_records(columns)
    write_chunks(path, chunks)


def csv_records(columns: Columns, *, excel: bool = False) -> Iterator[bytes]:
    """Yield records as `write_records` writes them to CSV."""
    cells: dict[str, list[str]] = {}
    for name, (column_type, given) in columns.items():
        values: Any = given
        if column_type == "time":
            local = [_excel_time(time) if excel else kst_text(time) for time in values]
            cells |= {f"{name}_utc": [*map(utc_text, values)], f"{name}_kst": local}
        else:
            cells[name] = (
                [quoted_cell(text) for text in values] if column_type == "text" else [cells_text([n]) for n in values]
            )
    lines = [",".join(cells), *map(",".join, zip(*cells.values(), strict=True))]
    yield (("\ufeff" if excel else "") + "\n".join(lines) + "\n").encode()


def _excel_time(time: datetime) -> str:
    return f"{time.astimezone(KST):%Y-%m-%d %H:%M:%S}"


def _parquet_records(columns: Columns) -> Iterator[bytes]:
    arrow, parquet = pyarrow_modules("to write Parquet")
    arrays: dict[str, Any] = {}
    for name, (column_type, given) in columns.items():
        values: Any = given
        if column_type == "time":
            moments = arrow.array([int(time.timestamp() * 1000) for time in values], arrow.int64())
            arrays[f"{name}_utc"] = moments.cast(arrow.timestamp("ms", "UTC"))
            arrays[f"{name}_kst"] = moments.cast(arrow.timestamp("ms", "+09:00"))
        elif column_type == "text":
            arrays[name] = arrow.array(list(values), arrow.string())
        else:
            numbers = np.asarray(values, np.float64)
            arrays[name] = arrow.array(numbers, mask=np.isnan(numbers))
    buffer = io.BytesIO()
    parquet.write_table(arrow.table(arrays), buffer, compression="zstd")
    yield buffer.getvalue()


def _csv(  # noqa: PLR0913 - as `write_table`
    names: Sequence[str],
    columns: Sequence[str],
    rows: Iterable[Row],
    texts: Mapping[str, str],
    *,
    common: str,
    wide: bool,
    excel: bool,
) -> Iterator[bytes]:
    last = "".join(f",{quoted_cell(text)}" for text in texts.values())
    quoted = [quoted_cell(name) for name in names]
    alike = [columns.index(common)] if common else []
    header = (_KEYS[1], *quoted, *[columns[at] for at in alike]) if wide else (*_KEYS, *map(_quoted, columns), *texts)
    lines = [("\ufeff" if excel else "") + ",".join(header)]
    size = 0
    for time, numbers in rows:
        local = _excel_time(time) if excel else kst_text(time)
        if wide:
            lines.append(f"{local},{cells_text([*numbers[:, 0].tolist(), *numbers[0, alike].tolist()])}")
        else:
            begin = f"{utc_text(time)},{local},"
            lines += [
                f"{begin}{name},{cells_text(of)}{last}" for name, of in zip(quoted, numbers.tolist(), strict=True)
            ]
        size += 64 * len(quoted)
        if size > _CHUNK_BYTES:
            yield ("\n".join(lines) + "\n").encode()
            lines, size = [], 0
    if lines:
        yield ("\n".join(lines) + "\n").encode()


def cells_text(numbers: Iterable[float]) -> str:
    """Return numbers as a line of CSV has them; nothing between the commas for NaN."""
    # "+ 0.0" makes a negative zero a plain one; only NaN differs from itself.
    return ",".join([f"{number + 0.0:.9g}" if number == number else "" for number in numbers])  # noqa: PLR0124


def quoted_cell(text: str) -> str:
    """Return a text as a cell of CSV that no spreadsheet takes for a formula."""
    return _quoted(to_cell(text))


def _quoted(text: str) -> str:
    line = io.StringIO()
    csv.writer(line, lineterminator="").writerow([text])
    return line.getvalue()


def _parquet(
    names: Sequence[str], columns: Sequence[str], rows: Iterable[Row], texts: Mapping[str, str]
) -> Iterator[bytes]:
    arrow, parquet = pyarrow_modules("to write Parquet")
    times = [("time_utc", arrow.timestamp("ms", "UTC")), ("time_kst", arrow.timestamp("ms", "+09:00"))]
    numbers_of = [(name, arrow.float64()) for name in columns]
    texts_of = [(name, arrow.string()) for name in texts]
    schema = arrow.schema([*times, ("name", arrow.string()), *numbers_of, *texts_of])
    buffer = io.BytesIO()
    with parquet.ParquetWriter(buffer, schema, compression="zstd") as writer:
        for group in _groups(rows, max(_GROUP_ROWS // max(len(names), 1), 1)):
            moments = np.repeat([int(time.timestamp() * 1000) for time, _numbers in group], len(names))
            numbers = np.concatenate([numbers for _time, numbers in group])
            arrays = [arrow.array(moments).cast(arrow_type) for _name, arrow_type in times]
            arrays.append(arrow.array(list(names) * len(group), arrow.string()))
            arrays += [arrow.array(np.ascontiguousarray(column), mask=np.isnan(column)) for column in numbers.T]
            arrays += [arrow.array([text] * len(moments), arrow.string()) for text in texts.values()]
            writer.write_table(arrow.Table.from_arrays(arrays, schema=schema))
            yield taken(buffer)
    yield taken(buffer)


def _groups(rows: Iterable[Row], most: int) -> Iterator[list[Row]]:
    group: list[Row] = []
    for row in rows:
        group.append(row)
        if len(group) == most:
            yield group
            group = []
    if group:
        yield group


def taken(buffer: io.BytesIO) -> bytes:
    """Return what is in a buffer of Parquet, and empty it: pyarrow counts what it wrote itself."""
    data = buffer.getvalue()
    buffer.seek(0)
    buffer.truncate()
    return data
