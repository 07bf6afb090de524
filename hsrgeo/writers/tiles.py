"""Pixels -> compressed tiles of a TIFF, and the overviews they are taken from."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Iterator
from functools import lru_cache
from typing import Literal

import deflate
import numpy as np
import zstandard
from numpy.typing import NDArray
from zlib_ng import zlib_ng

from hsrgeo.model.quantity import Quantity, clean_values
from hsrgeo.model.squares import BLOCK_SIDE

Compression = Literal["deflate", "zstd", "none"]

_DEFLATE_LEVEL = 2
_ZSTD_LEVEL = 1
# ^ Both pack tiles as small as the driver does at its levels 6 and 9, within 3 %, several times as fast. Of a dense one
#   ZSTD level 1 makes 1,740 kB, level 9 1,714 kB, level 19 1,687 kB. Tiles of 512 cells a side, the driver's default,
#   are 10 % smaller with ZSTD, for it looks back further than DEFLATE; a crop would read four times as much.
#   ISA-L would pack three times as fast as zlib-ng, but what it makes depends on what was in its memory before: now
#   and then the same tile gives other bytes in another process.
_CODES = (-30000, -25000)  # nodata and undetect
_BEST_DEFLATE, _QUICK_DEFLATE = 12, 9
# ^ Levels of libdeflate. A tile of 256 cells a side that holds one of the codes packs to the same bytes by both, by the
#   second in a thirtieth of the time: the first frame of a process needs eight of them (tests/writers/test_cog.py).


def overview(pixels: NDArray[np.int16], height: int, width: int) -> NDArray[np.int16]:
    """Return an overview of a size by GDAL's rule for NEAREST: the cell at int(0.5 + i * ratio) of the full resolution.

    The rule was read off GDAL 3.10's output, and gives its first overview for every size (`tests/writers`). GDAL
    takes each further one from the one before, which is the same where sizes halve evenly, as those of whole frames
    do, and up to a few cells off its place otherwise; here all are taken from the full resolution. The picks are
    evenly spaced but for a few jumps, so that each stretch between jumps is copied as one strided slice.
    """
    if pixels.shape == (height, width):
        return pixels
    smaller = np.empty((height, width), np.int16)
    columns = _stretches(pixels.shape[1], width)
    for to_rows, from_rows in _stretches(pixels.shape[0], height):
        for to_cols, from_cols in columns:
            smaller[to_rows, to_cols] = pixels[from_rows, from_cols]
    return smaller


def compressed_tiles(
    level: NDArray[np.int16],
    side: int,
    extremes: NDArray[np.int16],
    compress: Compression,
    cleaned: Quantity | None,
) -> Iterator[bytes]:
    """Yield the tiles of a picture, row by row.

    Args:
        level: Stored values of the full resolution or of an overview.
        side: Cells along each side of a tile.
        extremes: `block_extremes` of the level for this side.
        compress: ``deflate``, ``zstd`` or ``none``.
        cleaned: Clean the values by this quantity's rules on the way, tile by tile in the processor's cache (picking
            cells for an overview before or after makes no difference), or None for values as stored.
    """
    lows, highs = clean_values(extremes, cleaned) if cleaned else extremes  # cleaning keeps the order of values
    for (row, col), lowest in np.ndenumerate(lows):
        part = level[row * side : (row + 1) * side, col * side : (col + 1) * side]
        if lowest == highs[row, col]:
            yield _constant_tile(int(lowest), part.shape, side, compress)
            continue
        if cleaned and lowest < cleaned.echo_from:
            part = clean_values(part, cleaned)
        yield _compressed(_padded(part, side), compress)


@lru_cache(maxsize=256)
def _stretches(large: int, small: int) -> list[tuple[slice, slice]]:
    picks = np.minimum((0.5 + np.arange(small) * (large / small)).astype(np.intp), large - 1)
    step = large // small
    jumps = np.flatnonzero(np.diff(picks) != step) + 1
    edges = [0, *jumps.tolist(), small]
    return [
        (slice(begin, end), slice(int(picks[begin]), int(picks[end - 1]) + 1, step))
        for begin, end in itertools.pairwise(edges)
    ]


@lru_cache(maxsize=256)
def _constant_tile(value: int, shape: tuple[int, int], side: int, compress: Compression) -> bytes:
    tile = _padded(np.full(shape, value, np.int16), side)
    if compress == "deflate":  # made once, stored thousands of times: worth the best that DEFLATE can
        level = _QUICK_DEFLATE if value in _CODES and side == BLOCK_SIDE else _BEST_DEFLATE
        return bytes(deflate.zlib_compress(_differences(tile).data, level))
    return _compressed(tile, compress)


def _padded(part: NDArray[np.int16], side: int) -> NDArray[np.int16]:
    """Return a whole tile; beyond the picture rows repeat their last cell and then are 0: no differences to store."""
    if part.shape == (side, side):
        return part
    height, width = part.shape
    tile = np.zeros((side, side), np.int16)
    tile[:height, :width] = part
    tile[:height, width:] = part[:, -1:]
    return tile


def _compressed(tile: NDArray[np.int16], compress: Compression) -> bytes:
    if compress == "none":
        return tile.tobytes()
    if compress == "zstd":
        return _PACKER.zstd.compress(_differences(tile).data)
    return zlib_ng.compress(_differences(tile).data, _DEFLATE_LEVEL)


def _differences(tile: NDArray[np.int16]) -> NDArray[np.int16]:
    """Return a tile after TIFF's predictor 2: differences along each row, modulo 2^16 (TIFF 6.0, section 14)."""
    values = tile.ravel()
    differences = np.empty(tile.shape, np.int16)
    np.subtract(values[1:], values[:-1], out=differences.reshape(-1)[1:])  # in one go, over the ends of rows
    differences[:, 0] = tile[:, 0]
    return differences


class _Packer(threading.local):
    """One for each thread: two in one compressor end the process, or pack other bytes."""

    def __init__(self) -> None:
        self.zstd = zstandard.ZstdCompressor(level=_ZSTD_LEVEL, write_content_size=True)


_PACKER = _Packer()
