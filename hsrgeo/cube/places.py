"""Places that a series is for: gauges from a CSV file, polygons from GeoJSON, GeoPackage and shapefiles."""

from __future__ import annotations

import csv
import io
import math
import unicodedata
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyproj

from hsrgeo.cube.vectors import read_layer
from hsrgeo.cube.weights import PointMethod, Ring, Weights, point_weights, polygon_weights
from hsrgeo.errors import MissingExtraError, OptionsError, ProjectionError
from hsrgeo.model.grid import Grid
from hsrgeo.sources.gauge_csv import separator_of
from hsrgeo.sources.texts import refuse_special

_COLUMNS = ("name", "lon", "lat")
_KOREAN = {"지점명": "name", "경도": "lon", "위도": "lat"}  # as KMA's lists of stations have them
_TOLD = 10  # bad rows that a message lists
_STEP_M = 250.0
# ^ longest piece of an edge that is projected as a straight line: the arc that a parallel is here stays within 1 mm
_STEP_DEGREES = 0.0025  # the same, of a CRS in degrees
_MOST_PIECES = 2_000_000  # of the edges of a polygon: 500,000 km; a corner that is far away would fill the memory
_MOST_DEGREES = 180.0
_BYTES = "ISO-8859-1"


@dataclass(frozen=True, slots=True)
class Points:
    """Gauges: names, and where they stand."""

    names: tuple[str, ...]
    lonlat: tuple[tuple[float, float], ...]
    """Degrees, WGS 84."""

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
            OptionsError: A polygon has no area, or reaches where the grid's projection has no place for it.
        """
        projected, areas = [], []
        for name, rings in zip(self.names, self.rings, strict=True):
            try:
                placed = [np.column_stack(grid.project(ring[:, 0], ring[:, 1])) for ring in rings]
            except ProjectionError as error:
                raise OptionsError(f"polygon {name!r}: reaches where {grid.name} has no place for it") from error
            areas.append(sum(_GEOD.polygon_area_perimeter(ring[:, 0], ring[:, 1])[0] for ring in rings))
            if not areas[-1]:
                raise OptionsError(f"polygon {name!r}: has no area")
            projected.append(placed)
        return polygon_weights(projected, np.abs(areas).tolist(), grid)


_GEOD = pyproj.Geod(ellps="WGS84")

Places = Points | Polygons


def read_points(path: str | Path, encoding: str | None = None) -> Points:
    """Read gauges from CSV with the columns name, lon and lat (degrees, WGS 84), or 지점명, 경도 and 위도.

    Columns are parted by commas, semicolons or tabs; other columns are passed over.

    Args:
        path: The file.
        encoding: Of a file that is not UTF-8, such as CP949.

    Raises:
        OptionsError: Unreadable, in another encoding, or without a gauge; bad rows, each named with its line and what
            is wrong.
    """
    try:
        refuse_special(path, pipes=True)
        data = Path(path).read_bytes()  # once, for it may be a pipe
    except OSError as error:
        raise OptionsError(f"{path}: cannot be read: {error.strerror or error}") from error
    points, bad = _points(str(path), _decoded(str(path), data, encoding))
    if bad:
        more = f"; and {len(bad) - _TOLD:,} more" if len(bad) > _TOLD else ""
        raise OptionsError(f"{path}: {'; '.join(bad[:_TOLD])}{more}")
    if not points:
        raise OptionsError(f"{path}: holds no point")
    return Points(tuple(points), tuple(points.values()))


def _decoded(path: str, data: bytes, encoding: str | None) -> str:
    """Return the text: UTF-8 where it is, for Korean letters of another encoding never are by chance."""
    try:
        return data.decode("utf-8-sig")  # Korean Excel saves CSV UTF-8 with a byte-order mark
    except UnicodeDecodeError as error:
        if encoding is None or encoding.lower().replace("_", "-") in ("utf-8", "utf8", "utf-8-sig"):
            instead = "in Excel save as 'CSV UTF-8', or say its encoding, such as --encoding cp949"
            raise OptionsError(f"{path}: must be UTF-8 (byte {error.start}); {instead}") from error
    try:
        return data.decode(encoding)
    except LookupError as error:
        raise OptionsError(f"encoding {encoding!r} is not known: expected utf-8 or cp949") from error
    except UnicodeError as error:
        raise OptionsError(f"{path}: is neither UTF-8 nor {encoding}; in Excel save as 'CSV UTF-8'") from error


def _points(path: str, text: str) -> tuple[dict[str, tuple[float, float]], list[str]]:
    """Return the points, and what is wrong with the rows that are none."""
    separator = separator_of(text.partition("\n")[0])
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, skipinitialspace=True)
    points: dict[str, tuple[float, float]] = {}
    bad: list[str] = []
    try:
        columns = [name.lower() for name in map(_plain, next(reader, []))]
        columns = [_KOREAN.get(name, name) if _KOREAN.get(name) not in columns else name for name in columns]
        if missing := [name for name in _COLUMNS if name not in columns]:
            raise OptionsError(f"{path}, line 1: must name the columns name,lon,lat; missing {','.join(missing)}")
        for cells in reader:
            if not any(cell.strip() for cell in cells):
                continue
            try:
                name, place = _point(columns, cells)
            except OptionsError as error:
                bad.append(f"line {reader.line_num}: {error}")
                continue
            if name in points:
                bad.append(f"line {reader.line_num}: a second {name!r}")
            points.setdefault(name, place)
    except csv.Error as error:
        raise OptionsError(f"{path}, line {reader.line_num}: {error}") from error
    return points, bad


def _point(columns: Sequence[str], cells: Sequence[str]) -> tuple[str, tuple[float, float]]:
    if len(cells) > len(columns) and any(cell.strip() for cell in cells[len(columns) :]):
        raise OptionsError("more cells than columns")  # 126,7 in place of 126.7?
    row = dict(zip(columns, cells, strict=False))
    name = _plain(row.get("name", ""))
    if not name:
        raise OptionsError("no name")
    lon, lat = (_degrees(which, row.get(which, "")) for which in ("lon", "lat"))
    if abs(lat) > _MOST_DEGREES / 2:
        raise OptionsError(f"lat {lat:g} is beyond 90 degrees; are lon and lat the wrong way round?")
    if abs(lon) > _MOST_DEGREES:
        raise OptionsError(f"lon {lon:g} is beyond 180 degrees")
    return name, (lon, lat)


def _degrees(which: str, text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise OptionsError(f"{which} {text!r} is no number")
    return number


def _plain(name: object) -> str:
    return unicodedata.normalize("NFC", str(name).strip())


def read_polygons(path: str | Path, *, name_field: str | None = None, encoding: str | None = None) -> Polygons:
    """Read polygons from GeoJSON, GeoPackage, FlatGeobuf or a shapefile.

    Edges are cut short in the file's own CRS, where they are straight, before they are projected. Polygons that cross
    themselves are put right, and noted.

    Args:
        path: The file; its first layer is read.
        name_field: Field that holds the names; None is the one called ``name``, in any case.
        encoding: Of the texts in a shapefile, such as CP949; None believes the file.

    Raises:
        MissingExtraError: pyogrio or shapely is not installed.
        OptionsError: Unreadable, without a CRS, a field of names, or a way to know their encoding; a feature that is
            no polygon, has no name, or the name of another one.
    """
    shapely = _shapely()
    own = encoding if Path(path).suffix.lower() == ".shp" else None  # the other formats are UTF-8
    # As Latin letters every byte is one; decoding is left to Python, for GDAL only warns of what is no text.
    meta, _fids, wkb, fields = read_layer(path, _BYTES if own else None)
    if not meta["crs"]:
        raise OptionsError(f"{path}: does not tell its CRS (a shapefile does in a .prj file)")
    texts = fields[_field(path, list(meta["fields"]), name_field)]
    try:
        names = [_plain(text.encode(_BYTES).decode(own) if own and isinstance(text, str) else text) for text in texts]
    except (LookupError, UnicodeError) as error:
        raise OptionsError(f"{path}: its names are not in {own}: {error}") from error
    if not names:
        raise OptionsError(f"{path}: holds no polygon")
    for number, name in enumerate(names, 1):
        if name in ("", "None", "nan"):
            raise OptionsError(f"{path}, feature {number}: has no name")
        if not name.isascii() and encoding is None and _is_silent(Path(path)):
            raise OptionsError(
                f"{path}: does not tell the encoding of its names (a .cpg file would): say so, CP949 or UTF-8 in Korea"
            )
    if twice := [name for name, count in Counter(names).items() if count > 1]:
        raise OptionsError(f"{path}: several polygons are called {twice[0]!r}; merge them, or take another name field")
    crs, to_lonlat = _crs(path, meta["crs"])
    step = _STEP_DEGREES if crs.is_geographic else _STEP_M / crs.axis_info[0].unit_conversion_factor
    mended: list[str] = []
    rings = []
    for name, data in zip(names, wkb, strict=True):
        where = f"{path}, {name!r}"
        shape = _polygon(shapely, where, data, mended, name)
        if not shape.length / step <= _MOST_PIECES:
            raise OptionsError(f"{where}: its edges are too long for a place, {shape.length:g} units of {crs.name}")
        rings.append(tuple(_rings(shapely, shapely.segmentize(shape, step), to_lonlat)))
    told = ", ".join(mended[:_TOLD]) + (", ..." if len(mended) > _TOLD else "")
    notes = (f"{len(mended)} polygons cross themselves and were put right: {told}",) if mended else ()
    return Polygons(tuple(names), tuple(rings), notes)


def _is_silent(path: Path) -> bool:
    """Tell whether this is a shapefile that leaves its encoding to be guessed, as GDAL does: as Latin letters."""
    return path.suffix.lower() == ".shp" and not any(path.with_suffix(s).exists() for s in (".cpg", ".CPG"))


def _shapely() -> Any:  # noqa: ANN401 - shapely has no types
    try:
        import shapely  # noqa: PLC0415 - an optional extra
    except ImportError as error:
        raise MissingExtraError("pyogrio and shapely, to read polygons", "series") from error
    return shapely


def _field(path: str | Path, fields: list[str], wanted: str | None) -> int:
    looked_for = (wanted or "name").casefold()
    for number, field in enumerate(fields):
        if field.casefold() == looked_for:
            return number
    raise OptionsError(f"{path}: has no field {wanted or 'name'!r}; choose one of {', '.join(fields) or '(none)'}")


def _crs(path: str | Path, text: str) -> tuple[pyproj.CRS, pyproj.Transformer]:
    try:
        crs = pyproj.CRS.from_user_input(text)
        to_lonlat = pyproj.Transformer.from_crs(crs, "EPSG:4326", always_xy=True)
    except pyproj.exceptions.ProjError as error:
        raise OptionsError(f"{path}: its CRS is not understood: {error}") from error
    if not crs.axis_info:
        raise OptionsError(f"{path}: its CRS is not understood: {crs.name} has no axes")
    return crs, to_lonlat


def _polygon(shapely: Any, where: str, data: bytes | None, mended: list[str], name: str) -> Any:  # noqa: ANN401
    """Return a valid polygon or multipolygon."""
    try:
        shape = shapely.from_wkb(data) if data is not None else None
    except shapely.GEOSException as error:  # a ring that is not closed
        raise OptionsError(f"{where}: {error}") from error
    if shape is None or shape.is_empty or shape.geom_type not in ("Polygon", "MultiPolygon"):
        kind = "nothing" if shape is None or shape.is_empty else shape.geom_type
        raise OptionsError(f"{where}: expected a polygon, found {kind}")
    shape = shapely.force_2d(shape)
    if not np.isfinite(shapely.get_coordinates(shape)).all():
        raise OptionsError(f"{where}: has corners that are no numbers")
    if not shape.is_valid:
        shape = shapely.make_valid(shape, method="structure")
        mended.append(name)
    if not shape.area:
        raise OptionsError(f"{where}: has no area")
    return shape


def _rings(shapely: Any, shape: Any, to_lonlat: pyproj.Transformer) -> Iterator[Ring]:  # noqa: ANN401
    for part in shapely.get_parts(shapely.get_parts(shape)):
        if part.geom_type != "Polygon":  # a line that mending left
            continue
        oriented = shapely.orient_polygons(part)
        for ring in (oriented.exterior, *oriented.interiors):
            x, y = shapely.get_coordinates(ring).T
            yield np.column_stack(to_lonlat.transform(x, y))
