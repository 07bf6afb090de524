"""Coordinates and attributes of arrays, by the CF conventions.

Values are packed, as they are stored in frames: xarray unpacks them by `scale_factor` and makes NaN of `_FillValue`,
which is nodata. CF has no way to mark undetect: it stays a value of its own (-250 dBZ in frames of reflectivity, 0 in
rain), named in the attributes ``undetect`` (packed) and ``undetect_value`` (physical).

References:
    CF conventions 1.11, sections 3 (description of the data), 5.6 (grid mappings) and 8.1 (packed data);
    mlcast-dataset-validator, radar_precipitation 0.2.0, for standard names, units and `missing_times`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

import numpy as np
from affine import Affine
from numpy.typing import NDArray

from hsrgeo.cube.extra import need
from hsrgeo.errors import SourceError
from hsrgeo.model.grid import Grid
from hsrgeo.model.quantity import Quantity, quantity_named
from hsrgeo.writers.tags import LICENCE

GRID_MAPPING = "spatial_ref"
TIME_UNITS = "minutes since 1970-01-01 00:00:00"
DEGREE_STEP = 1e-6
"""Degrees (11 cm): longitudes and latitudes are packed in these. A cell's place to the last digit is in x and y."""
LICENCE_ID = "LicenseRef-KOGL-1"
"""KOGL type 1 has no identifier of its own in the SPDX list; this is how SPDX refers to a licence that has none."""

_STANDARD = {
    "reflectivity": ("equivalent_reflectivity_factor", "dBZ", "radar reflectivity, composite"),
    "rain_rate": ("rainfall_flux", "kg m-2 h-1", "rain rate (1 kg m-2 h-1 is 1 mm/h)"),
    "height": ("", "m", "height of the observation"),
    "temperature": ("air_temperature", "degree_Celsius", "temperature"),
}
# ^ standard name, unit and long name; rates by mass, for CF wants those of a flux


def minutes(times: Iterable[datetime]) -> NDArray[np.int32]:
    """Return times in `TIME_UNITS`: 32 bits reach beyond the year 6000, and every reader knows them."""
    return np.array([int(time.timestamp()) // 60 for time in times], np.int32)


def times_of(packed: Iterable[int]) -> list[datetime]:
    """Return what `minutes` packed, in UTC."""
    return [datetime.fromtimestamp(int(minute) * 60, UTC) for minute in packed]


def absent_times(dataset: Any, name: str) -> list[datetime]:  # noqa: ANN401 - of xarray
    """Return the times of a coordinate such as ``missing_times``, packed; none where there is no such coordinate."""
    return times_of(dataset[name].values) if name in dataset.variables else []


def values_attrs(quantity: Quantity, *, cleaned: bool) -> dict[str, Any]:
    """Return the attributes of packed values."""
    standard, unit, long_name = _STANDARD.get(quantity.name, ("", "1", quantity.name.replace("_", " ")))
    attrs: dict[str, Any] = {
        "long_name": long_name,
        "standard_name": standard,
        "units": unit,
        "scale_factor": quantity.gain,
        "add_offset": quantity.offset,
        "_FillValue": np.int16(quantity.nodata),
        "undetect": np.int16(quantity.undetect),
        "undetect_value": physical(quantity, quantity.undetect),
        "undetect_means": "observed, nothing there",
        "echo_from": np.int16(quantity.echo_from),
        "quantity": quantity.name,
        "values": "clean" if cleaned else "raw",
        "grid_mapping": GRID_MAPPING,
    }
    if quantity.cap is not None:
        attrs["cap"] = np.int16(quantity.cap)
    if not standard:
        del attrs["standard_name"]
    if not quantity.offset:
        del attrs["add_offset"]
    return attrs


def physical(quantity: Quantity, stored: int) -> float:
    """Return the physical value of a stored one."""
    return (stored - quantity.minus) / quantity.scale


def quantity_of(attrs: dict[str, Any]) -> Quantity:
    """Return the quantity that `values_attrs` described.

    Raises:
        SourceError: They describe none that is known.
    """
    name = str(attrs.get("quantity", ""))
    known = quantity_named(name, attrs.get("undetect", 0))
    if known is None:
        raise SourceError(name or "cube", "contains no quantity that hsrgeo knows")
    return replace(known, cap=int(attrs["cap"])) if "cap" in attrs else known


def coordinates(grid: Grid, times: Sequence[datetime], *, lonlat: bool) -> dict[str, Any]:
    """Return time, y, x, the grid mapping and, where wanted, packed 2-D longitudes and latitudes, as Variables."""
    variable = need("xarray").Variable
    t = grid.transform
    x = t.c + t.a * (np.arange(grid.width) + 0.5)
    y = t.f + t.e * (np.arange(grid.height) + 0.5)
    projected = grid.crs.is_projected
    unit = grid.crs.axis_info[0].unit_name if grid.crs.axis_info else "metre"
    coords = {
        "time": time_variable("time", minutes(times), "time", "observation time (UTC)"),
        "y": variable("y", y, _axis_attrs("y", unit, projected=projected)),
        "x": variable("x", x, _axis_attrs("x", unit, projected=projected)),
        GRID_MAPPING: variable((), np.int32(0), grid_mapping_attrs(grid)),
    }
    coords["time"].attrs["axis"] = "T"
    for name in ("x", "y"):
        coords[name].encoding["_FillValue"] = None  # CF 1.11, section 2.5.1: none for coordinates; xarray adds NaN
    if lonlat:
        for name, degrees in zip(("lon", "lat"), packed_degrees(grid), strict=True):
            coords[name] = variable(("y", "x"), degrees, _DEGREES[name])
    return coords


def time_variable(dimension: str, packed: NDArray[Any], standard: str, long_name: str) -> Any:  # noqa: ANN401
    """Return packed times as a Variable."""
    attrs = {"standard_name": standard, "long_name": long_name, "units": TIME_UNITS, "calendar": "proleptic_gregorian"}
    return need("xarray").Variable(dimension, packed, {name: value for name, value in attrs.items() if value})


_DEGREES = {
    name: {"standard_name": word, "long_name": word, "units": unit, "scale_factor": DEGREE_STEP}
    for name, word, unit in (("lon", "longitude", "degrees_east"), ("lat", "latitude", "degrees_north"))
}


@lru_cache(maxsize=1)
def packed_degrees(grid: Grid) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Return longitudes and latitudes of the cell centres in steps of `DEGREE_STEP`, shape (rows, columns)."""
    lon, lat = (np.empty((grid.height, grid.width), np.int32) for _ in range(2))
    for top in range(0, grid.height, _BAND_ROWS):  # a whole grid at once would take half a gigabyte on the way
        rows, cols = np.mgrid[top : min(top + _BAND_ROWS, grid.height), : grid.width]
        for packed, degrees in zip((lon, lat), grid.lonlat(rows, cols), strict=True):
            packed[top : top + _BAND_ROWS] = np.rint(degrees / DEGREE_STEP)
    return lon, lat


_BAND_ROWS = 128


def _axis_attrs(name: str, unit: str, *, projected: bool) -> dict[str, str]:
    if projected:
        words = {"standard_name": f"projection_{name}_coordinate", "units": "m" if unit == "metre" else unit}
    else:
        longitude = name == "x"
        words = {
            "standard_name": "longitude" if longitude else "latitude",
            "units": "degrees_east" if longitude else "degrees_north",
        }
    return {**words, "long_name": f"{name} of cell centres", "axis": name.upper()}


def grid_mapping_attrs(grid: Grid) -> dict[str, Any]:
    """Return the attributes of the grid mapping: CF's parameters, WKT under both its names, and GDAL's transform."""
    t = grid.transform
    attrs: dict[str, Any] = {name: _plain(value) for name, value in grid.crs.to_cf().items()}
    return {
        **attrs,
        "crs_wkt": grid.wkt2,
        "spatial_ref": grid.wkt2,
        "GeoTransform": " ".join(repr(float(part)) for part in (t.c, t.a, t.b, t.f, t.d, t.e)),
        "grid": grid.name,
    }


def _plain(value: object) -> object:
    return list(value) if isinstance(value, tuple) else value


def grid_of(dataset: Any) -> Grid:  # noqa: ANN401 - an xarray.Dataset
    """Return the grid that a dataset lies on, as its grid mapping and coordinates tell; it may be a part of it.

    Raises:
        SourceError: It has none.
    """
    try:
        attrs = dataset[GRID_MAPPING].attrs
        left, across, _, top, _, down = (float(part) for part in attrs["GeoTransform"].split())
        width, height = dataset.sizes["x"], dataset.sizes["y"]
        # Rows and columns may have been selected since: the coordinates decide where the first one is.
        x, y = float(dataset["x"][0]), float(dataset["y"][0])
        col, row = round((x - left) / across - 0.5), round((y - top) / down - 0.5)
        transform = Affine(across, 0.0, left + across * col, 0.0, down, top + down * row)
        grid = Grid(str(attrs.get("grid", "")), str(attrs["crs_wkt"]), transform, width, height)
        grid.crs  # noqa: B018 - raises a RuntimeError of pyproj's where it is none
    except (KeyError, ValueError, IndexError, TypeError, AttributeError, ArithmeticError, RuntimeError) as error:
        raise SourceError(
            str(dataset.encoding.get("source", "dataset")), f"has no grid: {str(error)[:_SHOWN]}"
        ) from error
    return grid


_SHOWN = 200  # letters of what pyproj says: it repeats the whole text


def dataset_attrs(product: str, quantity: Quantity, *, synthetic: bool) -> dict[str, Any]:
    """Return the global attributes."""
    made_up = "SYNTHETIC: " if synthetic else ""
    return {
        "Conventions": "CF-1.11",
        "title": f"{made_up}KMA radar composite {product}, {quantity.name.replace('_', ' ')}",
        "institution": "Korea Meteorological Administration",
        "source": f"weather radar composite {product}",
        "license": LICENCE_ID,
        "license_text": LICENCE,
        "product": product,
    }
