"""Pictures in colours with a place: a COG and a PNG of red, green, blue and alpha, for maps that know no palettes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import rasterio
import rasterio.shutil
from numpy.typing import NDArray
from rasterio.crs import CRS
from rasterio.enums import ColorInterp
from rasterio.io import MemoryFile

from hsrgeo.errors import OptionsError, ReadbackError, WriteError
from hsrgeo.model.frame import Frame
from hsrgeo.products.classes import colours
from hsrgeo.products.palettes import Palette
from hsrgeo.writers.cog import tile_side
from hsrgeo.writers.environment import own_gdal, regular_file
from hsrgeo.writers.plain import code_free_tags
from hsrgeo.writers.png import encode_png_of, place_xml, world_file
from hsrgeo.writers.readback import DRIVERS
from hsrgeo.writers.tags import OVERVIEW_RESAMPLING, imagery_tags, png_tags

_WEBP_SIDE = 16_383
# ^ RFC 9649, "VP8L": width and height less 1 are numbers of 14 bits; GDAL's driver has the same limit


def rgba_tags(frame: Frame) -> dict[str, str]:
    """Return the tags of a frame's COG, but for what values mean: a picture has none."""
    return {**code_free_tags(frame), "VALUES": "colours"}


def coloured(frame: Frame, palette: Palette | None) -> NDArray[np.uint8]:
    """Return red, green, blue and alpha of each cell, shape (rows, columns, 4).

    Args:
        frame: Of any quantity that has colours.
        palette: None is what hsrgeo brings for the quantity. The blocks beside the first have it only in its unit.

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
    grid = frame.grid
    options: dict[str, Any] = {
        "BLOCKSIZE": max(tile_side(grid), 128),  # GDAL warns below
        "COMPRESS": compress.upper(),
        "BIGTIFF": "NO",
        "NUM_THREADS": "1",
        "OVERVIEW_RESAMPLING": OVERVIEW_RESAMPLING,
        "COPY_SRC_MDD": "YES",
        **({"OVERVIEWS": "NONE"} if grid.width == 1 else {}),
    }
    return _copied(frame, palette, "COG", options)


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
        OptionsError: The palette is for another unit; or it has more cells in a line than a WebP can.
        WriteError: GDAL refused.
    """
    grid = frame.grid
    if max(grid.width, grid.height) > _WEBP_SIDE:
        raise OptionsError(
            f"rgba-webp: {grid.width:,} x {grid.height:,} cells, and a WebP has at most {_WEBP_SIDE:,} a side: "
            "take rgba-png or rgba, or larger cells (--resolution)"
        )
    options = {"LOSSLESS": "YES", "EXACT": "1"}  # the latter keeps red, green and blue where alpha is 0
    return {
        ".rgba.wpw": world_file(frame.grid),
        ".rgba.webp.aux.xml": place_xml(frame.grid, png_tags(frame)),
        ".rgba.webp": _copied(frame, palette, "WEBP", options),
    }


def _copied(frame: Frame, palette: Palette | None, driver: str, options: dict[str, Any]) -> bytes:
    """Return a picture as a driver of GDAL that only copies writes it."""
    grid, pixels = frame.grid, coloured(frame, palette)
    profile = {"driver": "GTiff", "width": grid.width, "height": grid.height, "count": 4, "dtype": "uint8"}
    try:
        with own_gdal(), MemoryFile() as plain, MemoryFile() as copy:
            with plain.open(
                **profile, crs=CRS.from_wkt(grid.wkt2), transform=grid.transform, photometric="RGB"
            ) as dataset:
                dataset.colorinterp = (ColorInterp.red, ColorInterp.green, ColorInterp.blue, ColorInterp.alpha)
                dataset.write(np.moveaxis(pixels, -1, 0))
                dataset.update_tags(**rgba_tags(frame))
                dataset.update_tags(ns="IMAGERY", **imagery_tags(frame))
            with plain.open() as dataset:
                rasterio.shutil.copy(dataset, copy.name, driver=driver, **options)
            return bytes(copy.getbuffer())
    except (rasterio.errors.RasterioError, ValueError) as error:
        raise WriteError(frame.name, f"GDAL cannot make a {driver} of it: {error}") from error


def read_rgba(path: Path) -> NDArray[np.uint8]:
    """Return red, green, blue and alpha of each cell of such a picture, shape (rows, columns, 4).

    Raises:
        ReadbackError: GDAL cannot read it.
    """
    try:
        with (
            own_gdal(),
            rasterio.open(regular_file(path), driver=DRIVERS[path.suffix]) as dataset,
        ):
            pixels: NDArray[np.uint8] = np.moveaxis(dataset.read(), 0, -1)
            return pixels
    except rasterio.errors.RasterioError as error:
        raise ReadbackError(str(path), f"GDAL cannot read it: {error}") from error
