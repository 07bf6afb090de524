"""Cloud-Optimised GeoTIFFs.

GDAL's COG driver takes 3 ms for a small crop and 100 ms for a whole frame, nearly all of it fixed cost and passes over
the pixels. So GDAL writes one blank COG for each grid and choice of options, and stays the author of the georeference
and the structure; each frame's tiles and tags are put into that.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from rasterio.io import DatasetWriter

from hsrgeo.errors import OptionsError, WriteError
from hsrgeo.model.frame import Frame
from hsrgeo.model.grid import Grid
from hsrgeo.model.quantity import Quantity
from hsrgeo.model.squares import BLOCK_SIDE, block_extremes
from hsrgeo.model.texts import xml_text
from hsrgeo.writers import tiff
from hsrgeo.writers.by_driver import cog_options, encode_by, tile_side
from hsrgeo.writers.files import write_file
from hsrgeo.writers.tags import LICENCE, frame_tags, imagery_tags, statistics_tags
from hsrgeo.writers.tiles import Compression, compressed_tiles, overview

_CODECS: dict[str, dict[str, str]] = {
    "deflate": {"COMPRESS": "DEFLATE", "PREDICTOR": "YES"},
    "zstd": {"COMPRESS": "ZSTD", "PREDICTOR": "YES"},
    "none": {"COMPRESS": "NONE"},
}
_FRAME_TAGS = {"TIFFTAG_IMAGEDESCRIPTION": tiff.DESCRIPTION, "TIFFTAG_DATETIME": tiff.DATETIME}
"""Tags with a TIFF field of their own that differ from frame to frame."""
_FIXED_TAGS = {"TIFFTAG_COPYRIGHT": LICENCE, "TIFFTAG_SOFTWARE": "hsrgeo"}


def write_cog(frame: Frame, path: Path, *, compress: Compression = "deflate") -> Path:
    """Write a frame as a Cloud-Optimised GeoTIFF and return its path.

    Raises:
        OptionsError: A compression that is not known.
        WriteError: The disk or GDAL refused.
    """
    if compress not in _CODECS:
        raise OptionsError(f"compress {compress!r}: expected {', '.join(_CODECS)}")
    write_file(path, encode_cog(frame, compress=compress))
    return path


def encode_cog(frame: Frame, *, compress: Compression = "deflate") -> bytes:
    """Return the bytes of a COG: int16, the quantity's scale, offset, unit and nodata, nearest overviews, tags."""
    blank = _blank(frame.grid, frame.quantity, compress)
    full, *overviews = blank.skeleton.ifds
    tags = frame_tags(frame)
    texts = {field: tags.pop(name) for name, field in _FRAME_TAGS.items()}
    texts[tiff.GDAL_METADATA] = _metadata(frame, tags, blank.band_items)
    skeleton = tiff.Skeleton(blank.skeleton.ghost, (full.with_texts(texts), *overviews))
    tiles = [list(_tiles(frame, ifd, blank.side, compress)) for ifd in skeleton.ifds]
    return tiff.put_together(skeleton, tiles)


def _tiles(frame: Frame, ifd: tiff.Ifd, side: int, compress: Compression) -> Iterator[bytes]:
    level = overview(frame.stored, ifd.number(tiff.HEIGHT), ifd.number(tiff.WIDTH))
    is_known = level is frame.stored and side == BLOCK_SIDE
    extremes = frame.extremes if is_known else block_extremes(level, side)
    return compressed_tiles(level, side, extremes, compress, frame.quantity if frame.cleaned else None)


@dataclass(frozen=True, slots=True)
class _Blank:
    """What GDAL wrote for a grid: everything but tiles and tags of a frame."""

    skeleton: tiff.Skeleton
    side: int
    band_items: str
    """The lines of GDAL's metadata that describe the band: scale, offset, unit, name."""


@lru_cache(maxsize=4096)  # a few kB each; fewer than the regions of a run would mean one made for every frame
def _blank(grid: Grid, quantity: Quantity, compress: Compression) -> _Blank:
    profile = {"count": 1, "dtype": "int16", "nodata": quantity.nodata, "SPARSE_OK": "YES"}

    def fill(dataset: DatasetWriter) -> None:
        dataset.scales = (quantity.gain,)
        dataset.offsets = (quantity.offset,)
        dataset.units = (quantity.unit,)
        dataset.set_band_description(1, quantity.name)
        dataset.update_tags(**_FIXED_TAGS, **dict.fromkeys(_FRAME_TAGS, "-"))

    made = encode_by("COG", grid, grid.name, profile, fill, cog_options(grid, _CODECS[compress]))
    skeleton = tiff.take_apart(made)
    if not {entry.tag for entry in skeleton.ifds[0].entries} >= tiff.PLACE:
        raise WriteError(grid.name, "GDAL made a COG without a CRS or a place")
    lines = skeleton.ifds[0].text(tiff.GDAL_METADATA).splitlines()
    band_items = "".join(f"{line}\n" for line in lines if " role=" in line)
    return _Blank(skeleton, tile_side(grid), band_items)


def _metadata(frame: Frame, tags: dict[str, str], band_items: str) -> str:
    # Escaped twice, for GDAL unescapes a value again after its XML parser has: it always wrote them so.
    items = [
        f'  <Item name="{n}">{xml_text(xml_text(v))}</Item>\n' for n, v in sorted(tags.items()) if n not in _FIXED_TAGS
    ]
    items += [f'  <Item name="{n}" domain="IMAGERY">{v}</Item>\n' for n, v in imagery_tags(frame).items()]
    items += [
        f'  <Item name="{n}" sample="0">{xml_text(xml_text(v))}</Item>\n' for n, v in statistics_tags(frame).items()
    ]
    return f"<GDALMetadata>\n{''.join(items)}{band_items}</GDALMetadata>\n"
