"""Files of places, opened by GDAL: those of four formats, and none that leads to other files or to the network."""

from __future__ import annotations

import json
import os
import re
import warnings
from pathlib import Path
from typing import Any

from hsrgeo.errors import HsrGeoWarning, OptionsError, needs
from hsrgeo.model.env_variables import with_own_variables
from hsrgeo.sources.texts import refuse_special

_BEGINNINGS = {
    ".fgb": b"fgb\x03",
    ".gpkg": b"SQLite format 3\x00",
    ".shp": b"\x00\x00\x27\x0a",
}
# ^ FlatGeobuf; SQLite 3, "Database File Format"; ESRI Shapefile Technical Description, main file header
_GEOJSON = (".geojson", ".json")
VECTOR_SUFFIXES = (*_BEGINNINGS, *_GEOJSON)
_OBJECTS = ("Feature", "FeatureCollection", "GeometryCollection", "MultiPolygon", "Point", "Polygon")


def read_layer(path: str | Path, what: str, encoding: str | None) -> tuple[Any, Any, Any, Any]:
    """Return what `pyogrio.raw.read` returns of the first layer: facts, identifiers, WKB, fields.

    An encoding of None leaves the texts to GDAL.

    Raises:
        MissingExtraError: pyogrio is not installed.
        OptionsError: It is of another format, or cannot be read.
    """
    with with_own_variables():  # GDAL reads GDAL_SKIP where it is imported
        with needs(f"pyogrio and shapely, to read {what}", "series"):
            from pyogrio import errors, raw  # noqa: PLC0415 - an optional extra
        try:
            crs = _refuse_other_formats(path, what)
            with warnings.catch_warnings(record=True) as caught:
                warnings.simplefilter("always")
                read: tuple[Any, Any, Any, Any] = raw.read(os.path.abspath(path), encoding=encoding)  # noqa: PTH100
        except (errors.DataSourceError, errors.DataLayerError, ValueError) as error:
            raise OptionsError(f"{path}: cannot be read as {what}: {error}") from error
        except OSError as error:
            raise OptionsError(f"{path}: cannot be read: {error.strerror or error}") from error
    if crs is not None and read[0]["crs"] == _DEGREES:  # which GDAL takes where it does not understand the name
        problem = f"its CRS is not understood: {repr(crs)[:_SHOWN] if crs else 'crs has no name'}"
        raise OptionsError(f'{path}: {problem}; name it as "EPSG:5186", or take "crs" out where x and y are degrees')
    for text in dict.fromkeys(str(one.message) for one in caught):  # of GDAL, with texts of the file
        warnings.warn(f"{path}: {text[:_SHOWN]}", HsrGeoWarning, stacklevel=2)
    return read


_SHOWN = 200  # letters


def other_crs(document: dict[str, Any]) -> str | None:
    """Return what GeoJSON names as its CRS, as in its version of 2008; None for degrees of WGS 84."""
    if not (crs := document.get("crs")):
        return None
    properties = crs.get("properties") if isinstance(crs, dict) else None
    name = properties.get("name", properties.get("code")) if isinstance(properties, dict) else None
    if not isinstance(name, (str, int)):
        return ""
    last = re.split("[:/]", str(name).strip().upper())[-1]
    return None if last in _NAMES_OF_DEGREES else str(name)


_DEGREES = "EPSG:4326"
_NAMES_OF_DEGREES = ("4326", "CRS84", "WGS84", "WGS 84")


def _refuse_other_formats(path: str | Path, what: str) -> str | None:
    """Refuse what GDAL would open by another driver: some, such as OGR VRT and GDALG, open whatever they name.

    Returns:
        What `other_crs` returns of GeoJSON; None for the other formats.
    """
    suffix = Path(path).suffix.lower()
    if suffix not in VECTOR_SUFFIXES or os.path.abspath(path).startswith("/vsi"):  # noqa: PTH100
        expected = "GeoJSON (.geojson, .json), GeoPackage (.gpkg), FlatGeobuf (.fgb) or a shapefile (.shp, unpacked)"
        raise OptionsError(f"{path}: expected {what} as {expected}")
    refuse_special(path, pipes=False)
    with open(path, "rb") as file:  # noqa: PTH123
        if suffix not in _GEOJSON:
            if not file.read(len(_BEGINNINGS[suffix])) == _BEGINNINGS[suffix]:
                raise OptionsError(f"{path}: is not a {suffix} file, although its name says so")
            if suffix == ".shp" and not any(Path(path).with_suffix(one).exists() for one in (".shx", ".SHX")):
                raise OptionsError(
                    f"{path}: has no .shx file beside it; a shapefile also needs its .shx, .dbf and .prj"
                )
            return None
        try:
            document = dict(json.load(file))
        except (TypeError, ValueError, RecursionError) as error:
            raise OptionsError(f"{path}: cannot be read as {what}: it is no GeoJSON: {error}") from error
    if (object_type := document.get("type")) not in _OBJECTS:
        raise OptionsError(f"{path}: expected GeoJSON, a type of {', '.join(_OBJECTS)}, found {object_type!r}")
    return other_crs(document)
