"""Files that a driver of GDAL makes of a plain GeoTIFF, in memory: COGs, and formats that GDAL only copies to."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import rasterio
import rasterio.shutil
from rasterio.crs import CRS
from rasterio.io import DatasetWriter, MemoryFile

from hsrgeo.errors import WriteError
from hsrgeo.model.grid import Grid
from hsrgeo.model.squares import BLOCK_SIDE
from hsrgeo.writers.environment import own_gdal
from hsrgeo.writers.tags import OVERVIEW_RESAMPLING

GDAL_SIDE = 128
"""Least side of a tile that GDAL's COG driver makes without a warning."""
_TILE_STEP = 16  # TIFF 6.0, section 15: tile sides are multiples of 16


def encode_by(
    driver: str,
    grid: Grid,
    name: str,
    profile: Mapping[str, Any],
    fill: Callable[[DatasetWriter], None],
    options: Mapping[str, str],
) -> bytes:
    """Return the bytes of a file.

    Args:
        driver: Of GDAL, such as ``COG``.
        grid: Where the cells lie.
        name: Of what is written, for messages.
        profile: Of the plain GeoTIFF, beside its grid: ``count``, ``dtype``, ``nodata``.
        fill: Writes pixels and tags into that.
        options: Creation options of the driver, see `cog_options`.
    """
    place = {"width": grid.width, "height": grid.height, "crs": CRS.from_wkt(grid.wkt2), "transform": grid.transform}
    try:
        with own_gdal(), MemoryFile() as plain, MemoryFile() as made:
            with plain.open(driver="GTiff", **place, **profile) as dataset:
                fill(dataset)
            with plain.open() as dataset:
                rasterio.shutil.copy(dataset, made.name, driver=driver, **options)
            return bytes(made.getbuffer())
    except (rasterio.errors.RasterioError, ValueError) as error:
        problem = f"GDAL cannot make a {driver} of {grid.width} x {grid.height} cells: {error}"
        raise WriteError(name, problem) from error


def cog_options(grid: Grid, options: Mapping[str, str], least_side: int = _TILE_STEP) -> dict[str, str]:
    """Return creation options of a COG: those that all COGs share, and others."""
    shared = {
        "BLOCKSIZE": str(max(tile_side(grid), least_side)),
        "OVERVIEW_RESAMPLING": OVERVIEW_RESAMPLING,
        "BIGTIFF": "NO",  # a frame is 13 MB
        "NUM_THREADS": "1",  # one process, one thread: the pool is parallel already
    }
    if grid.width == 1:
        shared["OVERVIEWS"] = "NONE"  # they would not be narrower, which rio-cogeo calls invalid
    return {**shared, **options}


def tile_side(grid: Grid) -> int:
    """Return the side of a tile: 256, or less where one smaller tile holds the whole grid."""
    longest = max(grid.width, grid.height)
    return min(BLOCK_SIDE, -(-longest // _TILE_STEP) * _TILE_STEP)
