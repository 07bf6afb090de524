"""The structure of a COG: tiles, overviews, and the order of everything in the file.

References:
    GDAL, COG driver, "File format details"; its validate_cloud_optimized_geotiff.py checks the same order.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hsrgeo.engine.verify.findings import Finding, Findings, differ, size_of
from hsrgeo.model.frame import Frame
from hsrgeo.model.quantity import Quantity
from hsrgeo.outputs.recipe import Recipe
from hsrgeo.writers.readback import Level, Picture

_COMPRESSION = {"deflate": "DEFLATE", "zstd": "ZSTD", "none": "none"}
_TILE_SIDES = (128, 512)
_TILE_STEP = 16  # TIFF 6.0, section 15: tile sides are multiples of 16
_LEADER = b"BLOCK_LEADER=SIZE_AS_UINT4"
_GHOST_BYTES = 512  # the header ghost area lies right after the first 8 bytes


def compare_structure(picture: Picture, data: bytes, part: Frame, recipe: Recipe) -> Findings:
    """Yield what is wrong with the structure of a COG, which should show `part` as the recipe says."""
    yield from _compare_tiling(picture, part, recipe)
    yield from _compare_overviews(picture, part)
    if recipe.values == "clean":
        yield from _compare_codes(picture, part.quantity)
    yield from _compare_order(picture.levels)
    if _LEADER in data[:_GHOST_BYTES]:
        yield from _compare_leaders(picture.levels, data)


def _compare_tiling(picture: Picture, part: Frame, recipe: Recipe) -> Findings:
    yield from differ("layout", "COG", picture.structure.get("LAYOUT", "none"))
    yield from differ("compression", _COMPRESSION[recipe.compress], picture.structure.get("COMPRESSION", "none"))
    whole = max(part.grid.width, part.grid.height)
    for number, (width, height) in enumerate(level.block for level in picture.levels):
        small = width < _TILE_SIDES[0] and width < whole
        if width != height or width % _TILE_STEP or width > _TILE_SIDES[1] or small:
            expected = f"{_TILE_SIDES[0]} to {_TILE_SIDES[1]} cells square, or less where one contains everything"
            yield Finding(f"tiles of {_level_name(number)}", expected, f"{width} x {height}")


def _compare_overviews(picture: Picture, part: Frame) -> Findings:
    above = part.raw
    yield from _compare_overview_sizes(picture, part)
    for number, level in enumerate(picture.levels[1:], 1):
        # GDAL takes a nearest overview from the one before it; hsrgeo, from the full resolution. Both invent nothing.
        shape = level.pixels.shape
        if not any(np.array_equal(_nearest(source, shape), level.pixels) for source in (part.raw, above)):
            different = np.count_nonzero(_nearest(part.raw, shape) != level.pixels)
            invented = np.count_nonzero(~np.isin(level.pixels, part.raw))
            yield Finding(
                _level_name(number),
                "every cell as nearest has it from the full resolution",
                f"{different:,} others, {invented:,} of them values that it lacks",
            )
        above = level.pixels


def _compare_overview_sizes(picture: Picture, part: Frame) -> Findings:
    tile = min(*picture.levels[0].block, _TILE_SIDES[1])
    halved = list(_halved(part.grid.width, part.grid.height, tile))
    widths = [part.grid.width, *(width for width, _height in halved)]
    narrower = [size for size, before in zip(halved, widths, strict=False) if size[0] < before]
    # Where a picture is one cell wide, GDAL goes on, and rio-cogeo calls an overview that is no narrower invalid.
    expected, allowed = (", ".join(f"{width} x {height}" for width, height in sizes) for sizes in (halved, narrower))
    found = ", ".join(size_of(level.pixels) for level in picture.levels[1:])
    if found != allowed:
        yield from differ("overviews", expected, found)


def _halved(width: int, height: int, tile: int) -> Iterator[tuple[int, int]]:
    """Yield sizes as GDAL's COG driver has them: halved and rounded down until one tile holds everything."""
    while max(width, height) > max(tile, 1):
        width, height = max(width // 2, 1), max(height // 2, 1)
        yield width, height


def _nearest(source: NDArray[Any], shape: tuple[int, ...]) -> NDArray[Any]:
    """Return a smaller array as GDAL's NEAREST makes it: cell i is cell int(0.5 + i * ratio) of the source.

    Found with images of their own row and column numbers; GDAL 3.8.4, 3.10.3 and 3.12.2 agree on 300 sizes.
    """
    rows, cols = (
        np.minimum((0.5 + np.arange(small) * (large / small)).astype(np.intp), large - 1)
        for large, small in zip(source.shape, shape, strict=True)
    )
    smaller: NDArray[Any] = source[rows[:, None], cols]
    return smaller


def _compare_codes(picture: Picture, quantity: Quantity) -> Findings:
    allowed = (quantity.nodata, quantity.undetect)
    for number, level in enumerate(picture.levels):
        null = np.count_nonzero(level.pixels < quantity.echo_from)
        coded = sum(np.count_nonzero(level.pixels == code) for code in allowed)
        if null > coded:
            others = np.setdiff1d(level.pixels[level.pixels < quantity.echo_from], allowed)
            yield Finding(
                f"values below {quantity.echo_from} in {_level_name(number)}",
                f"only {quantity.nodata} and {quantity.undetect}",
                f"{null - coded:,} other cells, such as {others[0]}",
            )


def _compare_order(levels: tuple[Level, ...]) -> Findings:
    """Check the order that makes a TIFF cloud-optimised: first every IFD, then tiles, the smallest overview's first."""
    ifds = [level.ifd_offset for level in levels]
    tiles = [offset for level in reversed(levels) for offset, _size in level.tiles]
    if not all(ifds) or ifds != sorted(ifds):
        yield Finding("offsets of the IFDs", "the full resolution first, then smaller and smaller", ifds)
    if not all(tiles) or tiles != sorted(tiles):
        starts = [level.tiles[0][0] if level.tiles else 0 for level in levels]
        yield Finding("order of the tiles", "overviews first, smallest first, row by row", f"levels at {starts}")
    if tiles and min(tiles) < max(ifds):
        yield Finding("first tile", "after every IFD", f"at byte {min(tiles)}, an IFD at {max(ifds)}")


def _compare_leaders(levels: tuple[Level, ...], data: bytes) -> Findings:
    """Check what the file promises to readers that skip the index: size before each tile, its last 4 bytes after it."""
    for number, level in enumerate(levels):
        for offset, size in level.tiles:
            end = offset + size
            tile = f"the tile at byte {offset}, {_level_name(number)}"
            yield from differ(f"size before {tile}", size, int.from_bytes(data[offset - 4 : offset], "little"))
            yield from differ(f"last bytes after {tile}", data[end - 4 : end].hex(), data[end : end + 4].hex())


def _level_name(number: int) -> str:
    return f"overview {number}" if number else "the full resolution"
