"""What a COG says of itself, without its pixels: place, packing and tags, for what is written beside it.

Thousands of files of one place are distinguished by their first bytes, forty times faster than GDAL opens them; GDAL is
asked once for each place.
"""

from __future__ import annotations

import re
import struct
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from html import unescape
from pathlib import Path
from tempfile import TemporaryDirectory

import rasterio
from affine import Affine

from hsrgeo.errors import ReadbackError
from hsrgeo.model.grid import Grid
from hsrgeo.sources.remote import Place, RemotePath
from hsrgeo.sources.texts import open_file
from hsrgeo.writers.environment import opened_raster
from hsrgeo.writers.tiff import GDAL_METADATA, HEIGHT, WIDTH, Ifd, take_apart, tiles_end

_PLACE = (WIDTH, HEIGHT, 258, 322, 323, 339, 33550, 33922, 34264, 34735, 34736, 34737, 42113)
# ^ size, type of values, tiles, transform and CRS (OGC GeoTIFF 1.1, annex B), and GDAL's nodata
_PACKING = ("QUANTITY", "UNIT", "UNDETECT", "SCALE", "OFFSET", "UNITTYPE", "GRID")
_ITEM = re.compile(r'<Item name="(\w+)"[^>]*>([^<]*)</Item>')
_HEAD_BYTES = 1 << 14  # holds every IFD of a COG of the largest grid


@dataclass(frozen=True, slots=True)
class Signature:
    """What the first bytes of a COG say."""

    key: int
    """The same for files of the same place, packing and quantity."""
    crc32: int
    """Of these bytes, which hold tags and sizes of tiles: another file of this name has another one."""
    statistics: dict[str, str]
    """GDAL's statistics of echo, in stored units; empty where there is no echo."""


@dataclass(frozen=True, slots=True)
class Glance:
    """A COG as GDAL sees it, without its pixels."""

    width: int
    """Columns."""
    height: int
    """Rows."""
    transform: Affine
    """Pixel corner -> CRS units."""
    wkt: str
    """The CRS as WKT 2, empty where there is none."""
    block: tuple[int, int]
    """Width and height of a tile."""
    nodata: float | None
    scale: float
    offset: float
    unit: str
    tags: dict[str, str]
    """Of the default domain."""
    dtype: str = "int16"
    """Of every band."""
    others: tuple[str, ...] = ()
    """Names of the bands after the first."""

    @property
    def grid(self) -> Grid:
        """Where it lies."""
        return Grid(self.tags.get("GRID", ""), self.wkt, self.transform, self.width, self.height)

    @property
    def bounds(self) -> tuple[float, float, float, float]:
        """Left, bottom, right, top: the outer edges in units of the CRS."""
        t = self.transform
        return t.c, t.f + t.e * self.height, t.c + t.a * self.width, t.f


def signature(path: Place) -> Signature:
    """Tell a COG by its first bytes.

    Raises:
        ReadbackError: It cannot be read, or is no TIFF as hsrgeo writes it.
    """
    ifd, items, crc32 = _head(path)
    place = tuple((entry.tag, entry.value) for entry in ifd.entries if entry.tag in _PLACE)
    packing = [items.get(name) for name in _PACKING]
    if items.get("QUANTITY") == "station":  # its values are places in the list, which another frame may have another of
        packing.append(items.get("STATIONS"))
    statistics = {name: value for name, value in items.items() if name.startswith("STATISTICS_")}
    return Signature(hash((place, *packing)), crc32, statistics)


def labels(path: Place) -> dict[str, str]:
    """Return the tags of a COG by its first bytes, of every domain and of its band.

    Raises:
        ReadbackError: It cannot be read, or is no TIFF as hsrgeo writes it.
    """
    return _head(path)[1]


def first_bytes(path: Path, most_cells: float) -> bytes:
    """Return the first bytes of a COG, up to the end of its largest level of at most so many cells.

    The smallest level is among them, however large it is.

    Raises:
        ReadbackError: It cannot be read, or is no TIFF as hsrgeo writes it.
    """
    try:
        with open_file(path) as file:
            data = file.read()
        ifds = take_apart(data).ifds
        fitting = (ifd for ifd in ifds if ifd.number(WIDTH) * ifd.number(HEIGHT) <= most_cells)
        return data[: tiles_end(next(fitting, ifds[-1]))]
    except OSError as error:
        raise ReadbackError(str(path), f"cannot be read: {error.strerror or error}") from error
    except (ValueError, StopIteration, IndexError, struct.error) as error:
        raise ReadbackError(str(path), f"is not a COG written by hsrgeo: {_reason(error)}") from error


def _reason(error: Exception) -> str:
    text = str(error)
    return "it is empty or ends early" if text.startswith("unpack") or not text else text  # struct's words, or none


def _head(path: Place) -> tuple[Ifd, dict[str, str], int]:
    try:
        ifd, crc32 = _first_ifd(path)
        # Twice: `writers.cog` escapes twice, as GDAL does.
        items = {name: unescape(unescape(value)) for name, value in _ITEM.findall(ifd.text(GDAL_METADATA))}
        _check_numbers(items)
    except OSError as error:
        raise ReadbackError(str(path), f"cannot be read: {error.strerror or error}") from error
    except (ValueError, KeyError, struct.error) as error:
        raise ReadbackError(str(path), f"is not a COG written by hsrgeo: {_reason(error)}") from error
    return ifd, items, crc32


def _check_numbers(items: Mapping[str, str]) -> None:
    for name, value in items.items():
        if name.startswith("COUNT_") or name in ("UNDETECT", "STATION_COUNT"):
            int(value)
        elif name.startswith("STATISTICS_") and name != "STATISTICS_OF":
            float(value)


def _first_ifd(path: Place) -> tuple[Ifd, int]:
    with path.open() if isinstance(path, RemotePath) else open_file(path) as file:
        head = file.read(_HEAD_BYTES)
        crc32 = zlib.crc32(head)
        try:
            return take_apart(head).ifds[0], crc32
        except struct.error:  # an IFD lies farther back: another program has edited the file
            return take_apart(head + file.read()).ifds[0], crc32


def glance(path: Place) -> Glance:
    """Read what a COG says of itself."""
    try:
        with _here(path) as file, opened_raster(file) as dataset:
            rows, cols = dataset.block_shapes[0]
            return Glance(
                width=dataset.width,
                height=dataset.height,
                transform=Affine(*dataset.transform[:6]),
                wkt=dataset.crs.to_wkt(version="WKT2_2019") if dataset.crs else "",
                block=(cols, rows),
                nodata=dataset.nodata,
                scale=dataset.scales[0],
                offset=dataset.offsets[0],
                unit=dataset.units[0] or "",
                tags=dataset.tags(),
                dtype=dataset.dtypes[0],
                others=tuple(name or "" for name in dataset.descriptions[1:]),
            )
    except (rasterio.errors.RasterioError, UnicodeDecodeError) as error:
        raise ReadbackError(str(path), f"GDAL cannot open it: {error.__cause__ or error}") from error
    except OSError as error:
        raise ReadbackError(str(path), f"cannot be read: {error.strerror or error}") from error


@contextmanager
def _here(path: Place) -> Iterator[Path]:
    """Give a file on this machine; of one in a bucket a copy, for GDAL is given no keys."""
    if isinstance(path, Path):
        yield path
        return
    with TemporaryDirectory(prefix="hsrgeo-") as folder:
        copy = Path(folder, path.name)
        copy.write_bytes(path.read_bytes())
        yield copy
