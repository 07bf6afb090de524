"""The table of output formats: what a frame becomes in each.

A new format is an entry here, with its word in `Format`. The command line has the words again
(`hsrgeo.cli.output_options`), for it shows its help without this module, and `hsrgeo verify` has a comparison for each
suffix (`hsrgeo.engine.verify.compare`). Tests say which is missing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal, Protocol, get_args

from hsrgeo.errors import OptionsError
from hsrgeo.model.frame import Frame
from hsrgeo.products.palettes import Palette

Format = Literal["cog", "png", "odim", "float32", "asc", "rgba", "rgba-png", "rgba-webp", "mask"]
Compression = Literal["deflate", "zstd", "none"]


class Settings(Protocol):
    """What decides how a frame is written, besides its format; a recipe of an export has it."""

    @property
    def compress(self) -> Compression:
        """Of COGs."""

    @property
    def sidecars(self) -> bool:
        """Whether files beside a picture say where it lies."""

    @property
    def undetect(self) -> float | None:
        """In physical values, of cells that were observed and hold nothing; None is `Quantity.undetect_value`."""

    @property
    def palette(self) -> Palette | None:
        """Of pictures in colours; None is what hsrgeo brings for the quantity."""


@dataclass(frozen=True, slots=True)
class Raster:
    """One format.

    The encoders import their library when they are called: options are read without it.
    """

    suffixes: tuple[str, ...]
    """Of the files that a frame becomes, the picture itself first."""
    encode: Callable[[Frame, Settings], Mapping[str, bytes]]
    """Makes the bytes of these files, by suffix, in the order in which they are to be written."""
    beside: bool = False
    """Whether it only goes with another format."""
    needs: str = ""
    """A library of the extra that is called as the format."""
    recoded: bool = False
    """Whether it has numbers or colours of its own, never the codes of a frame."""
    most_side: int = 0
    """Cells that a line may have; 0 where there is no limit."""


def _cog(frame: Frame, settings: Settings) -> dict[str, bytes]:
    from hsrgeo.writers.cog import encode_cog  # noqa: PLC0415 - see `Raster`

    return {".tif": encode_cog(frame, compress=settings.compress)}


def _png(frame: Frame, settings: Settings) -> dict[str, bytes]:
    from hsrgeo.writers.png import encode_png, encode_png_files  # noqa: PLC0415

    return encode_png_files(frame) if settings.sidecars else {".png": encode_png(frame)}


def _odim(frame: Frame, _settings: Settings) -> dict[str, bytes]:
    from hsrgeo.writers.odim import encode_odim  # noqa: PLC0415

    return {".h5": encode_odim(frame)}


def _float32(frame: Frame, settings: Settings) -> dict[str, bytes]:
    from hsrgeo.writers.plain import encode_float  # noqa: PLC0415

    return {".float32.tif": encode_float(frame, compress=settings.compress, undetect=settings.undetect)}


def _asc(frame: Frame, settings: Settings) -> dict[str, bytes]:
    from hsrgeo.writers.plain import encode_asc  # noqa: PLC0415

    files = encode_asc(frame, undetect=settings.undetect)
    return files if settings.sidecars else {".asc": files[".asc"]}


def _rgba(frame: Frame, settings: Settings) -> dict[str, bytes]:
    from hsrgeo.writers.rgba import encode_rgba  # noqa: PLC0415

    return {".rgba.tif": encode_rgba(frame, compress=settings.compress, palette=settings.palette)}


def _rgba_png(frame: Frame, settings: Settings) -> dict[str, bytes]:
    from hsrgeo.writers.rgba import encode_rgba_png  # noqa: PLC0415

    files = encode_rgba_png(frame, settings.palette)
    return files if settings.sidecars else {".rgba.png": files[".rgba.png"]}


def _rgba_webp(frame: Frame, settings: Settings) -> dict[str, bytes]:
    from hsrgeo.writers.rgba import encode_rgba_webp  # noqa: PLC0415

    refuse_long("rgba-webp", frame.grid.width, frame.grid.height)
    files = encode_rgba_webp(frame, settings.palette)
    return files if settings.sidecars else {".rgba.webp": files[".rgba.webp"]}


def _mask(frame: Frame, _settings: Settings) -> dict[str, bytes]:
    from hsrgeo.writers.png import encode_mask  # noqa: PLC0415

    return {".mask.png": encode_mask(frame)}


_WEBP_SIDE = 16_383
# ^ RFC 9649, "VP8L": width and height less 1 are numbers of 14 bits; GDAL's driver has the same limit
RASTERS: dict[Format, Raster] = {
    "cog": Raster((".tif",), _cog),
    "png": Raster((".png", ".pgw", ".prj", ".png.aux.xml"), _png),
    "odim": Raster((".h5",), _odim, recoded=True, needs="h5py"),
    "float32": Raster((".float32.tif",), _float32, recoded=True),
    "asc": Raster((".asc", ".prj"), _asc, recoded=True),
    "rgba": Raster((".rgba.tif",), _rgba, recoded=True),
    "rgba-png": Raster((".rgba.png", ".rgba.pgw", ".rgba.png.aux.xml"), _rgba_png, recoded=True),
    "rgba-webp": Raster(
        (".rgba.webp", ".rgba.wpw", ".rgba.webp.aux.xml"), _rgba_webp, recoded=True, most_side=_WEBP_SIDE
    ),
    "mask": Raster((".mask.png",), _mask, beside=True),
}
"""By name, in the order in which the files of a frame are written."""


def refuse_long(name: Format, width: int, height: int) -> None:
    """Refuse a picture with more cells in a line than its format can have."""
    most = RASTERS[name].most_side
    if most and max(width, height) > most:
        raise OptionsError(
            f"{name}: {width:,} x {height:,} cells, and it can have {most:,} a side: take rgba-png or rgba, or larger "
            "cells (--resolution)"
        )


FORMATS: tuple[Format, ...] = get_args(Format)
PICTURES = tuple(raster.suffixes[0] for raster in RASTERS.values())
"""Suffixes of the pictures themselves."""
