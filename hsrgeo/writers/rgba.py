"""Pictures in colours with a place: a COG and a PNG of red, green, blue and alpha, for maps that know no palettes."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import rasterio
from numpy.typing import NDArray
from rasterio.enums import ColorInterp
from rasterio.io import DatasetWriter

from hsrgeo.errors import ReadbackError
from hsrgeo.model.frame import Frame
from hsrgeo.products.classes import colours
from hsrgeo.products.palettes import Palette
from hsrgeo.writers.by_driver import GDAL_SIDE, cog_options, encode_by
from hsrgeo.writers.environment import own_gdal, regular_file
from hsrgeo.writers.plain import code_free_tags
from hsrgeo.writers.png import encode_png_of, place_xml, world_file
from hsrgeo.writers.readback import DRIVERS
from hsrgeo.writers.tags import imagery_tags, png_tags


def rgba_tags(frame: Frame) -> dict[str, str]:
    """Return the tags of a frame's COG, but for what values mean: a picture has none."""
    return {**code_free_tags(frame), "VALUES": "colours"}


def coloured(frame: Frame, palette: Palette | None) -> NDArray[np.uint8]:
    """Return red, green, blue and alpha of each cell, shape (rows, columns, 4).

    A palette of None is what hsrgeo brings for the quantity. The blocks beside the first have it only in its unit.

    Raises:
        OptionsError: The palette is for another unit.
    """
    fits = palette is None or frame.block == 1 or palette.unit in ("", frame.quantity.unit)
    return colours(frame.stored, frame.quantity, palette if fits else None)


def encode_rgba(frame: Frame, *, compress: str, palette: Palette | None) -> bytes:
    """Return the bytes of a COG of four bands of bytes, the last of them alpha.

    Raises:
        OptionsError: The palette is for another unit.
        WriteError: GDAL refused.
    """
    options = {"COMPRESS": compress.upper(), "COPY_SRC_MDD": "YES"}
    return _copied(frame, palette, "COG", cog_options(frame.grid, options, GDAL_SIDE))


def encode_rgba_png(frame: Frame, palette: Palette | None) -> dict[str, bytes]:
    """Return a PNG of four bytes a cell, its world file and its .png.aux.xml, by suffix.

    Raises:
        OptionsError: The palette is for another unit.
    """
    return {
        ".rgba.pgw": world_file(frame.grid),
        ".rgba.png.aux.xml": place_xml(frame.grid, png_tags(frame)),
        ".rgba.png": encode_png_of(coloured(frame, palette)),
    }


def encode_rgba_webp(frame: Frame, palette: Palette | None) -> dict[str, bytes]:
    """Return a lossless WebP of four bytes a cell, its world file and its .webp.aux.xml, by suffix.

    Raises:
        OptionsError: The palette is for another unit.
        WriteError: GDAL refused.
    """
    options = {"LOSSLESS": "YES", "EXACT": "1"}  # the latter keeps red, green and blue where alpha is 0
    return {
        ".rgba.wpw": world_file(frame.grid),
        ".rgba.webp.aux.xml": place_xml(frame.grid, png_tags(frame)),
        ".rgba.webp": _copied(frame, palette, "WEBP", options),
    }


def _copied(frame: Frame, palette: Palette | None, driver: str, options: Mapping[str, str]) -> bytes:
    """Return a picture as a driver of GDAL that only copies writes it."""
    pixels = np.moveaxis(coloured(frame, palette), -1, 0)

    def fill(dataset: DatasetWriter) -> None:
        dataset.colorinterp = (ColorInterp.red, ColorInterp.green, ColorInterp.blue, ColorInterp.alpha)
        dataset.write(pixels)
        dataset.update_tags(**rgba_tags(frame))
        dataset.update_tags(ns="IMAGERY", **imagery_tags(frame))

    profile = {"count": 4, "dtype": "uint8", "photometric": "RGB"}
    return encode_by(driver, frame.grid, frame.name, profile, fill, options)


def read_rgba(path: Path) -> NDArray[np.uint8]:
    """Return red, green, blue and alpha of each cell of such a picture, shape (rows, columns, 4)."""
    try:
        with (
            own_gdal(),
            rasterio.open(regular_file(path), driver=DRIVERS[path.suffix]) as dataset,
        ):
            pixels: NDArray[np.uint8] = np.moveaxis(dataset.read(), 0, -1)
            return pixels
    except rasterio.errors.RasterioError as error:
        raise ReadbackError(str(path), f"GDAL cannot read it: {error}") from error
