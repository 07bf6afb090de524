"""Places that a series is for: gauges from a CSV file, polygons from GeoJSON, GeoPackage and shapefiles."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import numpy as np
import pyproj

from hsrgeo.errors import OptionsError, ProjectionError
from hsrgeo.model.grid import Grid
from hsrgeo.model.texts import first_names, plain, short
from hsrgeo.places.layers import read_named, refuse_metres, shapely_for, transformer_of
from hsrgeo.places.stations import name_of, numbered_names, rows_that_hold
from hsrgeo.places.vectors import VECTOR_SUFFIXES
from hsrgeo.places.weights import PointMethod, Ring, Weights, point_weights, polygon_weights
from hsrgeo.sources.encodings import decoded, unreadable
from hsrgeo.sources.gauge_csv import columns_below, missing_columns, separator_line, separator_of
from hsrgeo.sources.texts import read_bytes

_COLUMNS = ("name", "lon", "lat")
_KOREAN = {"지점명": "name", "경도": "lon", "위도": "lat"}  # as KMA's lists of stations have them
_SHOWN = 10  # bad rows that a message lists
_MOST_DEGREES = 180.0
_SAME_DEGREES = 1e-5  # about a metre: one place, whatever the digits


@dataclass(frozen=True, slots=True)
class Points:
    """Gauges: names, and where they stand."""

    names: tuple[str, ...]
    lonlat: tuple[tuple[float, float], ...]
    """Degrees, WGS 84."""
    notes: tuple[str, ...] = ()
    """What a user should know: which rows of stations were taken."""

    def weights(self, grid: Grid, method: PointMethod = "nearest", count: int = 1) -> Weights:
        """Return the cells that speak for each gauge, see `point_weights`; none for one outside the grid."""
        lon, lat = np.array(self.lonlat, np.float64).reshape(-1, 2).T
        return point_weights(*grid.project(lon, lat), grid, method, count)


@dataclass(frozen=True, slots=True)
class Polygons:
    """Basins: names, and their rings."""

    names: tuple[str, ...]
    rings: tuple[tuple[Ring, ...], ...]
    """Longitudes and latitudes [degrees, WGS 84] of closed rings, shells counter-clockwise, holes clockwise; edges are
    short enough to be straight lines on any grid."""
    notes: tuple[str, ...] = ()
    """What a user should know: polygons that were put right."""

    def weights(self, grid: Grid) -> Weights:
        """Return the exact share of each cell in each polygon, see `polygon_weights`; none for one outside the grid.

        Raises:
            OptionsError: A polygon has no area, or reaches beyond what the grid's projection can show.
        """
        projected, areas = [], []
        for name, rings in zip(self.names, self.rings, strict=True):
            try:
                placed = [np.column_stack(grid.project(ring[:, 0], ring[:, 1])) for ring in rings]
            except ProjectionError as error:
                swapped = max(np.abs(ring[:, 1]).max() for ring in rings) > _MOST_DEGREES / 2
                hint = "; are lon and lat the wrong way round?" if swapped else ""
                raise OptionsError(f"polygon {name!r}: reaches beyond what {grid.name} can show{hint}") from error
            areas.append(sum(_GEOD.polygon_area_perimeter(ring[:, 0], ring[:, 1])[0] for ring in rings))
            if not areas[-1]:
                raise OptionsError(f"polygon {name!r}: has no area")
            projected.append(placed)
        return polygon_weights(projected, np.abs(areas).tolist(), grid)


_GEOD = pyproj.Geod(ellps="WGS84")

Places = Points | Polygons


def as_points(given: object) -> Points:
    """Return gauges that were given as ``{name: (lon, lat)}``, or as a list of (name, lon, lat) or (lon, lat).

    Raises:
        OptionsError: They were not, one lies nowhere, or two have one name.
    """
    expected = "expected {name: (lon, lat)}, or a list of (name, lon, lat) or (lon, lat) in degrees"
    points: dict[str, tuple[float, float]] = {}
    try:
        named_rows = [(name, *lonlat) for name, lonlat in given.items()] if isinstance(given, Mapping) else given
        rows = list(named_rows)  # type: ignore[call-overload] # whatever it is: that is the question
        for number, row in enumerate(rows, 1):
            *named, lon, lat = row
            name = str(named[0]) if named else f"point {number}"
            if len(named) > 1 or name in points or not (abs(float(lon)) <= 180 and abs(float(lat)) <= 90):  # noqa: PLR2004
                raise OptionsError(f"points: {row!r}: {expected}, each with a name of its own")
            points[name] = float(lon), float(lat)
    except (TypeError, ValueError) as error:
        raise OptionsError(f"points {given!r}: {expected}") from error
    if not points:
        raise OptionsError(f"points {given!r}: {expected}")
    return Points(tuple(points), tuple(points.values()))


def read_points(
    path: str | Path | Points,
    encoding: str | None = None,
    at: datetime | None = None,
    *,
    name_field: str | None = None,
    crs: str | None = None,
) -> Points:
    """Read gauges from CSV with the columns name, lon and lat (degrees, WGS 84), or 지점명, 경도 and 위도.

    Or from GeoJSON, GeoPackage, FlatGeobuf or a shapefile, which tell their CRS (`hsrgeo.places.layers.read_named`).

    Columns are parted by commas, semicolons or tabs; other columns are passed over, but for 시작일 and 종료일, the
    first and last day that a row holds, and 지점, which follows the name where stations share it.

    Args:
        path: The file, or what was read of one.
        encoding: Of a file that is not UTF-8, such as CP949.
        at: Time at which a row must hold where a station has several, aware; None for the current rows.
        name_field: Of another format than CSV: field that holds the names; None is the one called ``name``.
        crs: Of a CSV with the columns x (east) and y (north) in place of lon and lat, such as EPSG:5186.

    Raises:
        OptionsError: Unreadable, in another encoding, or without a gauge; bad rows, each named with its line and what
            is wrong.
    """
    if isinstance(path, Points):
        return path
    if Path(path).suffix.lower() in VECTOR_SUFFIXES:
        if crs is not None:
            raise OptionsError(f"{path}: already has a CRS; crs is for a CSV with the columns x and y")
        return _of_layer(path, name_field, encoding)
    if name_field is not None:
        raise OptionsError("name_field is for GeoJSON, GeoPackage, FlatGeobuf and shapefiles; a CSV has a column name")
    try:
        data = read_bytes(path)  # once, for it may be a pipe
    except OSError as error:
        raise OptionsError(f"{path}: cannot be read: {error.strerror or error}") from error
    points, bad, notes = _points(str(path), decoded(str(path), data, encoding), at, crs)
    if bad:
        more = f"; and {len(bad) - _SHOWN:,} more" if len(bad) > _SHOWN else ""
        raise OptionsError(f"{path}: {'; '.join(bad[:_SHOWN])}{more}")
    if not points:
        why = f": {'; '.join(notes)}" if notes else ""
        raise OptionsError(f"{path}: contains no point{why}")
    return Points(tuple(points), tuple(points.values()), tuple(notes))


def _of_layer(path: str | Path, name_field: str | None, encoding: str | None) -> Points:
    shapely = shapely_for("points")
    layer = read_named(path, "point", name_field, encoding)
    places = []
    for name, data in zip(layer.names, layer.wkb, strict=True):
        shape = shapely.from_wkb(data) if data is not None else None
        if shape is None or shape.is_empty or shape.geom_type != "Point":
            geometry = "nothing" if shape is None or shape.is_empty else shape.geom_type
            hint = "; polygons go with --polygons of hsrgeo series" if geometry.endswith("Polygon") else ""
            raise OptionsError(f"{path}, {name!r}: expected a point, found {geometry}{hint}")
        places.append(_lonlat(f"{path}, {name!r}", layer.crs, layer.transformer, shape.x, shape.y))
    return Points(layer.names, tuple(places), layer.notes)


def _lonlat(where: str, crs: pyproj.CRS, transformer: pyproj.Transformer, x: float, y: float) -> tuple[float, float]:
    refuse_metres(where, crs, x, y)
    lon, lat = transformer.transform(x, y, direction="INVERSE")
    if not (math.isfinite(lon) and math.isfinite(lat)):
        raise OptionsError(f"{where}: {x:g} {y:g} has no place in its CRS")
    return lon, lat


def _refuse_swapped(crs: pyproj.CRS, transformer: pyproj.Transformer, x: float, y: float) -> None:
    """Refuse x and y the wrong way round: surveys in Korea call the north x."""
    area = crs.area_of_use
    if area is None:
        return
    inside = [
        area.west <= lon <= area.east and area.south <= lat <= area.north
        for lon, lat in (transformer.transform(*pair, direction="INVERSE") for pair in ((x, y), (y, x)))
    ]
    if inside == [False, True]:
        raise OptionsError(f"x {x:g} and y {y:g} are the wrong way round: expected x east and y north")


def _points(
    path: str, text: str, at: datetime | None, crs: str | None
) -> tuple[dict[str, tuple[float, float]], list[str], list[str]]:
    """Return the points, what is wrong with the rows that are none, and notes."""
    first, _end, rest = text.partition("\n")
    above = 0
    if separator := separator_line(first):
        above, text = 1, rest
    separator = separator or separator_of(first)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, skipinitialspace=True)
    points: dict[str, tuple[float, float]] = {}
    bad: list[str] = []
    twice: list[str] = []
    try:
        columns = [name.lower() for name in map(plain, next(reader, []))]
        named = set(columns)
        columns = [_KOREAN.get(name, name) if _KOREAN.get(name) not in named else name for name in columns]
        wanted = _COLUMNS if crs is None else ("name", "x", "y")
        if problem := missing_columns(wanted, columns, "지점명,경도,위도" if crs is None else ""):
            hint = (
                "; for x and y give their CRS, as --crs EPSG:5186" if crs is None and {"x", "y"} <= {*columns} else ""
            )
            below = columns_below(text.split("\n")[1:], above + 2, (*wanted, *_KOREAN))
            raise OptionsError(f"{path}, line {above + 1}: {problem}{hint or below}")
        rows = [(reader.line_num + above, cells) for cells in reader if any(cell.strip() for cell in cells)]
    except csv.Error as error:
        raise OptionsError(f"{path}, line {reader.line_num + above}: {unreadable(error)}") from error
    try:
        rows, notes = rows_that_hold(columns, rows, at)
    except OptionsError as error:
        raise OptionsError(f"{path}, {error}") from error
    names = numbered_names(columns, rows)
    projection = None if crs is None else transformer_of(path, crs)
    for line, cells in rows:
        try:
            _name, place = _point(columns, cells, projection)
        except OptionsError as error:
            bad.append(f"line {line}: {error}")
            continue
        name = plain(name_of(columns, (line, cells), names))
        there = points.setdefault(name, place)
        if there is place:
            continue
        if max(abs(there[0] - place[0]), abs(there[1] - place[1])) > _SAME_DEGREES:
            where = f"{there[0]:g} {there[1]:g} and {place[0]:g} {place[1]:g}"
            bad.append(f"line {line}: a second {name!r} at another place ({where}); each needs a name of its own")
        twice.append(name)
    if twice:
        listed = first_names(twice)
        notes.append(f"rows that list a place again, ignored: {len(twice):,} ({listed})")
    return points, bad, notes


def _point(
    columns: Sequence[str], cells: Sequence[str], projection: tuple[pyproj.CRS, pyproj.Transformer] | None
) -> tuple[str, tuple[float, float]]:
    if len(cells) > len(columns) and any(cell.strip() for cell in cells[len(columns) :]):
        raise OptionsError("more cells than columns")  # 126,7 in place of 126.7?
    row = dict(zip(columns, cells, strict=False))
    name = plain(row.get("name", ""))
    if not name:
        raise OptionsError("no name")
    if projection is not None:
        x, y = (_number(which, row.get(which, "")) for which in ("x", "y"))
        _refuse_swapped(*projection, x, y)
        return name, _lonlat(repr(name), *projection, x, y)
    lon, lat = (_number(which, row.get(which, "")) for which in ("lon", "lat"))
    if max(abs(lon), abs(lat)) > 2 * _MOST_DEGREES:
        raise OptionsError(
            f"lon {lon:g}, lat {lat:g} are not degrees; if they are metres, name the columns x,y and give their CRS, "
            "as --crs EPSG:5186"
        )
    if abs(lat) > _MOST_DEGREES / 2:
        raise OptionsError(f"lat {lat:g} is beyond 90 degrees; are lon and lat the wrong way round?")
    if abs(lon) > _MOST_DEGREES:
        raise OptionsError(f"lon {lon:g} is beyond 180 degrees")
    return name, (lon, lat)


def _number(which: str, text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise OptionsError(f"{which} {short(text)} is no number")
    return number
