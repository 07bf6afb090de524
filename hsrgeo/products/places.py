"""Places: where the cells of one grid lie among the cells of another.

The way leads from the target's x and y to WGS 84 degrees, and from them to the source grid. KMA puts WGS 84 degrees on
the sphere of the 1 km grid unchanged, and so does this: degrees change their datum on the target's side only.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
from affine import Affine
from numpy.typing import NDArray

from hsrgeo.errors import ProjectionError
from hsrgeo.model.grid import Grid, transform_points
from hsrgeo.products.datums import from_wgs84

if TYPE_CHECKING:
    import pyproj

Floats = NDArray[np.float64]

EDGE_POINTS = 1025
"""Points along each edge of an outline: over the whole grid its extremes are good to 0.1 m, over 100 km to 1 mm."""
_NODE_CELLS = 16
# ^ source cells between nodes. The error of 4-point interpolation grows with the fourth power: 1e-8 cells at 16.
_TOLERANCE = 1e-7  # cells: where the middles between nodes are off by more, nodes move closer
_MIDDLES = 32  # along each axis, of those that are looked at
_MIDDLE = np.array([-1, 9, 9, -1]) / 16  # weights of four nodes in the middle between the second and the third
_ROUND = (1.0, 2.0, 5.0, 10.0)


@dataclass(frozen=True, slots=True)
class Lattice:
    """Square cells whose corners are multiples of their side from the origin of a CRS, and a rectangle of them."""

    side: float
    """Side of a cell in CRS units."""
    col: int
    """First column, counted eastward from the origin."""
    row: int
    """First row, counted **southward** from the origin."""
    width: int
    height: int

    @property
    def transform(self) -> Affine:
        """Pixel corner -> CRS units; the origin of the CRS is a corner too."""
        return Affine(self.side, 0.0, self.col * self.side, 0.0, -self.side, (0 - self.row) * self.side)

    def centres(self, rows: Floats, cols: Floats) -> tuple[Floats, Floats]:
        """Return x of columns and y of rows, both counted from the origin."""
        return (cols + 0.5) * self.side, -(rows + 0.5) * self.side


class Places:
    """Where the cells of a lattice lie, in columns and rows of a grid.

    Exact projection of millions of cells takes seconds, so only nodes are projected, and what lies between them is
    interpolated by 4-point Lagrange polynomials along rows and columns. Nodes count from the origin of the CRS, so
    that neighbouring lattices agree. Where the middles between nodes show an error above 1e-7 cells, or a node has no
    place, nodes move closer, in the end to every cell.

    Args:
        grid: The source.
        wkt2: CRS of the lattice.
        lattice: The cells.
    """

    def __init__(self, grid: Grid, wkt2: str, lattice: Lattice) -> None:
        self._grid, self._wkt2, self._lattice = grid, wkt2, lattice
        self.turn = turn(grid, wkt2)
        source_side = typical_side(grid, wkt2)
        power = math.floor(math.log2(max(_NODE_CELLS * source_side / lattice.side, 1)))
        self._nodes: tuple[Floats, Floats] | None = None
        for self.step in (2**exponent for exponent in range(power, 0, -1)):
            self._first_row, row_nodes = self._span(lattice.row, lattice.height)
            self._first_col, col_nodes = self._span(lattice.col, lattice.width)
            nodes = self._project(row_nodes * self.step, col_nodes * self.step)
            if all(np.isfinite(values).all() for values in nodes) and self._error(nodes, row_nodes, col_nodes) <= (
                _TOLERANCE
            ):
                self._nodes = nodes
                return
        self.step = 1

    def band(self, start: int, stop: int, halo: int = 0) -> tuple[Floats, Floats]:
        """Return columns and rows of the centres of cells, counted from the corner of the grid's first cell.

        `halo` is how many cells more there are on every side.

        Returns:
            Two arrays of shape (stop - start + 2 halo, width + 2 halo); NaN where a cell has no place.
        """
        rows = np.arange(start - halo, stop + halo) + self._lattice.row
        cols = np.arange(-halo, self._lattice.width + halo) + self._lattice.col
        if self._nodes is None:
            return self._project(rows.astype(float), cols.astype(float))
        first_row, above = self._weights(rows)
        first_col, beside = self._weights(cols)
        # Sums of four, not matrix products: those would wake a thread on each core for every few rows.
        found_cols, found_rows = (
            _sum_of_four(
                weight * down.take(first_col - self._first_col + order, axis=1) for order, weight in enumerate(beside)
            )
            for down in (
                _sum_of_four(
                    weight[:, None] * values[first_row - self._first_row + order] for order, weight in enumerate(above)
                )
                for values in self._nodes
            )
        )
        return found_cols, found_rows

    def _span(self, first: int, count: int) -> tuple[int, Floats]:
        low = (first - 1) // self.step - 1
        high = (first + count) // self.step + 2
        return low, np.arange(low, high + 1, dtype=float)

    def _weights(self, indices: NDArray[np.int64]) -> tuple[NDArray[np.int64], Floats]:
        """Return the first of the four nodes around each cell, and their weights, shape (4, cells)."""
        second = indices // self.step
        t = indices / self.step - second
        lagrange = (
            -t * (t - 1) * (t - 2) / 6,
            (t + 1) * (t - 1) * (t - 2) / 2,
            -(t + 1) * t * (t - 2) / 2,
            (t + 1) * t * (t - 1) / 6,
        )
        return second - 1, np.stack(lagrange)

    def _error(self, nodes: tuple[Floats, Floats], row_nodes: Floats, col_nodes: Floats) -> float:
        """Return the largest error [cells] of middles between nodes, where it is largest."""
        every_row, every_col = (-(-(axis.size - 3) // _MIDDLES) for axis in (row_nodes, col_nodes))
        exact = self._project(
            (row_nodes[1:-2:every_row] + 0.5) * self.step, (col_nodes[1:-2:every_col] + 0.5) * self.step
        )
        worst = 0.0
        for values, expected in zip(nodes, exact, strict=True):
            tall, wide = (size - 3 for size in values.shape)
            down = _sum_of_four(weight * values[order : tall + order] for order, weight in enumerate(_MIDDLE))
            middles = _sum_of_four(weight * down[:, order : wide + order] for order, weight in enumerate(_MIDDLE))
            worst = max(worst, float(np.abs(middles[::every_row, ::every_col] - expected).max()))
        return worst

    def _project(self, rows: Floats, cols: Floats) -> tuple[Floats, Floats]:
        x, y = np.meshgrid(*self._lattice.centres(rows, cols))
        found_cols, found_rows = cells_of(self._grid, self._wkt2, x, y)
        nowhere = ~(np.isfinite(found_cols) & np.isfinite(found_rows))
        found_cols[nowhere] = found_rows[nowhere] = np.nan  # with which numpy counts on in silence
        return found_cols, found_rows


def _sum_of_four(terms: Iterable[Floats]) -> Floats:
    first, *others = terms
    for term in others:
        first += term
    return first


def cells_of(grid: Grid, wkt2: str, x: Floats, y: Floats) -> tuple[Floats, Floats]:
    """Return columns and rows of places given in another CRS, counted from the corner of the grid's first cell.

    Args:
        grid: The grid whose cells count.
        wkt2: CRS of x and y.
        x: Of any shape, in units of that CRS, eastward.
        y: Northward.

    Returns:
        Two arrays; not finite where PROJ finds no place.
    """
    lon, lat = transform_points(_from_wgs84(wkt2, grid), x, y, inverse=True)
    source_x, source_y = transform_points(_from_own_degrees(grid.wkt2), lon, lat)
    t = grid.transform
    return (source_x - t.c) / t.a, (source_y - t.f) / t.e


def projected(grid: Grid, wkt2: str, lon: Floats, lat: Floats) -> tuple[Floats, Floats]:
    """Return x and y in another CRS of degrees on and around a grid.

    Raises:
        ProjectionError: One of them has no place there.
    """
    x, y = _from_wgs84(wkt2, grid).transform(lon, lat)
    if not (np.isfinite(x).all() and np.isfinite(y).all()):
        import pyproj  # noqa: PLC0415 - see `hsrgeo.model.grid`

        name = pyproj.CRS.from_wkt(wkt2).name
        raise ProjectionError(f"{grid.name} or the area of it cannot be projected to {name}: parts have no place there")
    return np.asarray(x), np.asarray(y)


def outline(width: float, height: float, col: float = 0, row: float = 0) -> tuple[Floats, Floats]:
    """Return rows and columns along the edge of a rectangle, a closed ring in the units that are given."""
    t = np.linspace(0, 1, EDGE_POINTS)[:-1]
    zeros, ones = np.zeros_like(t), np.ones_like(t)
    rows = np.concatenate([zeros, t, ones, 1 - t, [0]])
    cols = np.concatenate([t, ones, 1 - t, zeros, [0]])
    return row + rows * height, col + cols * width


@lru_cache(maxsize=64)
def extent(grid: Grid, wkt2: str) -> tuple[float, float]:
    """Return the width and height of a grid in units of another CRS.

    Raises:
        ProjectionError: Part of it has no place there.
    """
    rows, cols = outline(grid.width, grid.height)
    x, y = projected(grid, wkt2, *grid.lonlat(rows - 0.5, cols - 0.5))
    return float(np.ptp(x)), float(np.ptp(y))


@lru_cache(maxsize=64)
def turn(grid: Grid, wkt2: str) -> float:
    """Return the tangent of the largest angle between the rows or columns of a grid and the axes of another CRS.

    Raises:
        ProjectionError: Part of the grid has no place there.
    """
    rows, cols = (axis[::_MIDDLES] for axis in outline(grid.width - 1, grid.height - 1))
    corner, east, south = (
        np.stack(projected(grid, wkt2, *grid.lonlat(rows + down, cols + right)))
        for down, right in ((0, 0), (0, 1), (1, 0))
    )
    east, south = np.abs(east - corner), np.abs(south - corner)
    with np.errstate(divide="ignore"):
        return float(max((east[1] / east[0]).max(), (south[0] / south[1]).max()))


@lru_cache(maxsize=64)
def typical_side(grid: Grid, wkt2: str) -> float:
    """Return the side, in units of another CRS, of a square as large as the source cell in the middle of a grid.

    Raises:
        ProjectionError: The middle has no place there.
    """
    row, col = (grid.height - 1) / 2, (grid.width - 1) / 2
    x, y = projected(grid, wkt2, *grid.lonlat([row, row, row + 1], [col, col + 1, col]))
    area = abs((x[1] - x[0]) * (y[2] - y[0]) - (x[2] - x[0]) * (y[1] - y[0]))
    return math.sqrt(float(area))


def round_side(grid: Grid, wkt2: str) -> float:
    """Return the resolution to take where none is asked for: the round number nearest to `typical_side`.

    Round numbers are 1, 2 and 5 times a power of ten, and nearest is meant as a ratio. It follows from grid and CRS
    only, so all areas and times share it: 500 for the 500 m grid in EPSG:5179 (a cell is 512 m there, for the
    composites' projection shrinks Korea by 2 %) and in EPSG:3857 (641), 0.005 in EPSG:4326 (0.0051 degrees).

    Raises:
        ProjectionError: The middle of the grid has no place there.
    """
    side = typical_side(grid, wkt2)
    exponent = math.floor(math.log10(side))
    nearest = min(_ROUND, key=lambda digit: abs(math.log10(side) - exponent - math.log10(digit)))
    return float(f"{nearest:g}e{exponent}")


@lru_cache(maxsize=64)
def _from_wgs84(wkt2: str, grid: Grid) -> pyproj.Transformer:
    import pyproj  # noqa: PLC0415 - see `hsrgeo.model.grid`

    lon, lat = (float(value) for value in grid.lonlat(grid.height / 2, grid.width / 2))
    return from_wgs84(pyproj.CRS.from_wkt(wkt2), (lon, lat))


@lru_cache(maxsize=8)
def _from_own_degrees(wkt2: str) -> pyproj.Transformer:
    import pyproj  # noqa: PLC0415 - see `hsrgeo.model.grid`

    crs = pyproj.CRS.from_wkt(wkt2)
    return pyproj.Transformer.from_crs(crs.geodetic_crs, crs, always_xy=True)
