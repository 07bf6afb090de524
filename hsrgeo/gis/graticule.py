"""Meridians, parallels and a scale bar for a map of any grid."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import numpy as np
import pyproj
from numpy.typing import NDArray

from hsrgeo.gis.coast import lonlat_bounds
from hsrgeo.model.grid import Grid

_STEPS = (10, 5, 2, 1, 0.5, 0.2, 0.1, 0.05, 0.02, 0.01)
_WANTED = 4  # lines across the shorter side, at least
_MOST = 20  # across the longer side
_POINTS = 129
_LENGTHS_KM = tuple(part * 10**power for power in range(3, -3, -1) for part in (5, 2, 1))
_M_PER_KM = 1000


@dataclass(frozen=True, slots=True, eq=False)
class Tick:
    """A meridian or parallel, in the grid's cells."""

    label: str
    """Such as ``126°E``."""
    side: Literal["bottom", "left"]
    """The edge of the map that its label stands at."""
    at: float | None
    """Where it meets that edge, in cells from the north-west corner; None where it does not."""
    line: NDArray[np.float64]
    """Columns and rows, shape (points, 2), from the north-west corner."""


def graticule(grid: Grid) -> list[Tick]:
    """Return meridians from west to east, then parallels from south to north.

    Raises:
        ProjectionError: The grid's CRS has no place for its own surroundings.
    """
    west, south, east, north = lonlat_bounds(grid)
    shorter, longer = sorted((east - west, north - south))
    fine = next((step for step in _STEPS if shorter / step >= _WANTED), _STEPS[-1])
    # Of a narrow strip the longer side decides.
    step = max(fine, next((step for step in reversed(_STEPS) if longer / step <= _MOST), _STEPS[0]))
    ticks = []
    for lon in _multiples(west, east, step):
        line = _line(grid, np.full(_POINTS, lon), np.linspace(south, north, _POINTS))
        at = _meets(line[:, 1], line[:, 0], grid.height, grid.width)
        ticks.append(Tick(f"{_degrees(abs(lon), step)}{'E' if lon >= 0 else 'W'}", "bottom", at, line))
    for lat in _multiples(south, north, step):
        line = _line(grid, np.linspace(west, east, _POINTS), np.full(_POINTS, lat))
        at = _meets(line[:, 0], line[:, 1], 0, grid.height)
        ticks.append(Tick(f"{_degrees(abs(lat), step)}{'N' if lat >= 0 else 'S'}", "left", at, line))
    return ticks


def scale_bar(grid: Grid, most_cells: float) -> tuple[str, float]:
    """Return a round length, such as ``100 km``, and how many cells it takes in the middle of the grid, west to east.

    The bar is no longer than `most_cells`.
    """
    row, middle = (grid.height - 1) / 2, (grid.width - 1) / 2
    lon, lat = grid.lonlat([row, row], [middle - 0.5, middle + 0.5])
    _azimuth, _back, cell_m = _ellipsoid(grid.wkt2).inv(lon[0], lat[0], lon[1], lat[1])
    cell_km = cell_m / _M_PER_KM
    length = next((length for length in _LENGTHS_KM if length <= most_cells * cell_km), _LENGTHS_KM[-1])
    return f"{length:g} km" if length >= 1 else f"{length * _M_PER_KM:g} m", length / cell_km


@lru_cache(maxsize=8)
def _ellipsoid(wkt2: str) -> pyproj.Geod:
    return pyproj.CRS.from_wkt(wkt2).get_geod() or pyproj.Geod(ellps="WGS84")


def _multiples(least: float, most: float, step: float) -> list[float]:
    return [order * step for order in range(math.ceil(least / step), math.floor(most / step) + 1)]


def _degrees(value: float, step: float) -> str:
    return f"{value:.{max(0, -math.floor(math.log10(step)))}f}°" if step < 1 else f"{value:g}°"


def _line(grid: Grid, lon: NDArray[np.float64], lat: NDArray[np.float64]) -> NDArray[np.float64]:
    x, y = grid.project(lon, lat)
    t = grid.transform
    return np.column_stack([(x - t.c) / t.a, (y - t.f) / t.e])


def _meets(along: NDArray[np.float64], across: NDArray[np.float64], edge: float, most: float) -> float | None:
    """Return where a line meets an edge, or None; `along` runs towards or away from the edge."""
    order = np.argsort(along)
    if not along[order[0]] <= edge <= along[order[-1]]:
        return None
    at = float(np.interp(edge, along[order], across[order]))
    return at if 0 <= at <= most else None
