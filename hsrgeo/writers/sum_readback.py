"""A COG of `hsrgeo accumulate` or of a gauge field -> depth, frames and tags."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import rasterio
from affine import Affine
from numpy.typing import NDArray

from hsrgeo.errors import ReadbackError, SourceError
from hsrgeo.model.grid import Grid
from hsrgeo.writers.environment import opened_raster

_DEPTH_BANDS = ("rain_depth", "rain_depth_max")
_COUNT_BANDS = ("frames", "windows")
_TABLES = (".csv", ".parquet", ".xlsx")
_MOST_CELLS = 1 << 25
# ^ five times the largest grid: a bit flipped in a size asks for terabytes


@dataclass(frozen=True, slots=True, eq=False)
class SumPicture:
    """A sum as its file has it."""

    grid: Grid
    depth_mm: NDArray[np.float32]
    """NaN where it is not known."""
    counts: NDArray[np.int32]
    """Frames that each cell was observed in; of rolling maxima, windows that counted; of a field, 1 where known."""
    tags: dict[str, str]


def read_sum(path: Path) -> SumPicture:
    """Read a sum, rolling maxima or a gauge field, as hsrgeo writes them.

    Raises:
        SourceError: There is no such file, GDAL cannot read it, or it is no sum.
    """
    if not path.is_file():
        problem = "is a folder: name one of the COGs in it" if path.is_dir() else "no such file"
        raise SourceError(str(path), problem)
    if path.suffix.lower() in _TABLES:
        raise SourceError(str(path), "is a table: expected a COG of hsrgeo accumulate; hsrgeo plot series draws tables")
    try:
        with opened_raster(path) as dataset:
            names = list(dataset.descriptions)
            depth_band = next((number for number, name in enumerate(names, 1) if name in _DEPTH_BANDS), None)
            count_band = next((number for number, name in enumerate(names, 1) if name in _COUNT_BANDS), None)
            is_field = "gauge_distance" in names
            if depth_band is None or (count_band is None and not is_field) or not dataset.crs:
                found = ", ".join(name or "without a name" for name in names)
                raise SourceError(str(path), f"is not a sum written by hsrgeo accumulate: its bands are {found}")
            if dataset.width * dataset.height > _MOST_CELLS:
                raise SourceError(str(path), f"claims {dataset.width:,} x {dataset.height:,} cells")
            stored = dataset.read(depth_band)
            counts = (stored != dataset.nodata) if count_band is None else dataset.read(count_band)
            depth = (stored * dataset.scales[depth_band - 1]).astype(np.float32)
            depth[stored == dataset.nodata] = np.nan
            tags = dataset.tags()
            wkt = dataset.crs.to_wkt(version="WKT2_2019")
            grid = Grid(tags.get("GRID", ""), wkt, Affine(*dataset.transform[:6]), dataset.width, dataset.height)
    except ReadbackError as error:
        raise SourceError(str(path), error.problem) from error
    except (rasterio.errors.RasterioError, UnicodeDecodeError, MemoryError) as error:
        raise SourceError(str(path), f"GDAL cannot read it: {error.__cause__ or error}") from error
    return SumPicture(grid, depth, counts.astype(np.int32), tags)
