"""The grid of the catalogue that a part of it was cut from."""

from __future__ import annotations

import math

import numpy as np

from hsrgeo.model.grid import Grid
from hsrgeo.model.grid_catalog import grids
from hsrgeo.model.window import Window

_CELLS = 1e-6
# ^ of a cell (0.5 mm): how near to whole cells a part must lie
_DEGREES = 1e-9  # 0.1 mm: how near the two CRS must put the same cell


def home_of(grid: Grid) -> tuple[Grid, Window]:
    """Return the catalogue's grid that a grid was cut from, and the window; itself where it was cut from none.

    Files have the CRS in GDAL's words, not in those of the catalogue: where the corners lie decides.
    """
    whole = grids().get(grid.name)
    if whole is None or (whole.transform.a, whole.transform.e) != (grid.transform.a, grid.transform.e):
        return grid, grid.window
    t, own = whole.transform, grid.transform
    col, row = (own.c - t.c) / t.a, (own.f - t.f) / t.e
    if not (math.isfinite(col) and math.isfinite(row)):
        return grid, grid.window
    window = round(col), round(row), grid.width, grid.height
    aside = max(abs(col - window[0]), abs(row - window[1])) > _CELLS
    beyond = window[0] + grid.width > whole.width or window[1] + grid.height > whole.height
    if aside or beyond or min(window) < 0 or not _same_place(grid, whole, window[0], window[1]):
        return grid, grid.window
    return whole, Window(*window)


def _same_place(grid: Grid, whole: Grid, col: int, row: int) -> bool:
    rows, cols = np.array([0, 0, grid.height - 1]), np.array([0, grid.width - 1, 0])
    ours, theirs = grid.lonlat(rows, cols), whole.lonlat(rows + row, cols + col)
    return bool(np.max(np.abs(np.array(ours) - np.array(theirs))) < _DEGREES)
