"""Tables of numbers by time and place as an Excel workbook."""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hsrgeo.errors import needs
from hsrgeo.model.times import KST

MOST_COLUMNS = 16_384
_MOST_ROWS = 1_048_576
# ^ of a sheet: Excel specifications and limits, "Worksheet and workbook specifications and limits"
_CREATED = datetime(1980, 1, 1)  # noqa: DTZ001 - of the format, which has no zones; the same input gives the same bytes


def xlsxwriter() -> Any:  # noqa: ANN401 - it has no types
    """Return XlsxWriter."""
    with needs("XlsxWriter, to write .xlsx", "excel"):
        import xlsxwriter as module  # noqa: PLC0415 - an optional extra
    return module


def workbook(
    names: Sequence[str],
    columns: Sequence[str],
    rows: Iterable[tuple[datetime, NDArray[np.float64]]],
    texts: Mapping[str, str],
    *,
    wide: bool,
) -> Iterator[bytes]:
    """Yield a workbook, see `hsrgeo.writers.table_files.write_table`: times are KST, which Excel reads as times.

    A wide one has a sheet for each number. What does not fit on a sheet of 1,048,576 rows goes on on the next.
    """
    with _book() as (book, buffer):
        if wide:
            sheets = [_Sheet(book, column, ("time_kst", *names)) for column in columns]
        else:
            sheets = [_Sheet(book, "hsrgeo", ("time_kst", "name", *columns, *texts))]
        last = tuple(texts.values())
        for time, numbers in rows:
            if wide:
                for sheet, values in zip(sheets, numbers.T.tolist(), strict=True):
                    sheet.add(time, *values)
            else:
                for name, values in zip(names, numbers.tolist(), strict=True):
                    sheets[0].add(time, name, *values, *last)
    yield buffer.getvalue()


def records_book(header: Sequence[str], rows: Iterable[Sequence[datetime | str | float]]) -> bytes:
    """Return a workbook of records; times are KST, and a cell without a number (NaN) is left empty."""
    with _book() as (book, buffer):
        sheet = _Sheet(book, "hsrgeo", header)
        for row in rows:
            sheet.add(*row)
    return buffer.getvalue()


@contextmanager
def _book() -> Iterator[tuple[Any, io.BytesIO]]:
    buffer = io.BytesIO()
    book = xlsxwriter().Workbook(buffer, {"constant_memory": True})
    book.set_properties({"created": _CREATED})
    try:
        yield book, buffer
    except BaseException:
        with suppress(Exception):  # its temporary files go; what ended this matters more
            book.close()
        raise
    book.close()


class _Sheet:
    """A sheet, and those that it goes on on."""

    def __init__(self, book: Any, title: str, header: Sequence[str]) -> None:  # noqa: ANN401
        self._book, self._title, self._header = book, title, header
        self._time_format = book.add_format({"num_format": "yyyy-mm-dd hh:mm"})
        self._count = self._row = 0
        self._begin()

    def _begin(self) -> None:
        self._count += 1
        self._sheet = self._book.add_worksheet(self._title if self._count == 1 else f"{self._title} {self._count}")
        self._sheet.freeze_panes(1, 1)
        for column, text in enumerate(self._header):
            self._sheet.write_string(0, column, text)
            if text.endswith("_kst"):
                self._sheet.set_column(column, column, 16)  # as wide as a time
        self._row = 1

    def add(self, *cells: datetime | str | float) -> None:
        """Add a row; a cell without a number is left empty."""
        if self._row == _MOST_ROWS:
            self._begin()
        for column, cell in enumerate(cells):
            if isinstance(cell, datetime):
                local = cell.astimezone(KST).replace(tzinfo=None)
                self._sheet.write_datetime(self._row, column, local, self._time_format)
            elif isinstance(cell, str):
                self._sheet.write_string(self._row, column, cell)  # never a formula
            elif cell == cell:  # noqa: PLR0124 - NaN is not
                self._sheet.write_number(self._row, column, float(f"{cell + 0.0:.9g}"))
        self._row += 1
