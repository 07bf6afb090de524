"""Composites whose content lies a known way off the cells' centres, made with other formulas than those that fit it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from hsrgeo.model.grid import Grid

EARTH_M = 6371008.77
RANGE_M, GATE_M = 240e3, 250.0
ELEVATIONS = np.array([-0.1, 0.2, 0.5, 1.0, 1.6])
NODATA = np.int16(-30000)


class Planted(NamedTuple):
    """Blocks of a composite, shape (rows, columns), row 0 is the north row."""

    heights: NDArray[np.int16]
    stations: NDArray[np.int16]

    @property
    def observed(self) -> NDArray[np.bool_]:
        """Where any radar sees."""
        observed: NDArray[np.bool_] = self.stations != NODATA
        return observed


def planted(
    grid: Grid, sites: Mapping[str, tuple[float, float]], offset: tuple[float, float], seed: int = 0
) -> Planted:
    """Return blocks of which each cell holds what lies `offset` cells (east, north) of its centre.

    Every radar sees 240 km far in gates of 250 m and beams of one degree, whose elevation the terrain decides in
    sectors of a few degrees; the lowest beam counts. Places are on the sphere that KMA computes with, as unit vectors.
    """
    chance = np.random.default_rng(seed)
    rows, cols = np.indices((grid.height, grid.width), dtype=np.float64)
    place = _unit(*grid.lonlat(rows - offset[1], cols + offset[0]))
    lowest = np.full(rows.shape, np.inf)
    stations = np.full(rows.shape, NODATA)
    for number, (lon, lat) in enumerate(sites.values(), start=1):
        site = _unit(np.array(lon), np.array(lat))
        distance = 2 * EARTH_M * np.arcsin(np.linalg.norm(place - site, axis=-1) / 2)  # of the chord
        east = np.array([-np.sin(np.radians(lon)), np.cos(np.radians(lon)), 0])
        degree = np.degrees(np.arctan2(place @ east, place @ np.cross(site, east))) % 360
        sectors = np.repeat(chance.integers(0, len(ELEVATIONS), 120), chance.integers(1, 9, 120))[:360]
        sectors = np.resize(sectors, 360)
        elevation = np.radians(ELEVATIONS)[sectors[degree.astype(int) % 360]]
        gate = (np.floor(distance / GATE_M) + 0.5) * GATE_M
        beam = 100 * number + gate * np.tan(elevation) + gate**2 / (2 * EARTH_M * 4 / 3)
        mine = (distance <= RANGE_M) & (beam < lowest)
        lowest[mine], stations[mine] = beam[mine], number
    heights = np.where(stations == NODATA, NODATA, np.rint(np.where(stations == NODATA, 0, lowest)))
    return Planted(heights.astype(np.int16), stations)


def _unit(lon: NDArray[np.float64], lat: NDArray[np.float64]) -> NDArray[np.float64]:
    lon, lat = np.radians(lon), np.radians(lat)
    return np.stack([np.cos(lat) * np.cos(lon), np.cos(lat) * np.sin(lon), np.sin(lat)], axis=-1)
