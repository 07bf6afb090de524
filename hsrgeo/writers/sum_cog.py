"""Cloud-Optimised GeoTIFFs of a sum: band 1 the depth, then counts and times that belong to it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from rasterio.io import DatasetWriter

from hsrgeo.model.grid import Grid
from hsrgeo.writers.by_driver import cog_options, encode_by
from hsrgeo.writers.tags import LICENCE, OVERVIEW_RESAMPLING

DEPTH_STEP_MM = 0.01
"""What one stored unit of depth stands for; int32 holds 21 million mm of it."""
NODATA = -30000
"""Of the depth; a count is never that, so band 2 has a number everywhere."""
_COPIED = {
    "COMPRESS": "DEFLATE",
    "PREDICTOR": "YES",
    "LEVEL": "6",
    "BIGTIFF": "IF_SAFER",
    "COPY_SRC_MDD": "YES",  # or the domain IMAGERY is lost
}


@dataclass(frozen=True, slots=True, eq=False)
class Band:
    """A band of a sum's file."""

    name: str
    values: NDArray[np.int32]
    """Shape (rows, columns)."""
    scale: float = 1.0
    unit: str = ""


def encode_sum_cog(
    grid: Grid, depth: NDArray[np.int32], frames: NDArray[np.int32], tags: Mapping[str, str], time_utc: str
) -> bytes:
    """Return the bytes of a COG of a sum, see `encode_bands`.

    Args:
        grid: Where the cells lie.
        depth: In steps of `DEPTH_STEP_MM`, `NODATA` where not known, shape (rows, columns).
        frames: Counts, of the same shape.
        tags: Of the default domain.
        time_utc: Where the sum begins, ISO 8601: the one time that STAC tools read.
    """
    bands = (Band("rain_depth", depth, DEPTH_STEP_MM, "mm"), Band("frames", frames))
    return encode_bands(grid, bands, tags, time_utc)


def encode_bands(
    grid: Grid, bands: Sequence[Band], tags: Mapping[str, str], time_utc: str, licence: str = LICENCE
) -> bytes:
    """Return the bytes of a COG of bands of int32, with nearest overviews and no time of its making.

    Args:
        grid: Where the cells lie.
        bands: At least one; `NODATA` where nothing is known, in each of them.
        tags: Of the default domain.
        time_utc: As `encode_sum_cog`.
        licence: Of the data; empty where hsrgeo does not know it.
    """
    licence_tags = {"TIFFTAG_COPYRIGHT": licence, "LICENCE": licence} if licence else {}
    own_tags = {"TIFFTAG_SOFTWARE": "hsrgeo", "OVERVIEW_RESAMPLING": OVERVIEW_RESAMPLING}

    def fill(dataset: DatasetWriter) -> None:
        for number, band in enumerate(bands, 1):
            dataset.write(band.values, number)
            dataset.set_band_description(number, band.name)
        dataset.scales = tuple(band.scale for band in bands)
        dataset.offsets = (0.0,) * len(bands)
        dataset.units = tuple(band.unit for band in bands)
        dataset.update_tags(**{**tags, **licence_tags, **own_tags})
        dataset.update_tags(ns="IMAGERY", ACQUISITIONDATETIME=time_utc)

    profile = {"count": len(bands), "dtype": "int32", "nodata": NODATA, "interleave": "band"}
    return encode_by("COG", grid, grid.name, profile, fill, cog_options(grid, _COPIED))
