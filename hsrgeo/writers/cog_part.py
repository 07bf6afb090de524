"""A part of an exported COG: a few windows, and what the file says about itself, in one opening."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from affine import Affine
from numpy.typing import NDArray

from hsrgeo.errors import ReadbackError
from hsrgeo.writers.layers import CogFacts


class OpenCog:
    """An exported COG that is open."""

    def __init__(self, path: Path, dataset: Any) -> None:  # noqa: ANN401 - rasterio has no types
        if dataset.dtypes[0] != "int16":
            raise ReadbackError(str(path), f"is not a COG written by hsrgeo: expected int16, found {dataset.dtypes[0]}")
        wkt2 = dataset.crs.to_wkt(version="WKT2_2019") if dataset.crs else ""
        transform = Affine(*dataset.transform[:6])
        self.facts = CogFacts(wkt2, transform, dataset.width, dataset.height, dataset.tags())
        self.tile: tuple[int, int] = dataset.block_shapes[0]
        """Rows and columns of what can only be read as a whole."""
        self._dataset = dataset

    def read(self, rows: slice, cols: slice) -> NDArray[np.int16]:
        """Return stored values of a window, shape (rows, columns), row 0 is the north row."""
        from rasterio.windows import Window  # noqa: PLC0415 - see opened_cog

        window = Window(cols.start, rows.start, cols.stop - cols.start, rows.stop - rows.start)
        values: NDArray[np.int16] = self._dataset.read(1, window=window)
        return values


@contextmanager
def opened_cog(path: Path) -> Iterator[OpenCog]:
    """Open an exported COG.

    Raises:
        ReadbackError: GDAL cannot read it, or it holds something else than 16-bit integers.
    """
    import rasterio  # noqa: PLC0415 - only where it reads

    from hsrgeo.writers.environment import opened_raster  # noqa: PLC0415

    try:
        with opened_raster(path) as dataset:
            yield OpenCog(path, dataset)
    except rasterio.errors.RasterioError as error:
        raise ReadbackError(str(path), f"GDAL cannot read it: {error.__cause__ or error}") from error
