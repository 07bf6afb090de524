"""Physical values without codes: a COG of float32, and ESRI's ASCII grid, for programs that know no scale."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from rasterio.io import DatasetWriter

from hsrgeo.errors import WriteError
from hsrgeo.model.frame import Frame
from hsrgeo.model.quantity import physical_values
from hsrgeo.writers.by_driver import GDAL_SIDE, cog_options, encode_by
from hsrgeo.writers.png import esri_wkt
from hsrgeo.writers.tags import frame_tags, imagery_tags

ASC_NODATA = -9999
"""ESRI's own default."""
_CODE_TAGS = ("TIFFTAG_", "VALUES", "NODATA", "UNDETECT")


def plain_values(frame: Frame, undetect: float | None) -> NDArray[np.float32]:
    """Return physical values, NaN where not observed; `undetect` of None is `Quantity.undetect_value`."""
    return frame.physical(frame.quantity.undetect_value if undetect is None else undetect)


def plain_tags(frame: Frame, undetect: float | None) -> dict[str, str]:
    """Return the tags of a frame's COG, but for the codes that these values do not have."""
    nothing = frame.quantity.undetect_value if undetect is None else undetect
    return {**code_free_tags(frame), "VALUES": "physical", "UNDETECT_VALUE": f"{nothing:g}"}


def code_free_tags(frame: Frame) -> dict[str, str]:
    """Return the tags of a frame's COG, but for those of the codes."""
    tags = frame_tags(frame)
    return {name: value for name, value in tags.items() if not name.startswith(_CODE_TAGS) or name in _TIFF_TAGS}


_TIFF_TAGS = ("TIFFTAG_DATETIME", "TIFFTAG_IMAGEDESCRIPTION", "TIFFTAG_COPYRIGHT", "TIFFTAG_SOFTWARE")


def encode_float(frame: Frame, *, compress: str, undetect: float | None) -> bytes:
    """Return the bytes of a COG of float32; nodata is NaN."""
    predictor = {"PREDICTOR": "YES"} if compress != "none" else {}
    options = {"COMPRESS": compress.upper(), "COPY_SRC_MDD": "YES", **predictor}

    def fill(dataset: DatasetWriter) -> None:
        dataset.write(plain_values(frame, undetect), 1)
        dataset.units = (frame.quantity.unit,)
        dataset.set_band_description(1, frame.quantity.name)
        dataset.update_tags(**plain_tags(frame, undetect))
        dataset.update_tags(ns="IMAGERY", **imagery_tags(frame))

    profile = {"count": 1, "dtype": "float32", "nodata": math.nan}
    return encode_by("COG", frame.grid, frame.name, profile, fill, cog_options(frame.grid, options, GDAL_SIDE))


def encode_asc(frame: Frame, *, undetect: float | None) -> dict[str, bytes]:
    """Return an ESRI ASCII grid and its .prj, by suffix.

    Raises:
        WriteError: Cells that are no squares.
    """
    grid = frame.grid
    if not math.isclose(grid.transform.a, -grid.transform.e, rel_tol=1e-9):
        raise WriteError(frame.name, "an ASCII grid has square cells only")
    left, bottom, _right, _top = grid.bounds
    decimals = 0 if frame.quantity.scale == 1 else 2
    every = np.arange(1 << 16, dtype=np.uint16).view(np.int16)
    nothing = frame.quantity.undetect_value if undetect is None else undetect
    values = physical_values(every, frame.quantity, nothing)
    words = np.array([str(ASC_NODATA) if math.isnan(value) else f"{value:.{decimals}f}" for value in values], object)
    head = (
        f"ncols {grid.width}\nnrows {grid.height}\nxllcorner {left:.15g}\nyllcorner {bottom:.15g}\n"
        f"cellsize {grid.transform.a:.15g}\nNODATA_value {ASC_NODATA}\n"
    )
    rows = (" ".join(words[row.view(np.uint16)]) for row in np.ascontiguousarray(frame.stored))
    return {".prj": esri_wkt(grid.wkt2), ".asc": (head + "\n".join(rows) + "\n").encode()}
