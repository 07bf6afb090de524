"""File -> what GDAL sees in it, to compare with what was meant.

The osgeo bindings are taken where they are installed: they are a build of GDAL other than the one in rasterio's
wheel, which wrote the file, so that no bug of one build can hide itself. Without them rasterio's reads.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from affine import Affine
from numpy.typing import NDArray

from hsrgeo.errors import ReadbackError
from hsrgeo.model.env_variables import with_own_variables


@dataclass(frozen=True, slots=True, eq=False)
class Level:
    """The full resolution or one overview."""

    pixels: NDArray[Any]
    """Of the first band, shape (rows, columns), in the type that the file stores."""
    block: tuple[int, int]
    """Width and height of a tile, or of a strip."""
    ifd_offset: int
    """Byte where the level is described; 0 where the file is no TIFF."""
    tiles: tuple[tuple[int, int], ...]
    """Offset and size in bytes of every tile, row by row; (0, 0) for one that was left out, none in a PNG."""


@dataclass(frozen=True, slots=True, eq=False)
class Picture:
    """A raster file as GDAL reads it."""

    driver: str
    """GDAL's name of the format: GTiff or PNG."""
    bands: int
    levels: tuple[Level, ...]
    """The full resolution, then the overviews as GDAL lists them."""
    transform: Affine
    """Pixel corner -> CRS units; the identity where the file has no place."""
    wkt: str
    """The CRS, empty where there is none."""
    nodata: float | None
    scale: float
    offset: float
    unit: str
    description: str
    tags: dict[str, str]
    """Of the default domain."""
    imagery_tags: dict[str, str]
    """Of the domain IMAGERY."""
    band_tags: dict[str, str]
    """Of the band, such as statistics."""
    structure: dict[str, str]
    """Of the domain IMAGE_STRUCTURE, such as LAYOUT and COMPRESSION."""

    @property
    def pixels(self) -> NDArray[Any]:
        """The full resolution."""
        return self.levels[0].pixels


def reader_name() -> str:
    """Return which bindings read, and their version of GDAL."""
    if gdal := _osgeo():
        return f"osgeo, GDAL {gdal.__version__}"
    import rasterio  # noqa: PLC0415 - only where it reads

    return f"rasterio {rasterio.__version__}, GDAL {rasterio.__gdal_version__}"


def read_picture(path: Path) -> Picture:
    """Read everything that matters of a raster file."""
    gdal = _osgeo()
    return _read_with_rasterio(path) if gdal is None else _read_with_osgeo(gdal, path)


DRIVERS = {".tif": "GTiff", ".png": "PNG", ".webp": "WEBP"}
"""Of GDAL, by suffix."""


@cache
def _osgeo() -> Any:  # noqa: ANN401 - osgeo has no types
    try:
        with with_own_variables():  # it reads GDAL_SKIP now
            from osgeo import gdal  # noqa: PLC0415 - an optional extra
    except ImportError:  # not installed, or for a libgdal that is not there
        return None
    return gdal


def _driver_and_settings(path: Path) -> tuple[str, dict[str, str]]:
    from hsrgeo.writers.environment import ALONE, PLAIN  # noqa: PLC0415 - imports rasterio

    # A COG says everything itself. A PNG or WebP cannot: its CRS, scale and tags are in its .aux.xml.
    driver = DRIVERS.get(path.suffix, "GTiff")
    return driver, ALONE if driver == "GTiff" else PLAIN


def _read_with_osgeo(gdal: Any, path: Path) -> Picture:  # noqa: ANN401
    from hsrgeo.writers.environment import regular_file  # noqa: PLC0415 - imports rasterio

    driver, settings = _driver_and_settings(path)
    with with_own_variables(), _osgeo_settings(gdal, settings):
        try:
            dataset = gdal.OpenEx(regular_file(path), gdal.OF_RASTER, allowed_drivers=[driver])
            band = dataset.GetRasterBand(1)
            count = band.GetOverviewCount() if driver == "GTiff" else 0  # beside a PNG they may be anything
            overviews = [band.GetOverview(number) for number in range(count)]
            place = dataset.GetGeoTransform(can_return_null=True)
            crs = dataset.GetSpatialRef()
            scale, offset = band.GetScale(), band.GetOffset()
            return Picture(
                driver=dataset.GetDriver().ShortName,
                bands=dataset.RasterCount,
                levels=tuple(_osgeo_level(gdal, level) for level in (band, *overviews)),
                transform=Affine.from_gdal(*place) if place else Affine.identity(),
                wkt=crs.ExportToWkt(["FORMAT=WKT2_2019"]) if crs else "",
                nodata=band.GetNoDataValue(),
                scale=1.0 if scale is None else scale,
                offset=0.0 if offset is None else offset,
                unit=band.GetUnitType() or "",
                description=band.GetDescription() or "",
                tags=_texts(dataset.GetMetadata()),
                imagery_tags=_texts(dataset.GetMetadata("IMAGERY")),
                band_tags=_texts(band.GetMetadata()),
                structure=_texts(dataset.GetMetadata("IMAGE_STRUCTURE")),
            )
        except (RuntimeError, MemoryError) as error:
            raise ReadbackError(str(path), f"GDAL cannot read it: {error}") from error


def _osgeo_level(gdal: Any, band: Any) -> Level:  # noqa: ANN401
    # ReadRaster and not ReadAsArray: bindings that were built without numpy have no arrays.
    dtype = np.dtype(_NUMPY_NAMES.get(gdal.GetDataTypeName(band.DataType), "float64"))
    _refuse_giant(band.XSize, band.YSize)
    data = band.ReadRaster(buf_type=band.DataType if dtype.kind in "iu" else gdal.GDT_Float64)
    pixels = np.frombuffer(data, dtype).reshape(band.YSize, band.XSize)
    return _level(pixels, tuple(band.GetBlockSize()), lambda item: band.GetMetadataItem(item, "TIFF"))


def _texts(tags: dict[str | bytes, str | bytes]) -> dict[str, str]:
    # The bindings give what is no UTF-8 as bytes; rasterio leaves it out.
    return {_text(name): _text(value) for name, value in tags.items()}


def _text(text: str | bytes) -> str:
    return text if isinstance(text, str) else text.decode("utf-8", "backslashreplace")


_NUMPY_NAMES = {"Byte": "uint8", "UInt16": "uint16", "Int16": "int16", "UInt32": "uint32", "Int32": "int32"}


@contextmanager
def _osgeo_settings(gdal: Any, settings: dict[str, str]) -> Iterator[None]:  # noqa: ANN401
    """Set options of this thread and make errors exceptions, and put back what the caller's own use of GDAL had."""
    raised = gdal.GetUseExceptions()
    before = {key: gdal.GetThreadLocalConfigOption(key) for key in settings}
    gdal.UseExceptions()
    gdal.PushErrorHandler("CPLQuietErrorHandler")  # what is wrong becomes an exception; GDAL prints nothing
    for key, value in settings.items():
        gdal.SetThreadLocalConfigOption(key, value)
    try:
        yield
    finally:
        for key, old in before.items():
            gdal.SetThreadLocalConfigOption(key, old)
        gdal.PopErrorHandler()
        if not raised:
            gdal.DontUseExceptions()


def _read_with_rasterio(path: Path) -> Picture:
    import rasterio  # noqa: PLC0415 - only where it reads

    from hsrgeo.writers.environment import opened_raster  # noqa: PLC0415 - imports rasterio

    driver, settings = _driver_and_settings(path)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a picture without a place is a finding, no warning
            with opened_raster(path, driver, settings) as dataset:
                overviews = len(dataset.overviews(1)) if driver == "GTiff" else 0  # beside a PNG: may be anything
                return Picture(
                    driver=dataset.driver,
                    bands=dataset.count,
                    levels=(
                        _rasterio_level(dataset, dataset, None),
                        *(_rasterio_overview(path, dataset, number) for number in range(overviews)),
                    ),
                    transform=Affine(*dataset.transform[:6]),
                    wkt=dataset.crs.to_wkt(version="WKT2_2019") if dataset.crs else "",
                    nodata=dataset.nodata,
                    scale=dataset.scales[0],
                    offset=dataset.offsets[0],
                    unit=dataset.units[0] or "",
                    description=dataset.descriptions[0] or "",
                    tags=dataset.tags(),
                    imagery_tags=dataset.tags(ns="IMAGERY"),
                    band_tags=dataset.tags(1),
                    structure=dataset.tags(ns="IMAGE_STRUCTURE"),
                )
    except (rasterio.errors.RasterioError, UnicodeDecodeError, MemoryError) as error:
        reason = error.__cause__ or error  # "Read failed. See previous exception for details."
        raise ReadbackError(str(path), f"GDAL cannot read it: {reason}") from error


def _rasterio_overview(path: Path, whole: Any, number: int) -> Level:  # noqa: ANN401
    from hsrgeo.writers.environment import opened_raster  # noqa: PLC0415 - imports rasterio

    with opened_raster(path, level=number) as dataset:
        return _rasterio_level(whole, dataset, number)


def _rasterio_level(whole: Any, dataset: Any, overview: int | None) -> Level:  # noqa: ANN401
    _refuse_giant(dataset.width, dataset.height)
    rows, cols = dataset.block_shapes[0]
    return _level(dataset.read(1), (cols, rows), lambda item: whole.get_tag_item(item, "TIFF", bidx=1, ovr=overview))


def _level(pixels: NDArray[Any], block: tuple[int, int], item: Callable[[str], str | None]) -> Level:
    """Return a level with what GDAL's domain TIFF tells of it; other formats have no such domain."""
    ifd_offset = int(item("IFD_OFFSET") or 0)
    height, width = pixels.shape
    down, across = -(-height // block[1]), -(-width // block[0])
    places = [f"{col}_{row}" for row in range(down) for col in range(across)] if ifd_offset else []
    tiles = tuple((int(item(f"BLOCK_OFFSET_{at}") or 0), int(item(f"BLOCK_SIZE_{at}") or 0)) for at in places)
    return Level(pixels, block, ifd_offset, tiles)


def _refuse_giant(width: int, height: int) -> None:
    # A bit flipped in a size asks for terabytes; GDAL would try.
    if width * height > _MOST_CELLS:
        raise MemoryError(f"it claims {width:,} x {height:,} cells")


_MOST_CELLS = 1 << 25
"""Five times the largest grid."""
