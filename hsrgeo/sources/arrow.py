"""pyarrow, which three extras bring: imported where a Parquet file is read or written."""

from __future__ import annotations

from typing import Any

from hsrgeo.errors import needs


def pyarrow_modules(use: str, extra: str = "series") -> tuple[Any, Any]:
    """Return pyarrow and pyarrow.parquet; `use` is what they are needed for, such as ``to read Parquet``.

    Raises:
        MissingExtraError: They are not installed.
    """
    with needs(f"pyarrow, {use}", extra):
        import pyarrow as pa  # noqa: PLC0415 - of an extra
        from pyarrow import parquet  # noqa: PLC0415
    return pa, parquet
