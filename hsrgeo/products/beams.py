"""Where the beams of a radar go over a grid: each cell's azimuth and distance, and the gate and height of a beam there.

Azimuth and distance are those of the geodesic on WGS 84. A beam bends with the air: above a sphere of 4/3 of the
earth's radius it is straight.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from hsrgeo.model.grid import Grid
from hsrgeo.model.volume import Sweep
from hsrgeo.model.window import Window
from hsrgeo.products.site_views import BEAM_EARTH_M

STEP_M = 10.0
"""Distances are whole steps of this; a gate is many times as long."""
TURN = 1 << 16
"""Azimuths are whole parts of a turn; one is 29 m wide at 300 km, and they go round by themselves as uint16."""
FARTHEST_M = 600e3
"""Of what is looked at; weather radars see 150 to 480 km."""
HIGHEST_M = 32_000.0
"""Heights are stored as int16; there is no weather above."""
_COARSE = 16  # cells between the points whose place is computed; what lies between is off by less than 1 m
_BESIDE = 0.75
# ^ of the usual angle between two rays: a cell farther from the middle of the nearest ray was not looked at. Rays of
#   real scans are uneven by a tenth of it.
_USUAL_TURN = 1.0  # degree between rays, where there is only one


@dataclass(frozen=True, slots=True, eq=False)
class Around:
    """The cells that a radar may see."""

    window: Window
    """Of the grid."""
    distance: NDArray[np.uint16]
    """Along the ground from the radar, in steps of `STEP_M`; shape (rows, columns) of the window, row 0 is north."""
    order: NDArray[np.int32]
    """Numbers of the cells within reach, from the nearest to the farthest."""
    away: NDArray[np.uint16]
    """Their distances."""
    azimuth: NDArray[np.uint16]
    """Their azimuths, clockwise from north, in parts of `TURN`."""


@dataclass(frozen=True, slots=True, eq=False)
class Beam:
    """A sweep, by distance along the ground in steps of `STEP_M`."""

    gate: NDArray[np.int32]
    """Number of the gate, -1 where there is none: nearer than the first, beyond the last, or above `HIGHEST_M`."""
    height: NDArray[np.float32]
    """Middle of the beam above the sea [m]; infinite where there is no gate."""
    ray: NDArray[np.int32]
    """Number of the ray by azimuth, in parts of `TURN`; -1 where no ray is near."""


def reach_m(sweep: Sweep) -> float:
    """Return how far along the ground a sweep reaches, or a little farther."""
    far = sweep.first_m + (sweep.stored.shape[1] - 0.5) * sweep.gate_m
    return float(min(max(far, 0.0), FARTHEST_M))


@lru_cache(maxsize=16)  # the radars of a run; 10 MB each
def cells_around(grid: Grid, lon: float, lat: float, reach: float) -> Around | None:
    """Return the cells within a distance [m] of a place; None where it is wholly outside the grid."""
    import pyproj  # noqa: PLC0415 - slow to import

    x, y = (float(one) for one in grid.project(lon, lat))
    left, _bottom, _right, top = grid.bounds
    side = grid.cell_size_m
    # A map scale: the projection is conformal, and stretches or shrinks by a few per cent.
    margin = 1.06 * reach + 2 * side
    cols = max(math.floor((x - margin - left) / side), 0), min(math.ceil((x + margin - left) / side), grid.width)
    rows = max(math.floor((top - y - margin) / side), 0), min(math.ceil((top - y + margin) / side), grid.height)
    if cols[0] >= cols[1] or rows[0] >= rows[1]:
        return None
    window = Window(cols[0], rows[0], cols[1] - cols[0], rows[1] - rows[0])
    (row_points, by_row), (col_points, by_col) = (_between(*rows), _between(*cols))
    lons, lats = grid.lonlat(*np.meshgrid(row_points, col_points, indexing="ij"))
    geodesic = pyproj.Geod(ellps="WGS84")
    bearing, _back, away = geodesic.inv(np.full(lons.size, lon), np.full(lats.size, lat), lons.ravel(), lats.ravel())
    # Metres east and north change evenly from cell to cell, also next to the radar, where azimuths do not.
    radians, metres = np.radians(bearing).reshape(lons.shape), np.reshape(away, lons.shape)
    east, north = ((by_row @ (metres * part(radians)) @ by_col.T).astype(np.float32) for part in (np.sin, np.cos))
    steps = np.rint(np.hypot(east, north) / np.float32(STEP_M))
    distance = np.minimum(steps, TURN - 1).astype(np.uint16)
    nearest_first = np.argsort(distance, axis=None, kind="stable")  # of 16-bit numbers: a radix sort
    within = int(np.searchsorted(distance.ravel()[nearest_first], reach / STEP_M, side="right"))
    order = nearest_first[:within].astype(np.int32)
    turns = np.arctan2(east.ravel()[order], north.ravel()[order]) * np.float32(TURN / math.tau)
    azimuth = np.rint(turns).astype(np.int32).astype(np.uint16)
    return Around(window, distance, order, distance.ravel()[order], azimuth)


def _between(first: int, end: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return a few places from the first cell to the last, and the weights of them for each cell: (cells, few)."""
    cells = np.arange(first, end)
    points = np.linspace(first, max(end - 1, first + 1), max(-(-(end - first) // _COARSE), 1) + 1)
    step = points[1] - points[0]
    before = np.minimum(((cells - first) / step).astype(int), points.size - 2)
    share = (cells - points[before]) / step
    weights = np.zeros((cells.size, points.size))
    weights[np.arange(cells.size), before] = 1 - share
    weights[np.arange(cells.size), before + 1] = share
    return points, weights


def beam_of(sweep: Sweep, height_m: float, steps: int) -> Beam:
    """Return the gates, heights and rays of a sweep at `steps` distances; its antenna is `height_m` above the sea."""
    angle = np.arange(steps) * STEP_M / BEAM_EARTH_M
    elevation = math.radians(sweep.elevation)
    antenna = BEAM_EARTH_M + height_m
    with np.errstate(divide="ignore"):
        along = np.where(elevation + angle < math.pi / 2, antenna * np.sin(angle) / np.cos(elevation + angle), np.inf)
        height = np.where(np.isfinite(along), antenna * math.cos(elevation) / np.cos(elevation + angle), np.inf)
    height -= BEAM_EARTH_M
    nearest = np.rint((along - sweep.first_m) / sweep.gate_m)
    beyond = ~((nearest >= 0) & (nearest < sweep.stored.shape[1]) & (height < HIGHEST_M))
    gate = np.where(beyond, -1, nearest).astype(np.int32)
    height[beyond] = np.inf
    return Beam(gate, height.astype(np.float32), _rays(sweep.azimuths))


def _rays(azimuths: NDArray[np.float64]) -> NDArray[np.int32]:
    """Return the nearest ray of each azimuth in parts of `TURN`."""
    order = np.argsort(azimuths, kind="stable")
    sorted_ = azimuths[order]
    apart = np.diff(sorted_, append=sorted_[0] + 360)
    usual = float(np.median(apart)) if len(azimuths) > 1 else _USUAL_TURN
    around = np.concatenate([[sorted_[-1] - 360], sorted_, [sorted_[0] + 360]])
    between = np.floor((around[1:] + around[:-1]) / 2 * (TURN / 360)).astype(np.int64) + 1
    counts = np.diff(np.clip(between, 0, TURN), prepend=0, append=TURN)
    nearest = np.repeat(np.concatenate([[order[-1]], order, [order[0]]]), counts).astype(np.int32)
    if len(azimuths) == 1 or apart.max() > 2 * _BESIDE * usual:
        beside = np.abs(np.repeat(around, counts) - np.arange(TURN) * (360 / TURN)) > _BESIDE * usual
        nearest[beside] = -1
    return nearest
