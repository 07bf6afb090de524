"""Frames in another projection: what is asked for, the grid that follows, and the values on it."""

from __future__ import annotations

import math
import random
import threading
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal, cast, get_args

import numpy as np
from numpy.typing import NDArray

from hsrgeo.errors import FrameError, OptionsError
from hsrgeo.model.epsg import code_of
from hsrgeo.model.frame import Frame
from hsrgeo.model.grid import Grid
from hsrgeo.model.window import Area, BBox, Center, Window, as_bbox
from hsrgeo.products.datums import from_wgs84
from hsrgeo.products.places import Floats, Lattice, Places, extent, outline, projected, round_side
from hsrgeo.products.resample import Blending, Boxes, boxes_for, nearest_index, taken

if TYPE_CHECKING:
    import pyproj

Resampling = Literal["nearest", "bilinear", "average", "max"]
"""nearest: the stored value of the source cell that holds the centre. bilinear: between the four centres around it.
average: the mean over the output cell's area. max: the highest echo that the output cell touches."""

MOST_CELLS = 20_000_000
"""Three times the cells of the 500 m grid; some 250 MB for a warp and its frame."""
_SNAP = 1e-6  # cells: an edge this close to a border of output cells lies on it, as in `Grid.window_for`
_AROUND = 1.0  # degrees: what a bbox holds farther than this from the grid is left out before projecting
_WIDEST_DEGREES = 10.0  # the grids are 15 degrees wide
_HALVINGS = 40  # of the way between two points of an outline: 1e-12 of 5 km
_AVERAGED = ("reflectivity", "rain_rate")


@dataclass(frozen=True, slots=True)
class Target:
    """Another projection for frames, as it was asked for; `as_target` checks what a user says."""

    wkt2: str
    """The CRS as WKT 2."""
    resolution: float | None = None
    """Side of a cell in CRS units; None for the round number nearest to the source's, see `places.round_side`."""
    resampling: Resampling = "nearest"


def as_target(crs: str, resolution: float | None = None, resampling: str = "nearest") -> Target:
    """Return the target that a user asked for.

    Args:
        crs: ``EPSG:5179``, WKT, a PROJ string, or anything else that PROJ knows.
        resolution: Side of a cell in units of the CRS, metres or degrees; None to choose one.
        resampling: One of `Resampling`.

    Raises:
        OptionsError: An unknown CRS, one that is no map, or one whose datum PROJ cannot reach; a resolution or
            resampling that cannot be.
    """
    if resampling not in get_args(Resampling):
        raise OptionsError(f"resampling {resampling!r}: expected one of {', '.join(get_args(Resampling))}")
    found = _crs(crs)
    from_wgs84(found)  # refuses a datum without a known shift
    if resolution is not None:
        resolution = _resolution(resolution, found)
    return Target(found.to_wkt("WKT2_2019"), resolution, cast("Resampling", resampling))


def _crs(text: str) -> pyproj.CRS:
    import pyproj  # noqa: PLC0415 - see `hsrgeo.model.grid`

    try:
        crs = pyproj.CRS.from_user_input(text)
    except pyproj.exceptions.CRSError as error:
        raise OptionsError(f"projection {text!r} is not known: expected EPSG:CODE, WKT or a PROJ string") from error
    expected = "expected a map of x and y, or longitude and latitude, such as EPSG:5179 or EPSG:4326"
    plain = crs.source_crs if crs.is_bound and crs.source_crs else crs
    if plain.type_name not in ("Projected CRS", "Geographic 2D CRS"):
        raise OptionsError(f"projection {text!r} ({crs.name}) is a {crs.type_name}: {expected}")
    # In polar projections both axes point to the pole, or from it.
    directions = {axis.direction for axis in plain.axis_info}
    if directions not in ({"east", "north"}, {"north"}, {"south"}):
        raise OptionsError(
            f"projection {text!r} ({crs.name}) has axes to {' and '.join(sorted(directions))}: {expected}"
        )
    return crs


def _resolution(value: float, crs: pyproj.CRS) -> float:
    try:
        resolution = float(value)
    except (TypeError, ValueError) as error:
        raise OptionsError(f"resolution {value!r}: expected a number") from error
    unit = _unit(crs)
    if not 0 < resolution < math.inf:
        raise OptionsError(f"resolution {resolution:g}: expected more than 0 {unit}s, the unit of {crs.name}")
    if crs.is_geographic and resolution > _WIDEST_DEGREES:
        raise OptionsError(f"resolution {resolution:g}: {crs.name} counts in {unit}s, such as 0.005; this is too much")
    return resolution


def _unit(crs: pyproj.CRS) -> str:
    return crs.axis_info[0].unit_name


@dataclass(frozen=True, eq=False)
class Warp:
    """The way from windows of one grid to another grid: made once, applied to every frame."""

    source: Grid
    """The grid of `window`: that of the frames to apply it to."""
    window: Window
    """Cells of the whole source grid that are needed."""
    grid: Grid
    """Where the result lies."""
    resampling: Resampling
    made_of: NDArray[np.int32] | Boxes
    """For nearest the index of a source cell for each output cell; else boxes of source cells."""

    @property
    def nbytes(self) -> int:
        """Memory that it takes."""
        if isinstance(self.made_of, Boxes):
            return self.made_of.index.nbytes + self.made_of.weights.nbytes
        return self.made_of.nbytes

    def apply(self, part: Frame) -> Frame:
        """Return a frame on `grid`.

        nearest copies values as they are stored. The others know only nodata, undetect and echo, and so does what they
        return: it is `cleaned`. A part is ``frame.crop(window=warp.window)`` of any frame of the source grid.

        Raises:
            FrameError: A part of another place; or a quantity that only nearest makes sense for.
        """
        if part.grid != self.source:
            expected = f"{self.source.width} x {self.source.height} cells of {self.source.name} from {self.window}"
            found = f"{part.grid.width} x {part.grid.height} cells of {part.grid.name} from {part.window}"
            raise FrameError("warp of another place", expected, found, part.name)
        derived = (*part.derived, ("WARP_RESAMPLING", self.resampling), ("WARP_SOURCE_GRID", part.grid.name))
        if isinstance(self.made_of, Boxes):
            if part.quantity.name not in _AVERAGED:
                raise FrameError(
                    f"no {self.resampling} of numbers that do not add up",
                    "reflectivity or rain rate (anything with nearest)",
                    part.quantity.name,
                    part.name,
                )
            if part.quantity.is_rain:
                part = part.clean()  # a dry cell is 0
            stored = self.made_of.resampled(part.stored, part.quantity, cast("Blending", self.resampling))
            return replace(part, stored=stored, grid=self.grid, cleaned=True, derived=derived)
        # Cells as stored even of a clean frame, which cleans them when asked: so blends are still counted.
        stored = taken(part.stored, self.made_of, part.quantity.nodata)
        return replace(part, stored=stored, grid=self.grid, derived=derived)


_MOST_KEPT_BYTES = 160 << 20  # more than the average of a whole frame takes, or 600 regions by nearest
_KEPT: dict[tuple[Grid, Area | None, Target], Warp] = {}
_KEEPING = threading.Lock()
_CHANCE = random.Random(0)  # noqa: S311 - the same choices in every run


def warp_for(grid: Grid, area: Area | None, target: Target) -> Warp:
    """Return the way from an area of a grid to a target.

    The result is the smallest rectangle of whole output cells that covers the area; corners of the rectangle outside
    the area hold data too, as far as the source grid has them, and nodata beyond. The corners of output cells are
    multiples of the resolution from the origin of the CRS, whatever the area, so that neighbouring areas share them.
    Warps are kept as far as memory allows, and a warning is given only when one is made. The area is as for
    `Grid.window_for`, but a bbox partly outside is cut with a `ClippedWarning`.

    Raises:
        WindowError: As `Grid.window_for`.
        OptionsError: The result would be too large, or a cell larger than the grid.
        ProjectionError: Part of the grid has no place in the CRS.
    """
    with _KEEPING:
        known = _KEPT.get((grid, area, target))
    if known is not None:
        return known
    warp = _made(grid, area, target)
    with _KEEPING:
        room = _MOST_KEPT_BYTES - warp.nbytes
        while _KEPT and sum(kept.nbytes for kept in _KEPT.values()) > room:
            # Any of them: regions come round in a circle, in which the oldest one is always the next one wanted.
            del _KEPT[_CHANCE.choice(list(_KEPT))]
        _KEPT[grid, area, target] = warp
    return warp


def forget_warps() -> None:
    """Let go of all that are kept."""
    with _KEEPING:
        _KEPT.clear()


def _made(grid: Grid, area: Area | None, target: Target) -> Warp:
    import pyproj  # noqa: PLC0415 - see `hsrgeo.model.grid`

    window = grid.window_for(area)
    side = target.resolution if target.resolution is not None else round_side(grid, target.wkt2)
    crs = pyproj.CRS.from_wkt(target.wkt2)
    wide, tall = extent(grid, target.wkt2)
    if side > max(wide, tall):
        raise OptionsError(
            f"resolution {side:g}: one cell would be larger than {grid.name}, which is {wide:.6g} x {tall:.6g} "
            f"{_unit(crs)}s in {crs.name}"
        )
    x, y = projected(grid, target.wkt2, *_edge(grid, area, window))
    lattice = _lattice(x, y, side, f"resolution {side:g} {_unit(crs)}s in {crs.name}")
    output = Grid(
        name=code_of(crs) or crs.name,
        wkt2=target.wkt2,
        transform=lattice.transform,
        width=lattice.width,
        height=lattice.height,
        title=crs.name,
    )
    places, shape = Places(grid, target.wkt2, lattice), (lattice.height, lattice.width)
    made_of: NDArray[np.int32] | Boxes
    if target.resampling == "nearest":
        made_of, needed = nearest_index(places, grid, shape, window)
    else:
        made_of = boxes_for(places, grid, shape, target.resampling, window)
        needed = made_of.window
    return Warp(grid.crop(needed), needed, output, target.resampling, made_of)


def warp_frame(
    frame: Frame, target: Target | str, area: Area | tuple[float, float, float, float] | None = None
) -> Frame:
    """Return a frame, or an area of it, on the grid of a target.

    Args:
        frame: Any frame.
        target: See `as_target`; of a text it is the CRS, cells are the frame's own size and copied by nearest.
        area: A box, window or square, or (west, south, east, north) [degrees]; None is the whole frame.

    Raises:
        WindowError, OptionsError, ProjectionError: As `warp_for`.
        FrameError: As `Warp.apply`.
    """
    if not isinstance(target, Target):
        target = as_target(target)
    box = area if area is None or isinstance(area, (BBox, Window, Center)) else as_bbox(area)
    warp = warp_for(frame.grid, box, target)
    return warp.apply(frame.crop(window=warp.window))


def _lattice(x: Floats, y: Floats, side: float, what: str) -> Lattice:
    """Return the smallest rectangle of cells that covers points."""
    wide, tall = float(np.ptp(x)) / side, float(np.ptp(y)) / side
    if not max(wide, 1) * max(tall, 1) <= MOST_CELLS:
        raise OptionsError(f"{what} makes {wide:,.0f} x {tall:,.0f} cells: expected at most {MOST_CELLS:,} in all")
    first_col, first_row = math.floor(x.min() / side + _SNAP), math.floor(-y.max() / side + _SNAP)
    end_col = max(math.ceil(x.max() / side - _SNAP), first_col + 1)
    end_row = max(math.ceil(-y.min() / side - _SNAP), first_row + 1)
    return Lattice(side, first_col, first_row, end_col - first_col, end_row - first_row)


def _edge(grid: Grid, area: Area | None, window: Window) -> tuple[Floats, Floats]:
    """Return longitudes and latitudes around what is covered: the area, as far as the grid holds it."""
    if not isinstance(area, BBox):
        rows, cols = outline(window.width, window.height, window.col_off, window.row_off)
        return grid.lonlat(rows - 0.5, cols - 0.5)
    rows, cols = outline(grid.width, grid.height)
    grid_lon, grid_lat = grid.lonlat(rows - 0.5, cols - 0.5)
    west, east = max(area.west, grid_lon.min() - _AROUND), min(area.east, grid_lon.max() + _AROUND)
    south, north = max(area.south, grid_lat.min() - _AROUND), min(area.north, grid_lat.max() + _AROUND)
    lat, lon = outline(east - west, north - south, west, south)

    def inside(lon: Floats, lat: Floats) -> NDArray[np.bool_]:
        x, y = grid.project(lon, lat)
        left, bottom, right, top = grid.bounds
        return (x >= left) & (x <= right) & (y >= bottom) & (y <= top)

    within = inside(lon, lat)
    if within.all():
        return lon, lat
    # Both edges, each as far as it lies within the other, and the points where they cross.
    crossing = np.flatnonzero(within[1:] != within[:-1])
    near, far = (crossing + np.where(within[crossing] == is_in, 0, 1) for is_in in (True, False))
    near_lon, near_lat, far_lon, far_lat = lon[near], lat[near], lon[far], lat[far]
    for _ in range(_HALVINGS if crossing.size else 0):
        middle_lon, middle_lat = (near_lon + far_lon) / 2, (near_lat + far_lat) / 2
        is_in = inside(middle_lon, middle_lat)
        near_lon, near_lat = np.where(is_in, middle_lon, near_lon), np.where(is_in, middle_lat, near_lat)
        far_lon, far_lat = np.where(is_in, far_lon, middle_lon), np.where(is_in, far_lat, middle_lat)
    in_box = (grid_lon >= west) & (grid_lon <= east) & (grid_lat >= south) & (grid_lat <= north)
    return (
        np.concatenate([lon[within], near_lon, grid_lon[in_box]]),
        np.concatenate([lat[within], near_lat, grid_lat[in_box]]),
    )
