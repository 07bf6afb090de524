"""A raster that says which cells count."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import rasterio
from affine import Affine
from numpy.typing import NDArray

from hsrgeo.errors import OptionsError, ReadbackError
from hsrgeo.model.grid import Grid
from hsrgeo.writers.environment import opened_raster


@dataclass(frozen=True, slots=True, eq=False)
class MaskPicture:
    """A mask as its file has it."""

    grid: Grid
    counts: NDArray[np.bool_]
    """Shape (rows, columns), row 0 is the north row."""


def read_mask_picture(path: Path) -> MaskPicture:
    """Read band 1 of a GeoTIFF: a cell counts where it is neither 0 nor nodata.

    Raises:
        OptionsError: There is no such file, GDAL cannot read it, or it has no CRS.
    """
    try:
        with opened_raster(path) as dataset:
            if not dataset.crs:
                raise OptionsError(f"mask {path}: has no CRS")
            stored = dataset.read(1)
            counts = stored != 0
            if dataset.nodata is not None:
                counts &= stored != dataset.nodata
            if stored.dtype.kind == "f":
                counts &= ~np.isnan(stored)
            wkt = dataset.crs.to_wkt(version="WKT2_2019")
            grid = Grid(path.name, wkt, Affine(*dataset.transform[:6]), dataset.width, dataset.height)
    except ReadbackError as error:
        raise OptionsError(f"mask {path}: {error.problem}") from error
    except (OSError, rasterio.errors.RasterioError, MemoryError) as error:
        raise OptionsError(f"mask {path}: cannot be read: {error}") from error
    return MaskPicture(grid, counts)
