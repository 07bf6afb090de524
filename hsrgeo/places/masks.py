"""Masks from files: a raster, or polygons."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hsrgeo.errors import ClippedWarning, OptionsError, WindowError
from hsrgeo.model.grid import Grid, Registration
from hsrgeo.model.grid_catalog import grids_by
from hsrgeo.model.home import home_of
from hsrgeo.model.window import Area, Window
from hsrgeo.places.places import Polygons
from hsrgeo.places.polygons import read_polygons
from hsrgeo.places.vectors import VECTOR_SUFFIXES
from hsrgeo.products.masks import Mask, mask_part, part_of, place_of
from hsrgeo.writers.mask_readback import MaskPicture, read_mask_picture

_HALF = 0.5


@dataclass(frozen=True, slots=True, eq=False)
class MaskFile:
    """Which cells count, on any grid."""

    name: str
    """Of the file."""
    on: Callable[[Grid], NDArray[np.bool_]]
    """Return True where a cell of a grid counts, shape (rows, columns).

    Raises:
        OptionsError: It does not fit the grid.
    """
    part: Callable[[Grid], Grid | None]
    """Return the part of a grid that the mask tells of; None where it tells of none."""


def read_mask(path: str | Path) -> MaskFile:
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
        return MaskFile(
            path.name,
            lambda grid: part_of(picture.counts, _place(picture, grid), grid, str(path)),
            lambda grid: _covered(picture, grid),
        )
    if path.suffix.lower() not in VECTOR_SUFFIXES:
        expected = f"a GeoTIFF (.tif), or polygons ({', '.join(VECTOR_SUFFIXES)})"
        raise OptionsError(f"{path}: cannot be read as a mask: expected {expected}")
    polygons = read_polygons(path, as_one=True)
    return MaskFile(path.name, lambda grid: _inside(polygons, grid), lambda grid: grid)


def mask_of(wanted: str | Path | Mask, registration: Registration, areas: Iterable[Area | None]) -> Mask:
    """Return a mask as a recipe has it: on the grids of the frames.

    `wanted` is a file, see `read_mask`, or a mask that is on the grids already. It must cover the areas, of which None
    is a whole grid.

    Raises:
        OptionsError: No cell counts, or it covers an area on no grid.
        MissingExtraError: See `read_mask`.
    """
    known = grids_by(registration)
    if isinstance(wanted, Mask):
        mask = wanted
    else:
        file = read_mask(wanted)
        parts = [(grid, file.on(grid)) for one in known if (grid := file.part(one)) is not None]
        if not any(counts.any() for _grid, counts in parts):
            raise OptionsError(f"mask {wanted}: no cell of {' or '.join(grid.name for grid in known)} counts")
        mask = Mask(file.name, tuple(mask_part(grid, counts) for grid, counts in parts))
    for area in areas:
        problems = list(filter(None, (_problem(mask, grid, area) for grid in known)))
        if len(problems) == len(known):
            raise OptionsError(problems[0])
    return mask


def _problem(mask: Mask, grid: Grid, area: Area | None) -> str:
    """Return why a mask does not do for an area; empty where it does, and where the area lies outside the grid."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ClippedWarning)
            mask.on(grid.crop(grid.window_for(area)))
    except WindowError:
        return ""
    except OptionsError as error:
        return str(error)
    return ""


def _place(picture: MaskPicture, grid: Grid) -> tuple[int, int] | None:
    return place_of(grid, picture.grid.transform) if picture.grid.crs == grid.crs else None


def _covered(picture: MaskPicture, grid: Grid) -> Grid | None:
    place = _place(picture, grid)
    if place is None:
        return None
    height, width = picture.counts.shape
    left, top = max(-place[0], 0), max(-place[1], 0)
    right, bottom = min(width - place[0], grid.width), min(height - place[1], grid.height)
    return grid.crop(Window(left, top, right - left, bottom - top)) if left < right and top < bottom else None


def _inside(polygons: Polygons, grid: Grid) -> NDArray[np.bool_]:
    whole, window = home_of(grid)
    weights = polygons.weights(whole).cut(whole.width, window)
    inside = np.zeros(grid.height * grid.width)
    np.add.at(inside, weights.cells, weights.shares)
    return inside.reshape(grid.height, grid.width) >= _HALF
