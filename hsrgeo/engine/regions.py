"""Named boxes from a CSV or GeoJSON file."""

from __future__ import annotations

import csv
import io
import json
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from hsrgeo.errors import OptionsError
from hsrgeo.model.window import BBox
from hsrgeo.outputs.names import NAMES, is_reserved
from hsrgeo.places.vectors import other_crs
from hsrgeo.sources.encodings import decoded, unreadable
from hsrgeo.sources.gauge_csv import columns_below, missing_columns, separator_line
from hsrgeo.sources.texts import read_bytes

_COLUMNS = ("name", "west", "south", "east", "north")
_FORBIDDEN = set('/\\:*?"<>|')
_LONGEST_NAME_BYTES = 200  # of 255 that a file system takes; a Korean letter has 3


@dataclass(frozen=True, slots=True)
class Region:
    """A box with a name, which becomes the name of its folder.

    Raises:
        OptionsError: The name cannot be a folder's.
    """

    name: str
    bbox: BBox

    def __post_init__(self) -> None:
        bad = (
            not self.name
            or self.name != self.name.strip()
            or self.name.startswith(".")
            or len(self.name.encode("utf-8", "replace")) > _LONGEST_NAME_BYTES
            or is_reserved(self.name)
            or self.name.lower() in NAMES  # which lie beside the regions' folders
            or any(letter in _FORBIDDEN or unicodedata.category(letter).startswith("C") for letter in self.name)
        )
        if bad:
            raise OptionsError(
                f"region name {self.name!r}: must be usable as a folder name "
                f'(1 to {_LONGEST_NAME_BYTES} bytes, none of / \\ : * ? " < > |, no dot or space at either end, '
                "no name that the system or hsrgeo uses itself)"
            )


def read_regions(
    path: str | Path, name_field: str | None = None, encoding: str | None = None
) -> tuple[tuple[Region, ...], tuple[str, ...]]:
    """Read regions and what a user should know of them.

    Args:
        path: CSV (name,west,south,east,north), or features with a name, of which the bounding boxes count: GeoJSON,
            GeoPackage, FlatGeobuf or a shapefile.
        name_field: Field that holds the names of features; None is ``name``.
        encoding: Of a CSV or shapefile that is not UTF-8, such as CP949.

    Raises:
        OptionsError: Unreadable, in another encoding, a bad row or feature (with its line or number), or a name twice.
        MissingExtraError: GeoPackage, shapefile or a GeoJSON in another CRS, and the extra ``series`` is not installed.
    """
    notes: tuple[str, ...] = ()
    if Path(path).suffix.lower() in _LAYERS:
        regions, notes = _from_layer(path, name_field, encoding)
    else:
        text = _text(path, encoding)
        if not text.lstrip().startswith(("{", "[")):
            if name_field is not None:
                raise OptionsError(f"{path}: the field of names is for shapes; a CSV has a column name")
            regions = _from_csv(path, text)
        elif name_field is not None or _has_other_crs(text):
            regions, notes = _from_layer(path, name_field, encoding)
        else:
            regions = _from_geojson(path, text)
    refuse_shared_folders(path, regions)
    return tuple(regions), notes


_LAYERS = (".gpkg", ".shp", ".fgb")


def _text(path: str | Path, encoding: str | None) -> str:
    try:
        data = read_bytes(path)  # once, for it may be a pipe
    except OSError as error:
        raise OptionsError(f"{path}: cannot be read: {error.strerror or error}") from error
    return decoded(str(path), data, encoding).replace("\r\n", "\n").replace("\r", "\n")


def _has_other_crs(text: str) -> bool:
    """Tell whether GeoJSON names a CRS other than degrees of WGS 84."""
    try:
        return other_crs(json.loads(text)) is not None
    except (ValueError, RecursionError, AttributeError):
        return False  # what is wrong with it is found where it is read


def _from_layer(path: str | Path, name_field: str | None, encoding: str | None) -> tuple[list[Region], tuple[str, ...]]:
    from hsrgeo.places.polygons import read_polygons  # noqa: PLC0415 - a run without such a file needs none of it

    polygons = read_polygons(path, name_field=name_field, encoding=encoding)
    regions = []
    for name, rings in zip(polygons.names, polygons.rings, strict=True):
        corners = np.concatenate(rings)
        regions.append(_region(name, [*corners.min(axis=0).tolist(), *corners.max(axis=0).tolist()]))
    return regions, polygons.notes


def refuse_shared_folders(where: str | Path, regions: Sequence[Region]) -> None:
    """Refuse no region at all, and names that are one folder on a system that does not tell capitals."""
    if not regions:
        raise OptionsError(f"{where}: contains no region")
    seen: dict[str, str] = {}
    for region in regions:
        folded = region.name.casefold()
        if folded in seen:
            raise OptionsError(f"{where}: two regions would share a folder: {seen[folded]!r} and {region.name!r}")
        seen[folded] = region.name


def _from_csv(path: str | Path, text: str) -> list[Region]:
    first, _end, rest = text.partition("\n")
    separator = separator_line(first)
    above, text = (1, rest) if separator else (0, text)
    reader = csv.DictReader(io.StringIO(text, newline=""), skipinitialspace=True, delimiter=separator or ",")
    try:
        columns = [name.strip().lower() for name in reader.fieldnames or ()]
        if missing := missing_columns(_COLUMNS, columns):
            below = columns_below(text.split("\n")[1:], above + 2, _COLUMNS)
            raise OptionsError(f"{missing}{below}")  # noqa: TRY301 - the number of the line is added below
        reader.fieldnames = columns
        rows = (row for row in reader if any(map(_filled, row.values())))
        return [_region_of_row(row) for row in rows]
    except (TypeError, ValueError, csv.Error, OptionsError) as error:
        known = isinstance(error, (csv.Error, OptionsError))
        problem = unreadable(error) if known else "west, south, east, north must be numbers"
        raise OptionsError(f"{path}, line {max(reader.line_num, 1) + above}: {problem}") from error


def _filled(cell: str | list[str] | None) -> bool:
    return any(map(_filled, cell)) if isinstance(cell, list) else bool(cell and cell.strip())


def _region_of_row(row: dict[str | Any, Any]) -> Region:
    if _filled(row.get(None)):  # where csv puts what is beyond the columns: 126,7 in place of 126.7?
        raise OptionsError("more cells than columns")
    return _region(row["name"] or "", [float(row[name]) for name in _COLUMNS[1:]])


def _from_geojson(path: str | Path, text: str) -> list[Region]:
    try:
        document = json.loads(text, parse_constant=_no_number)
    except (ValueError, RecursionError) as error:
        raise OptionsError(f"{path}: not valid JSON: {error}") from error
    features = document.get("features", [document]) if isinstance(document, dict) else None
    if not isinstance(features, list):
        raise OptionsError(f"{path}: expected GeoJSON: a Feature, or 'features' that are a list")
    regions = []
    for number, feature in enumerate(features, 1):
        try:
            regions.append(_region_of_feature(feature))
        except OptionsError as error:
            raise OptionsError(f"{path}, feature {number}: {error}") from error
        except (
            KeyError,
            TypeError,
            ValueError,
            AttributeError,
            IndexError,
            OverflowError,
            RecursionError,
        ) as error:
            problem = "expected properties.name and a geometry of lon/lat coordinates"
            raise OptionsError(f"{path}, feature {number}: {problem}") from error
    return regions


def _no_number(constant: str) -> None:
    raise ValueError(f"{constant} is no number")  # Python's reader takes NaN, and a minimum may overlook it


def _region_of_feature(feature: dict[str, Any]) -> Region:
    name = feature["properties"]["name"]
    if isinstance(name, bool) or not isinstance(name, (str, int)):
        raise TypeError(name)
    points = list(_positions(feature["geometry"]))
    lons, lats = [p[0] for p in points], [p[1] for p in points]
    return _region(str(name), [min(lons), min(lats), max(lons), max(lats)])


def _positions(geometry: dict[str, Any]) -> list[tuple[float, float]]:
    if geometry.get("type") == "GeometryCollection":
        return [point for part in geometry["geometries"] for point in _positions(part)]
    points: list[tuple[float, float]] = []
    pending: list[Any] = [geometry["coordinates"]]
    while pending:
        item = pending.pop()
        if not isinstance(item, list):  # a string would be taken apart for ever
            raise TypeError(item)
        if isinstance(item[0], (int, float)) and not isinstance(item[0], bool):
            points.append((float(item[0]), float(item[1])))
        else:
            pending.extend(item)
    return points


def _region(name: str, edges: list[float]) -> Region:
    return Region(unicodedata.normalize("NFC", name.strip()), BBox(*edges))
