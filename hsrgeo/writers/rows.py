"""Rows of numbers, as many a time as there are, as CSV, Parquet or GeoPackage; written while they are made."""

from __future__ import annotations

import io
import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hsrgeo.errors import OptionsError, WriteError, needs, refused
from hsrgeo.model.env_variables import with_own_variables
from hsrgeo.model.times import kst_text, utc_text
from hsrgeo.sources.arrow import pyarrow_modules
from hsrgeo.sources.remote import Place, RemotePath
from hsrgeo.writers.disk import flush, temporary_beside
from hsrgeo.writers.files import remove_parts, write_chunks
from hsrgeo.writers.table_files import cells_text, quoted_cell, taken

SUFFIXES = (".csv", ".parquet", ".gpkg")
_LAYER = "hsrgeo"


@dataclass(frozen=True, slots=True, eq=False)
class Rows:
    """Rows of one time and region."""

    time: datetime
    region: str
    numbers: NDArray[np.float64]
    """Shape (rows, columns); NaN for no number."""
    shapes: Sequence[bytes]
    """Of each row, WKB in degrees; empty where rows are points of the columns lon and lat."""


def check_rows(path: Place) -> None:
    """Refuse a table that could not be written, before the work begins.

    Raises:
        OptionsError: Its name ends otherwise, or it is a GeoPackage in a bucket.
        MissingExtraError: pyarrow or pyogrio is not installed.
    """
    match path.suffix.lower():
        case ".csv":
            return
        case ".parquet":
            pyarrow_modules("to write Parquet")
        case ".gpkg" if isinstance(path, RemotePath):
            raise OptionsError(f"{path}: a GeoPackage is written on this machine; take .csv or .parquet for a bucket")
        case ".gpkg":
            _pyogrio()
        case other:
            raise OptionsError(f"{path}: this table ends in {', '.join(SUFFIXES)}, not in {other!r}")


def write_rows(path: Place, columns: Sequence[str], groups: Iterable[Rows], *, regions: bool, shape: str) -> None:
    """Write rows in one step: time_utc, time_kst, region where there are several, then the columns.

    Args:
        path: The target; its suffix decides the format. In a GeoPackage each row is a feature in WGS 84.
        columns: Names of the numbers; lon and lat are among them.
        groups: The rows, in the order of the table.
        regions: Whether there is a column for the region.
        shape: Of a feature: ``Point`` or ``MultiPolygon``.

    Raises:
        OptionsError, MissingExtraError: See `check_rows`.
        WriteError: The disk refused; nothing is left behind.
    """
    check_rows(path)
    match path.suffix.lower():
        case ".csv":
            write_chunks(path, _csv(columns, groups, regions=regions))
        case ".parquet":
            write_chunks(path, _parquet(columns, groups, regions=regions))
        case _:
            _write_features(Path(str(path)), columns, groups, regions=regions, shape=shape)


def _csv(columns: Sequence[str], groups: Iterable[Rows], *, regions: bool) -> Iterator[bytes]:
    yield (",".join(["time_utc", "time_kst", *(["region"] if regions else []), *columns]) + "\n").encode()
    for group in groups:
        begin = f"{utc_text(group.time)},{kst_text(group.time)},"
        begin += f"{quoted_cell(group.region)}," if regions else ""
        yield "".join([f"{begin}{cells_text(row)}\n" for row in group.numbers.tolist()]).encode()


def _parquet(columns: Sequence[str], groups: Iterable[Rows], *, regions: bool) -> Iterator[bytes]:
    arrow, parquet = pyarrow_modules("to write Parquet")
    times = [("time_utc", arrow.timestamp("ms", "UTC")), ("time_kst", arrow.timestamp("ms", "+09:00"))]
    texts = [("region", arrow.string())] if regions else []
    schema = arrow.schema([*times, *texts, *((name, arrow.float64()) for name in columns)])
    buffer = io.BytesIO()
    with parquet.ParquetWriter(buffer, schema, compression="zstd") as writer:
        for group in groups:
            count = len(group.numbers)
            moments = arrow.array(np.full(count, int(group.time.timestamp() * 1000)))
            arrays = [moments.cast(arrow_type) for _name, arrow_type in times]
            arrays += [arrow.array([group.region] * count, arrow.string())] if regions else []
            arrays += [arrow.array(np.ascontiguousarray(one), mask=np.isnan(one)) for one in group.numbers.T]
            writer.write_table(arrow.Table.from_arrays(arrays, schema=schema))
            yield taken(buffer)
    yield taken(buffer)


def _write_features(path: Path, columns: Sequence[str], groups: Iterable[Rows], *, regions: bool, shape: str) -> None:
    options, raw = _pyogrio()
    fields = ["time", *(["region"] if regions else []), *columns]
    part = temporary_beside(path)
    part = part.with_name(f"{part.name}.gpkg")  # GDAL's driver wants it, and SQLite its journal beside it

    def write(group: Rows) -> None:
        count = len(group.numbers)
        times = np.full(count, np.datetime64(int(group.time.timestamp() * 1000), "ms"))
        texts = [np.array([group.region] * count, object)] if regions else []
        options({_CHANGED: f"{group.time.astimezone(UTC):%Y-%m-%dT%H:%M:%S}.000Z"})  # and not that of the run
        try:
            raw.write(
                os.fspath(part),
                geometry=np.array(group.shapes or _points(group.numbers, columns), object),
                field_data=[times, *texts, *(np.ascontiguousarray(one) for one in group.numbers.T)],
                fields=fields,
                gdal_tz_offsets={"time": np.full(count, 100, np.int8)},  # OGR's number for UTC
                geometry_type=shape,
                crs="EPSG:4326",
                layer=_LAYER,
                driver="GPKG",
                append=part.exists(),
            )
        except RuntimeError as error:  # as all errors of pyogrio are; GDAL names the file that is being written
            raise WriteError(str(path), f"cannot be written: {str(error).replace(str(part), str(path))}") from error
        finally:
            options({_CHANGED: None})

    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        remove_parts(path)
        with with_own_variables():
            for group in groups:
                write(group)
            if not part.exists():  # no rows: a layer without features
                write(Rows(datetime(1980, 1, 1, tzinfo=UTC), "", np.empty((0, len(columns))), []))
        flush([part])
        part.replace(path)
    except OSError as error:
        raise refused(str(path), error) from error
    finally:
        with suppress(OSError):
            part.unlink(missing_ok=True)


def _points(numbers: NDArray[np.float64], columns: Sequence[str]) -> list[bytes]:
    points = np.empty(len(numbers), _WKB_POINT)
    points["order"], points["kind"] = 1, 1
    points["lon"], points["lat"] = (numbers[:, columns.index(name)] for name in ("lon", "lat"))
    data, size = points.tobytes(), _WKB_POINT.itemsize
    return [data[start : start + size] for start in range(0, len(data), size)]


_WKB_POINT = np.dtype([("order", "u1"), ("kind", "<u4"), ("lon", "<f8"), ("lat", "<f8")])
# ^ OGC Simple Feature Access, "Well-known Binary Representation": little-endian, Point is 1


_CHANGED = "OGR_CURRENT_DATE"
# ^ GDAL, "GPKG -- GeoPackage vector": what a GeoPackage says of its last change; the same input gives the same bytes


def _pyogrio() -> tuple[Any, Any]:
    with needs("pyogrio, to write a GeoPackage", "series"), with_own_variables():  # GDAL reads GDAL_SKIP at its import
        from pyogrio import raw, set_gdal_config_options  # noqa: PLC0415 - an optional extra
    return set_gdal_config_options, raw
