"""Resampling that knows the classes: which source cells an output cell is made of, and what they make together.

Every output cell has a box of source cells, the same size for all, and a weight for each of them. What is not
observed has no say, what is observed and empty counts as 0, and an output cell that is less than half observed is
not observed.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from hsrgeo.errors import OptionsError
from hsrgeo.model.grid import Grid
from hsrgeo.model.quantity import Quantity, clean_values
from hsrgeo.model.window import Window
from hsrgeo.products.places import Floats, Places

Blending = Literal["bilinear", "average", "max"]

_SNAP = 1e-8
# ^ cells: a centre this close to a border, 0.005 mm, always falls into the same cell, the eastern or southern
_WHOLE = 1 << 15  # the weight that is 1; boxes that overlap a little may add up to more
_BAND_VALUES = 1 << 20  # weights worked on at a time
_TURN_PARTS, _MOST_PARTS = 20.0, 8
# ^ an output cell is cut into parts along each side, 20 times the tangent of the angle between the grids: see `_shares`
_MIXED = np.int16(-32768)  # below every code: a box that holds more than one value
_MOST_WEIGHTS = 100_000_000  # 200 MB; a whole frame in cells of about the same size has 70 million
_LARGEST_BOX = 64  # cells; larger ones hardly ever hold one value, and looking costs more than it saves

Int16s = NDArray[np.int16]


def nearest_index(
    places: Places, grid: Grid, shape: tuple[int, int], spare: Window
) -> tuple[NDArray[np.int32], Window]:
    """Return for each output cell the source cell that holds its centre.

    Args:
        places: Where output cells lie.
        grid: The source.
        shape: Rows and columns of the output.
        spare: The window to take where no source cell is needed: no centre of a few large cells lies in the grid.

    Returns:
        Flat indices of `shape` into a window, and that window: the source cells that are needed. Output cells outside
        the source have the index after the last.
    """
    index = np.empty(shape, np.int32)
    band_rows = max(_BAND_VALUES // 4 // shape[1], 1)
    outside = grid.width * grid.height
    window: Window | None = None
    for start in range(0, shape[0], band_rows):
        cols, rows = places.band(start, min(start + band_rows, shape[0]))
        inside = (cols >= -_SNAP) & (cols < grid.width - _SNAP) & (rows >= -_SNAP) & (rows < grid.height - _SNAP)
        col, row = (np.floor(np.where(inside, axis, 0) + _SNAP).astype(np.int32) for axis in (cols, rows))
        index[start : start + band_rows] = np.where(inside, row * np.int32(grid.width) + col, outside)
        window = _union(window, row[inside], col[inside])
    window = window or spare
    if window != grid.window:
        row, col = np.divmod(index, np.int32(grid.width))
        row -= np.int32(window.row_off)
        row *= np.int32(window.width)
        row += col - np.int32(window.col_off)
        row[index == outside] = window.width * window.height
        index = row
    return index, window


def _union(window: Window | None, row: NDArray[np.int32], col: NDArray[np.int32]) -> Window | None:
    if not row.size:
        return window
    left, top, right, bottom = int(col.min()), int(row.min()), int(col.max()) + 1, int(row.max()) + 1
    if window is not None:
        left, top = min(left, window.col_off), min(top, window.row_off)
        right = max(right, window.col_off + window.width)
        bottom = max(bottom, window.row_off + window.height)
    return Window(left, top, right - left, bottom - top)


def taken(stored: Int16s, index: NDArray[np.int32], nodata: int) -> Int16s:
    """Return the stored values that indices of `nearest_index` stand for, nodata outside."""
    source = np.empty(stored.size + 1, np.int16)
    source[:-1].reshape(stored.shape)[...] = stored
    source[-1] = nodata
    return _take(source, index)


def _take(source: Int16s, index: NDArray[np.int32]) -> Int16s:
    # A few rows at a time: numpy makes int64 of the indices, which stays within a processor's cache. No index lies
    # outside; with "clip" numpy does not look first, and needs no copy of what it writes to.
    result = np.empty(index.shape, np.int16)
    rows = max((1 << 16) // index.shape[1], 1)
    for start in range(0, index.shape[0], rows):
        np.take(source, index[start : start + rows], out=result[start : start + rows], mode="clip")
    return result


@dataclass(frozen=True, slots=True)
class Boxes:
    """For each output cell a box of source cells, and how much each of them weighs."""

    window: Window
    """Source cells that are needed."""
    box: tuple[int, int]
    """Rows and columns of a box."""
    index: NDArray[np.int32]
    """Flat index of each box's first cell in the window with a border of one box around it, shape of the output."""
    weights: NDArray[np.uint16]
    """Shape (cells of a box, output cells)."""

    def resampled(self, stored: Int16s, quantity: Quantity, how: Blending) -> Int16s:
        """Return stored values of the output."""
        tall, wide = self.box
        padded = np.full((stored.shape[0] + 2 * tall, stored.shape[1] + 2 * wide), quantity.nodata, np.int16)
        padded[tall:-tall, wide:-wide] = clean_values(stored, quantity)
        result = _take(self._single_values(padded).ravel(), self.index)
        mixed = np.flatnonzero(result == _MIXED)
        within = (np.arange(tall)[:, None] * padded.shape[1] + np.arange(wide)).reshape(-1, 1)
        flat, chunk = padded.ravel(), max(_BAND_VALUES // 4 // within.size, 1)
        combine = _highest if how == "max" else _mean
        for start in range(0, mixed.size, chunk):
            cells = mixed[start : start + chunk]
            values = flat[self.index.ravel()[cells] + within]
            result.flat[cells] = combine(values, self.weights[:, cells].astype(np.float64), quantity)
        return result

    def _single_values(self, padded: Int16s) -> Int16s:
        """Return the value of each box that holds one value only, which is the answer whatever the weights."""
        if self.box[0] * self.box[1] > _LARGEST_BOX:
            return np.full(padded.shape, _MIXED)
        low, high = padded.copy(), padded.copy()
        for axis, size in enumerate(self.box):
            first = [slice(None), slice(None)]
            first[axis] = slice(0, padded.shape[axis] - size + 1)
            near_low, near_high = low.copy(), high.copy()
            for shift in range(1, size):
                other = list(first)
                other[axis] = slice(shift, padded.shape[axis] - size + 1 + shift)
                np.minimum(near_low[tuple(first)], low[tuple(other)], out=near_low[tuple(first)])
                np.maximum(near_high[tuple(first)], high[tuple(other)], out=near_high[tuple(first)])
            low, high = near_low, near_high
        low[low != high] = _MIXED
        return low


def _seen(values: Int16s, weights: Floats, quantity: Quantity) -> tuple[Floats, NDArray[np.bool_]]:
    """Return the observed weight of each box, and whether it is at least half of all; boxes lie along axis 1."""
    observed = (weights * (values != quantity.nodata)).sum(axis=0)
    return observed, (observed > 0) & (2 * observed >= weights.sum(axis=0))


def _highest(values: Int16s, weights: Floats, quantity: Quantity) -> Int16s:
    _observed, enough = _seen(values, weights, quantity)
    says = (weights > 0) & (values != quantity.nodata)
    highest: Int16s = np.where(says, values, np.int16(quantity.undetect)).max(axis=0)
    highest[~enough] = quantity.nodata
    return highest


def _mean(values: Int16s, weights: Floats, quantity: Quantity) -> Int16s:
    observed, enough = _seen(values, weights, quantity)
    echo = ((values >= quantity.echo_from) & (weights > 0)).any(axis=0)
    linear = (weights * _linear(quantity)[values.view(np.uint16)]).sum(axis=0)
    mean = np.divide(linear, observed, out=np.zeros_like(linear), where=enough)
    if quantity.name == "reflectivity":
        with np.errstate(divide="ignore"):
            mean = 10 * np.log10(mean)
    stored = np.floor(mean * quantity.scale + quantity.minus + 0.5)
    stored[~(echo & (stored >= quantity.echo_from))] = quantity.undetect
    stored[~enough] = quantity.nodata
    packed: Int16s = stored.astype(np.int16)
    return packed


@lru_cache(maxsize=8)
def _linear(quantity: Quantity) -> Floats:
    """Return what adds up, of each int16 by its bits: Z [mm^6 m^-3] or rain, 0 where there is no echo."""
    stored = np.arange(1 << 16).astype(np.uint16).view(np.int16)
    physical = (stored.astype(np.float64) - quantity.minus) / quantity.scale
    linear = 10 ** (physical / 10) if quantity.name == "reflectivity" else physical
    linear[stored < quantity.echo_from] = 0
    return linear


def boxes_for(places: Places, grid: Grid, shape: tuple[int, int], how: Blending, spare: Window) -> Boxes:
    """Return boxes and weights for a way of resampling.

    Bilinear weights are those of the four cells whose centres surround an output cell's centre. For average and max
    they are the shares of the output cell that fall on each source cell. `spare` is the window to take where no source
    cell is needed.

    Raises:
        OptionsError: Too many weights: output cells are many, and some are much larger than others.
    """
    box = (2, 2) if how == "bilinear" else _box(places, grid, shape)
    if shape[0] * shape[1] * box[0] * box[1] > _MOST_WEIGHTS:
        raise OptionsError(
            f"{shape[1]} x {shape[0]} cells, made of up to {box[1]} x {box[0]} cells of {grid.name} each, are too many "
            f"for {how}: take a larger resolution, a smaller area, or nearest"
        )
    index = np.empty(shape, np.int32)
    weights = np.empty((box[0] * box[1], *shape), np.uint16)
    tops, lefts = np.empty(shape, np.int32), np.empty(shape, np.int32)
    band_rows = max(_BAND_VALUES // 4 // (shape[1] * box[0] * box[1]), 1)
    window: Window | None = None
    for start in range(0, shape[0], band_rows):
        stop = min(start + band_rows, shape[0])
        top, left, found = (_around if how == "bilinear" else _shares)(places, start, stop, box)
        # What lies outside, or nowhere, gets a box in the border.
        nowhere = ~(np.isfinite(top) & np.isfinite(left))
        top[nowhere], left[nowhere], found[:, nowhere] = -box[0], -box[1], 0
        np.clip(top, -box[0], grid.height, out=top)
        np.clip(left, -box[1], grid.width, out=left)
        tops[start:stop], lefts[start:stop] = top, left
        found *= _WHOLE
        weights[:, start:stop] = np.rint(found, out=found)
        touches = (top > -box[0]) & (top < grid.height) & (left > -box[1]) & (left < grid.width)
        for extra_row, extra_col in ((0, 0), (box[0] - 1, box[1] - 1)):
            row = (top[touches] + extra_row).clip(0, grid.height - 1).astype(np.int32)
            col = (left[touches] + extra_col).clip(0, grid.width - 1).astype(np.int32)
            window = _union(window, row, col)
    window = window or spare
    np.clip(tops - np.int32(window.row_off - box[0]), 0, window.height + box[0], out=tops)
    np.clip(lefts - np.int32(window.col_off - box[1]), 0, window.width + box[1], out=lefts)
    np.multiply(tops, window.width + 2 * box[1], out=index)
    index += lefts
    return Boxes(window, box, index, weights.reshape(len(weights), -1))


def _around(places: Places, start: int, stop: int, box: tuple[int, int]) -> tuple[Floats, Floats, Floats]:
    """Return first rows, first columns and weights of the four cells around each centre."""
    del box  # always two by two
    cols, rows = places.band(start, stop)
    top, left = np.floor(rows - 0.5 + _SNAP), np.floor(cols - 0.5 + _SNAP)
    down, right = (rows - 0.5 - top).clip(0, 1), (cols - 0.5 - left).clip(0, 1)
    weights = np.stack([(1 - down) * (1 - right), (1 - down) * right, down * (1 - right), down * right])
    return top, left, weights


def _sides(cols: Floats, rows: Floats) -> tuple[Floats, Floats, Floats, Floats]:
    """Return how far source columns and rows go along one output cell, eastward and southward.

    Columns and rows are those of centres, with a halo of one cell.
    """
    east_col, east_row = ((axis[1:-1, 2:] - axis[1:-1, :-2]) / 2 for axis in (cols, rows))
    south_col, south_row = ((axis[2:, 1:-1] - axis[:-2, 1:-1]) / 2 for axis in (cols, rows))
    return east_col, east_row, south_col, south_row


def _box(places: Places, grid: Grid, shape: tuple[int, int]) -> tuple[int, int]:
    """Return the rows and columns of source cells that the largest output cell of those on the grid can touch."""
    tall = wide = 0.0
    band_rows = max(_BAND_VALUES // 4 // shape[1], 1)
    for start in range(0, shape[0], band_rows):
        cols, rows = places.band(start, min(start + band_rows, shape[0]), halo=1)
        east_col, east_row, south_col, south_row = (np.abs(side) for side in _sides(cols, rows))
        for_rows, for_cols = east_row + south_row, east_col + south_col
        # Cells off the grid do not count: near the rim of a globe they grow beyond measure. NaN is off the grid.
        on_grid = np.abs(rows[1:-1, 1:-1] - grid.height / 2) < (for_rows + grid.height) / 2
        on_grid &= np.abs(cols[1:-1, 1:-1] - grid.width / 2) < (for_cols + grid.width) / 2
        tall = max(tall, float(for_rows.max(where=on_grid, initial=0)))
        wide = max(wide, float(for_cols.max(where=on_grid, initial=0)))
    # An interval touches at most one cell more than its length rounded up.
    return math.ceil(tall - _SNAP) + 1, math.ceil(wide - _SNAP) + 1


def _shares(places: Places, start: int, stop: int, box: tuple[int, int]) -> tuple[Floats, Floats, Floats]:
    """Return first rows, first columns and shares of the source cells below each output cell.

    An output cell is a parallelogram among source cells, turned by a few degrees. It is cut into parts, each is set
    upright with its area kept, and its overlap with source cells is exact. The share of a source cell is so good to
    0.7 % of the output cell up to 20 degrees, and to 2 % at 45; the error changes its sign from cell to cell, and the
    shares add up. Where output cells are the larger ones, shares are of the source cell.
    """
    cols, rows = places.band(start, stop, halo=1)
    east_col, east_row, south_col, south_row = _sides(cols, rows)
    cols, rows = cols[1:-1, 1:-1], rows[1:-1, 1:-1]
    area = np.abs(east_col * south_row - east_row * south_col)
    wide, tall = np.abs(east_col) + np.abs(south_col), np.abs(east_row) + np.abs(south_row)
    left, top = np.floor(cols - wide / 2 + _SNAP), np.floor(rows - tall / 2 + _SNAP)
    parts = min(max(math.ceil(_TURN_PARTS * places.turn - _SNAP), 1), _MOST_PARTS)
    with np.errstate(invalid="ignore", divide="ignore"):
        half_wide, half_tall = np.sqrt(area * wide / tall) / parts / 2, np.sqrt(area * tall / wide) / parts / 2
    shares = np.zeros((*box, *cols.shape))
    steps = (np.arange(parts) + 0.5) / parts - 0.5
    for south in steps:
        for east in steps:
            col = cols - left + east * east_col + south * south_col
            row = rows - top + east * east_row + south * south_row
            across = _overlap(col - half_wide, col + half_wide, box[1])
            along = _overlap(row - half_tall, row + half_tall, box[0])
            shares += along[:, None] * across
    with np.errstate(invalid="ignore", divide="ignore"):
        shares /= np.minimum(area, 1)
    return top, left, shares.reshape(-1, *cols.shape)


def _overlap(low: Floats, high: Floats, count: int) -> Floats:
    """Return the length of the intervals within each of the cells 0 .. count - 1, on a new first axis."""
    borders = np.arange(count + 1.0)[:, None, None]
    return np.diff(np.minimum(high, borders) - np.minimum(low, borders), axis=0)
