"""Rows of Parquet files that may come from anybody: a few kilobytes can claim millions of rows with one long text."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

_MOST_ROWS = 10_000_000
"""A hundred years of a frame every five minutes."""
_MOST_LETTERS = 1 << 16
"""Of a text."""
_ROWS = 1000  # at a time


def parquet_rows(path: Path, columns: Sequence[str]) -> Iterator[dict[str, Any]]:
    """Yield the rows of a file; pyarrow must be installed.

    Columns of records are asked for with dots, as ``assets.data.href``.

    Raises:
        OSError: It cannot be read.
        ValueError: It is larger than a list of frames can be.
        ArrowException: It is no such file.
    """
    from pyarrow import parquet  # noqa: PLC0415 - of an extra

    # A text that stands in many rows is read once, so its length is known before it is repeated.
    with parquet.ParquetFile(path, read_dictionary=list(columns)) as file:
        if (rows := file.metadata.num_rows) > _MOST_ROWS:
            raise ValueError(f"{rows:,} rows where at most {_MOST_ROWS:,} are expected")
        for batch in file.iter_batches(_ROWS, columns=list(columns)):
            if (letters := max(map(_longest, batch.columns), default=0)) > _MOST_LETTERS:
                raise ValueError(f"a text of {letters:,} bytes where at most {_MOST_LETTERS:,} are expected")
            yield from batch.to_pylist()


def _longest(values: Any) -> int:  # noqa: ANN401 - an array of pyarrow
    """Return the length of the longest text of a column [bytes]."""
    from pyarrow import compute, types  # noqa: PLC0415 - of an extra

    if types.is_struct(values.type):
        return max(map(_longest, values.flatten()), default=0)
    if types.is_dictionary(values.type):
        return _longest(values.dictionary)
    if types.is_string(values.type) or types.is_binary(values.type):
        return compute.max(compute.binary_length(values)).as_py() or 0
    return 0
