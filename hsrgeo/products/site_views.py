"""How a radar sees the points of a composite: distance, azimuth, and how these change from cell to cell."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hsrgeo.model.grid import Grid

Floats = NDArray[np.float64]
EARTH_M = 6371008.77
"""Radius of the sphere on which KMA computes distances (KMA composite format, sections 3 and 7)."""
BEAM_EARTH_M = 4 / 3 * EARTH_M
"""A beam bends with the air: above a sphere of 4/3 of the earth's radius it is straight."""
_STEP_M = 250.0  # along x and y, for derivatives of distance and azimuth


@dataclass(frozen=True, slots=True)
class Site:
    """A radar of the table."""

    code: str
    """As in a header's list of stations."""
    lon: float
    """Degrees east."""
    lat: float
    """Degrees north."""


@dataclass(frozen=True)
class View:
    """Points as a radar sees them, and how that changes along x and y."""

    distance: Floats
    azimuth: Floats
    """Radians from north."""
    by_cell: Floats
    """Metres of distance for a cell to the east and to the north; shape (points, 2)."""
    across: Floats
    """Metres across the beam, clockwise, likewise."""

    def only(self, chosen: NDArray[np.bool_]) -> View:
        """Return some of the points."""
        return View(self.distance[chosen], self.azimuth[chosen], self.by_cell[chosen], self.across[chosen])


def borders(beside: NDArray[np.bool_], below: NDArray[np.bool_]) -> tuple[Floats, Floats]:
    """Return the middles of cell borders, as columns and rows counted from the north-west corner."""
    (row_b, col_b), (row_u, col_u) = np.nonzero(beside), np.nonzero(below)
    return np.concatenate([col_b + 1.0, col_u + 0.5]), np.concatenate([row_b + 0.5, row_u + 1.0])


def metres(grid: Grid, cols: NDArray[np.floating], rows: NDArray[np.floating]) -> tuple[Floats, Floats]:
    """Return x and y [m] of places in a grid, as columns and rows counted from its north-west corner."""
    t = grid.transform
    return np.asarray(t.c + t.a * cols, np.float64), np.asarray(t.f + t.e * rows, np.float64)


def view_of(site: Site, grid: Grid, x: Floats, y: Floats) -> View:
    """Return how a radar sees points along the ground; x and y [m] are those of the grid's projection."""

    def look(east: float, north: float) -> tuple[Floats, Floats]:
        t = grid.transform
        lon, lat = grid.lonlat((y + north - t.f) / t.e - 0.5, (x + east - t.c) / t.a - 0.5)
        return _polar(site, np.radians(lon), np.radians(lat))

    return _derived(look, grid.cell_size_m)


def view_on_map(site: Site, grid: Grid, x: Floats, y: Floats) -> View:
    """Return the same as if distances were measured on the map."""
    east0, north0 = (float(value) for value in grid.project(site.lon, site.lat))

    def look(east: float, north: float) -> tuple[Floats, Floats]:
        return np.hypot(x + east - east0, y + north - north0), np.arctan2(x + east - east0, y + north - north0)

    return _derived(look, grid.cell_size_m)


def _derived(look: Callable[[float, float], tuple[Floats, Floats]], cell_m: float) -> View:
    distance, azimuth = look(0, 0)
    to_east, to_north = look(_STEP_M, 0), look(0, _STEP_M)
    scale = cell_m / _STEP_M
    by_cell = scale * np.stack([to_east[0] - distance, to_north[0] - distance], axis=1)
    turn = np.stack([to_east[1] - azimuth, to_north[1] - azimuth], axis=1)
    turn = (turn + np.pi) % (2 * np.pi) - np.pi
    return View(distance, azimuth, by_cell, scale * turn * distance[:, None])


def _polar(site: Site, lon: Floats, lat: Floats) -> tuple[Floats, Floats]:
    """Return distance [m] and azimuth [radians] on KMA's sphere."""
    lon0, lat0 = np.radians(site.lon), np.radians(site.lat)
    half = np.sin((lat - lat0) / 2) ** 2 + np.cos(lat0) * np.cos(lat) * np.sin((lon - lon0) / 2) ** 2
    east = np.sin(lon - lon0) * np.cos(lat)
    north = np.cos(lat0) * np.sin(lat) - np.sin(lat0) * np.cos(lat) * np.cos(lon - lon0)
    return 2 * EARTH_M * np.arcsin(np.sqrt(half)), np.arctan2(east, north)
