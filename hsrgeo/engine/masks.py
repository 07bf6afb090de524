"""Masks: the cells of a grid that count, from a raster or from polygons; the others become nodata."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hsrgeo.cube.places import Polygons
from hsrgeo.cube.polygons import read_polygons
from hsrgeo.errors import OptionsError
from hsrgeo.model.grid import Grid
from hsrgeo.model.home import home_of
from hsrgeo.writers.mask_readback import MaskPicture, read_mask_picture

_HALF = 0.5
_ROUNDING = 1e-3  # cells


@dataclass(frozen=True, slots=True, eq=False)
class Mask:
    """Which cells count, on any grid."""

    name: str
    """Of its file."""
    on: Callable[[Grid], NDArray[np.bool_]]
    """Return True where a cell of a grid counts, shape (rows, columns).

    Raises:
        OptionsError: It does not fit the grid.
    """


def read_mask(path: str | Path) -> Mask:
    """Read a mask.

    Args:
        path: A raster (``.tif``) on the grid of the frames, whole or as far as the area reaches: cells that are 0 or
            nodata do not count. Or polygons (GeoJSON, GeoPackage, FlatGeobuf, shapefile): cells of which at least half
            lies inside count.

    Raises:
        OptionsError: It cannot be read.
        MissingExtraError: It is of polygons, and a library is not installed.
    """
    path = Path(path)
    if path.suffix.lower() in (".tif", ".tiff"):
        picture = read_mask_picture(path)
        return Mask(path.name, lambda grid: _cut(picture, path, grid))
    polygons = read_polygons(path)
    return Mask(path.name, lambda grid: _inside(polygons, grid))


def _cut(picture: MaskPicture, path: Path, grid: Grid) -> NDArray[np.bool_]:
    own, wanted = picture.grid.transform, grid.transform
    col, row = (wanted.c - own.c) / own.a, (wanted.f - own.f) / own.e
    first_col, first_row = round(col), round(row)
    end_row, end_col = first_row + grid.height, first_col + grid.width
    fits = (
        max(abs(col - first_col), abs(row - first_row)) < _ROUNDING
        and np.allclose((own.a, own.e, own.b, own.d), (wanted.a, wanted.e, wanted.b, wanted.d), rtol=1e-9)
        and picture.grid.crs == grid.crs
    )
    height, width = picture.counts.shape
    if not fits or first_col < 0 or first_row < 0 or end_row > height or end_col > width:
        raise OptionsError(
            f"mask {path}: its cells are not those of {grid.name}, or it does not cover the area: make it of an output "
            "of hsrgeo for the same area"
        )
    return picture.counts[first_row:end_row, first_col:end_col]


def _inside(polygons: Polygons, grid: Grid) -> NDArray[np.bool_]:
    whole, window = home_of(grid)
    weights = polygons.weights(whole).cut(whole.width, window)
    inside = np.zeros(grid.height * grid.width)
    np.add.at(inside, weights.cells, weights.shares)
    return inside.reshape(grid.height, grid.width) >= _HALF
