"""Grids: CRS + transform + size, no pixels; the catalogue is read from projections/."""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass, field, replace
from functools import cache
from typing import TYPE_CHECKING, Literal, TypeVar

import numpy as np
from affine import Affine
from numpy.typing import ArrayLike, NDArray

from hsrgeo.errors import ClippedWarning, ProjectionError, WindowError
from hsrgeo.model.window import Area, BBox, Center, Window

if TYPE_CHECKING:
    import pyproj

_EDGE_POINTS = 257
# ^ points along each edge of a bbox: a parallel is an arc here; over the whole grid (15 degrees) the polyline
#   stays within 1 m of the arc, and its extreme point is added on its own.
_SNAP = 1e-6
# ^ cells (0.5 mm): an edge this close to a cell border lies on it, so that a box made from cell corners
#   comes back as those cells, and a point this close to the middle between two squares always takes the same one.
_AROUND = 1.0
# ^ degrees: what a bbox holds farther than this from the grid is left out before projecting. A pole has no place in
#   the projection, and far to the west the east begins.

_DEGREES_OF_KOREA = ((115.0, 137.0), (28.0, 45.0))
# ^ longitudes and latitudes that KMA's grids cover: nobody asks for the few cells there, counted in metres

Registration = Literal["point", "corner"]
"""What KMA's point of a cell is: its centre, or its south-west corner (KMA composite format, section 7)."""

_Number = TypeVar("_Number", float, NDArray[np.float64])


@dataclass(frozen=True, slots=True)
class CheckPoint:
    """A cell centre whose place is known from elsewhere."""

    col: int
    """Column, counted from zero at the west."""
    row: int
    """Row, counted from zero at the **south**, as KMA counts."""
    lon: float
    """Degrees east."""
    lat: float
    """Degrees north."""
    source: str
    """Who says so."""


@dataclass(frozen=True)
class Grid:
    """Where pixels lie: a CRS, a north-up transform and a size.

    Two grids are equal when they have the same name, CRS, transform and size.
    """

    name: str
    """Name of the catalogue's grid that this one is, or was cut from."""
    wkt2: str = field(repr=False)
    """The CRS as WKT 2."""
    transform: Affine
    """Pixel corner (column, row) -> metres; row 0 is the north row."""
    width: int
    """Columns."""
    height: int
    """Rows."""
    map_code: int = field(default=0, compare=False)
    """``map_code`` of the frame header."""
    title: str = field(default="", compare=False, repr=False)
    proj: str = field(default="", compare=False, repr=False)
    """The CRS as a PROJ string."""
    confidence: str = field(default="", compare=False, repr=False)
    sources: tuple[str, ...] = field(default=(), compare=False, repr=False)
    check_points: tuple[CheckPoint, ...] = field(default=(), compare=False, repr=False)
    statistics: dict[str, dict[str, float]] = field(default_factory=dict, compare=False, repr=False)
    """Minimum, maximum and mean of the cell centres' ``lon`` and ``lat`` in degrees, where KMA serves them."""
    registration: Registration = field(default="point", compare=False)
    """What the points that KMA serves are: the centres of the cells, or their south-west corners."""

    @property
    def cell_size_m(self) -> float:
        """Side of a cell in metres."""
        return float(self.transform.a)

    @property
    def bounds(self) -> tuple[float, float, float, float]:
        """Left, bottom, right, top: the outer edges in metres."""
        left, top = self._metres(0, 0)
        right, bottom = self._metres(self.width, self.height)
        return left, bottom, right, top

    @property
    def window(self) -> Window:
        """The window that is the whole grid."""
        return Window(0, 0, self.width, self.height)

    @property
    def crs(self) -> pyproj.CRS:
        """The CRS as pyproj has it."""
        return _crs(self.wkt2)

    def xy(self, row: float, col: float) -> tuple[float, float]:
        """Return the centre of a cell in metres; rows count from the north."""
        return self._metres(col + 0.5, row + 0.5)

    def index(self, x: float, y: float) -> tuple[int, int]:
        """Return (row, col) of the cell that holds a point in units of the CRS, which are metres on KMA's grids.

        Raises:
            WindowError: The point lies outside; or it looks like degrees, for which there is `index_lonlat`.
        """
        lon, lat = _DEGREES_OF_KOREA
        if self.cell_size_m > 1 and lon[0] <= x <= lon[1] and lat[0] <= y <= lat[1]:
            raise WindowError(
                f"{x:g}, {y:g} looks like longitude and latitude: index_lonlat takes degrees, index metres"
            )
        col, row = (math.floor(cells) for cells in self._cells(x, y))
        if not (0 <= col < self.width and 0 <= row < self.height):
            raise WindowError(f"{x:g}, {y:g} (x, y) lies outside the {self.width} x {self.height} cells of {self.name}")
        return row, col

    def index_lonlat(self, lon: float, lat: float) -> tuple[int, int]:
        """Return (row, col) of the cell that holds a point in degrees, WGS 84.

        Raises:
            WindowError: The point lies outside.
            ProjectionError: PROJ gives no finite answer for it.
        """
        x, y = self.project(lon, lat)
        col, row = (math.floor(cells) for cells in self._cells(float(x), float(y)))
        if not (0 <= col < self.width and 0 <= row < self.height):
            raise WindowError(f"{lon:g}, {lat:g} (longitude, latitude) lies outside {self.name}")
        return row, col

    def lonlat(self, row: ArrayLike, col: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return longitudes and latitudes [degrees] of cell centres; rows count from the north."""
        x, y = self._metres(np.asarray(col) + 0.5, np.asarray(row) + 0.5)
        return transform_points(_to_lonlat(self.wkt2), x, y, inverse=True)

    def project(self, lon: ArrayLike, lat: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return x and y [metres] of longitudes and latitudes [degrees, WGS 84].

        Raises:
            ProjectionError: PROJ gives no finite answer for one of them.
        """
        lon, lat = np.asarray(lon, float), np.asarray(lat, float)
        x, y = transform_points(_to_lonlat(self.wkt2), lon, lat)
        if (astray := ~(np.isfinite(x) & np.isfinite(y))).any():
            where = f"{lon[astray][0]}, {lat[astray][0]} (longitude, latitude)"
            raise ProjectionError(f"{where} cannot be projected to {self.name}")
        return x, y

    def crop(self, window: Window) -> Grid:
        """Return the grid of a window of this one.

        Raises:
            WindowError: The window reaches outside.
        """
        if window.col_off + window.width > self.width or window.row_off + window.height > self.height:
            raise WindowError(
                f"window {window} (COL ROW WIDTH HEIGHT) reaches outside the {self.width} x {self.height} "
                f"cells of {self.name}"
            )
        t = self.transform
        left, top = self._metres(window.col_off, window.row_off)
        return replace(
            self,
            transform=Affine(t.a, t.b, left, t.d, t.e, top),
            width=window.width,
            height=window.height,
        )

    def window_for(self, area: Area | None) -> Window:
        """Return the pixel window of an area.

        A bbox becomes the smallest window of whole cells that covers it. Its edges are densified before
        projecting: in a conic projection a parallel is an arc, and its extreme lies between the corners. A bbox
        partly outside is cut at the grid's edge with a `ClippedWarning`; a center's square is the one whose middle
        is nearest to the point.

        Args:
            area: A bbox, a window, a center with a size, or None for the whole grid.

        Raises:
            WindowError: A window or square partly outside, or anything wholly outside.
        """
        if area is None:
            return self.window
        if isinstance(area, Window):
            self.crop(area)  # raises where it does not fit
            return area
        return self._square(area) if isinstance(area, Center) else self._cover(area)

    def _square(self, center: Center) -> Window:
        x, y = self.project(center.lon, center.lat)
        col, row = self._cells(float(x), float(y))
        col_off = math.floor(col - center.size / 2 + 0.5 + _SNAP)
        row_off = math.floor(row - center.size / 2 + 0.5 + _SNAP)
        outside = min(col_off, row_off) < 0 or col_off + center.size > self.width or row_off + center.size > self.height
        if outside:
            raise WindowError(
                f"center {center.lon:g} {center.lat:g} with size {center.size}: the square would be "
                f"{col_off} {row_off} {center.size} {center.size} (COL ROW WIDTH HEIGHT), which reaches outside "
                f"the {self.width} x {self.height} cells of {self.name}"
            )
        return Window(col_off, row_off, center.size, center.size)

    def _cover(self, bbox: BBox) -> Window:
        lon, lat = self._outline_lonlat()
        lon_min, lat_min, lon_max, lat_max = (float(edge) for edge in (lon.min(), lat.min(), lon.max(), lat.max()))
        west, east = max(bbox.west, lon_min - _AROUND), min(bbox.east, lon_max + _AROUND)
        south, north = max(bbox.south, lat_min - _AROUND), min(bbox.north, lat_max + _AROUND)
        outside = WindowError(
            f"bbox {bbox} does not touch {self.name}, which lies within "
            f"{lon_min:.2f}..{lon_max:.2f} E, {lat_min:.2f}..{lat_max:.2f} N"
        )
        if west >= east or south >= north:
            raise outside
        x, y = self.project(*_densified(BBox(west, south, east, north), _central_meridian(self.wkt2)))
        cols, rows = self._cells(x, y)
        first_col, first_row = math.floor(cols.min() + _SNAP), math.floor(rows.min() + _SNAP)
        end_col = max(math.ceil(cols.max() - _SNAP), first_col + 1)
        end_row = max(math.ceil(rows.max() - _SNAP), first_row + 1)
        left, right = max(first_col, 0), min(end_col, self.width)
        top, bottom = max(first_row, 0), min(end_row, self.height)
        # The rectangle around the arcs may touch where the box itself does not: some point must lie in both.
        in_grid = (cols > 0) & (cols < self.width) & (rows > 0) & (rows < self.height)
        in_box = (lon > west) & (lon < east) & (lat > south) & (lat < north)
        if left >= right or top >= bottom or not (in_grid.any() or in_box.any()):
            raise outside
        cut = {"west": left > first_col, "south": bottom < end_row, "east": right < end_col, "north": top > first_row}
        if any(cut.values()):
            sides = " and ".join(side for side, is_cut in cut.items() if is_cut)
            warnings.warn(
                f"bbox {bbox} reaches outside {self.name} and is cut at its edge in the {sides}",
                ClippedWarning,
                stacklevel=3,
            )
        return Window(left, top, right - left, bottom - top)

    # Written out: affine 3 warns of `transform * point`, and affine 2 has no `@`.
    def _metres(self, col: _Number, row: _Number) -> tuple[_Number, _Number]:
        t = self.transform
        return t.c + t.a * col, t.f + t.e * row

    def _cells(self, x: _Number, y: _Number) -> tuple[_Number, _Number]:
        t = self.transform
        return (x - t.c) / t.a, (y - t.f) / t.e

    def _outline_lonlat(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        cols = np.linspace(-0.5, self.width - 0.5, _EDGE_POINTS)  # cells count from their centres in `lonlat`
        rows = np.linspace(-0.5, self.height - 0.5, _EDGE_POINTS)
        return self.lonlat(
            np.concatenate([np.full_like(cols, rows[0]), np.full_like(cols, rows[-1]), rows, rows]),
            np.concatenate([cols, cols, np.full_like(rows, cols[0]), np.full_like(rows, cols[-1])]),
        )


def transform_points(
    transformer: pyproj.Transformer, x: NDArray[np.float64], y: NDArray[np.float64], *, inverse: bool = False
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return transformed points, of the shape that they were given in."""
    # pyproj takes an array of one for a number, and numpy warns: two of it are no number.
    alone = x.size == 1 and x.ndim > 0
    given = (np.repeat(x, 2), np.repeat(y, 2)) if alone else (x, y)
    found = (np.asarray(axis) for axis in transformer.transform(*given, direction="INVERSE" if inverse else "FORWARD"))
    to_x, to_y = (axis[:1].reshape(x.shape) if alone else axis for axis in found)
    return to_x, to_y


def _densified(bbox: BBox, meridian: float | None) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    lon = np.linspace(bbox.west, bbox.east, _EDGE_POINTS)
    if meridian is not None and bbox.west < meridian < bbox.east:
        lon = np.append(lon, meridian)  # a parallel's lowest point lies on the central meridian
    lat = np.linspace(bbox.south, bbox.north, _EDGE_POINTS)
    return (
        np.concatenate([lon, lon, np.full_like(lat, bbox.west), np.full_like(lat, bbox.east)]),
        np.concatenate([np.full_like(lon, bbox.south), np.full_like(lon, bbox.north), lat, lat]),
    )


@cache
def _crs(wkt2: str) -> pyproj.CRS:
    import pyproj  # noqa: PLC0415 - slow to import, and many commands need none of it

    return pyproj.CRS.from_wkt(wkt2)


@cache
def _to_lonlat(wkt2: str) -> pyproj.Transformer:
    import pyproj  # noqa: PLC0415

    # From the CRS's own longitude/latitude: WGS 84 itself for the 500 m grid; for KMA's sphere the same numbers,
    # since KMA puts WGS 84 degrees on it unchanged.
    crs = _crs(wkt2)
    if crs.geodetic_crs is None:
        raise ProjectionError(f"{crs.name} has no longitude and latitude")
    return pyproj.Transformer.from_crs(crs.geodetic_crs, crs, always_xy=True)


@cache
def _central_meridian(wkt2: str) -> float | None:
    operation = _crs(wkt2).coordinate_operation
    named = {param.name: param.value for param in operation.params} if operation else {}
    meridian = named.get("Longitude of false origin")
    return None if meridian is None else float(meridian)
