"""Rain depth from rates: each frame stands for one step, and cells that were not observed add neither rain nor time.

Depth [mm] = sum of rate [mm/h] x step [h] over the frames in which the cell was observed. Gaps are not filled; how many
frames there were is summed up beside the depth, cell by cell, so that a gap is never read as dry.

Both sums are whole numbers and share one 64-bit integer: a frame costs one look-up and one addition, and neither the
order of frames nor their split into blocks changes the last digit.
"""

from __future__ import annotations

import errno
import os
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hsrgeo.errors import OptionsError
from hsrgeo.model.quantity import Quantity
from hsrgeo.model.squares import BLOCK_SIDE, block_extremes
from hsrgeo.products.rain import Law
from hsrgeo.products.rates import rate_table

_DEPTH_BITS = 44
DEPTH_MASK = np.uint64((1 << _DEPTH_BITS) - 1)
COUNT_SHIFT = np.uint64(_DEPTH_BITS)
_MOST_FRAMES = (1 << 64 - _DEPTH_BITS) - 1
MOST_RATE = 10_000.0
"""mm/h: a rate above this (86.6 dBZ by KMA's law, no weather) counts as this, so that a sum cannot overflow."""
_FINEST_MM = 1e-6


def depth_unit_mm(frames: int, step_h: float) -> float:
    """Return the depth that one unit of a sum stands for: 1e-6 mm, or as coarse as many frames make it.

    Raises:
        OptionsError: More frames than can be counted, ten years of five-minute steps.
    """
    if frames > _MOST_FRAMES:
        raise OptionsError(f"a period of {frames:,} frames: at most {_MOST_FRAMES:,}")
    unit = _FINEST_MM
    while frames * MOST_RATE * step_h / unit >= 1 << _DEPTH_BITS:
        unit *= 10
    return unit


@lru_cache(maxsize=8)
def sum_table(quantity: Quantity, law: Law, step_h: float, unit_mm: float, factor: float = 1.0) -> NDArray[np.uint64]:
    """Return what each stored value adds to a `RunningSum`, found by its bits; 0 where not observed.

    `step_h` is how long a frame stands for [h], `unit_mm` is the unit of the sum [mm]; for the others see
    `hsrgeo.products.rates.rate_table`.

    Raises:
        FrameError: The quantity is neither reflectivity nor rain rate.
    """
    rates = rate_table(quantity, law, factor)
    seen = ~np.isnan(rates)
    depth = np.rint(np.minimum(np.where(seen, rates, 0), MOST_RATE) * step_h / unit_mm).astype(np.uint64)
    return depth + (seen.astype(np.uint64) << np.uint64(_DEPTH_BITS))


@lru_cache(maxsize=8)
def wet_table(quantity: Quantity, law: Law, from_mm_h: float, factor: float = 1.0) -> NDArray[np.uint64]:
    """Return what each stored value adds to a `RunningSum` of frames with rain: 1 from a rate on, else 0.

    For the arguments see `sum_table`.

    Raises:
        FrameError: The quantity is neither reflectivity nor rain rate.
    """
    rates = rate_table(quantity, law, factor)
    seen = (~np.isnan(rates)).astype(np.uint64)
    return (rates >= from_mm_h).astype(np.uint64) + (seen << np.uint64(_DEPTH_BITS))


class RunningSum:
    """Depth and frames of one period, cell by cell."""

    def __init__(self, shape: tuple[int, int], unit_mm: float) -> None:
        self.unit_mm = unit_mm
        self.used = 0
        """Frames that were added."""
        self._sums = np.zeros(shape, np.uint64)

    @property
    def nbytes(self) -> int:
        """Bytes of memory."""
        return self._sums.nbytes

    @property
    def frames(self) -> NDArray[np.int32]:
        """Frames in which each cell was observed."""
        return (self._sums >> np.uint64(_DEPTH_BITS)).astype(np.int32)

    @property
    def depth_mm(self) -> NDArray[np.float64]:
        """Rain depth of each cell; 0 also where no frame observed it."""
        return (self._sums & DEPTH_MASK).astype(np.float64) * self.unit_mm

    def packed(self, step_mm: float, fewest: int, nodata: int) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
        """Return the depth in whole steps, rounded to the nearest, and the frames of each cell.

        A step is a whole number of this sum's units. In fewer frames than `fewest` a depth is not known; one is always
        needed.
        """
        depth, frames = np.empty(self._sums.shape, np.int32), np.empty(self._sums.shape, np.int32)
        units = round(step_mm / self.unit_mm)
        for top in range(0, len(self._sums), BLOCK_SIDE):  # strip by strip, for the whole is large
            strip = slice(top, top + BLOCK_SIDE)
            sums = self._sums[strip]
            np.right_shift(sums, np.uint64(_DEPTH_BITS), out=frames[strip], casting="unsafe")
            depth[strip] = ((sums & DEPTH_MASK) + np.uint64(units // 2)) // np.uint64(units)
            depth[strip][frames[strip] < max(fewest, 1)] = nodata
        return depth, frames

    def add(self, stored: NDArray[np.int16], table: NDArray[np.uint64]) -> None:
        """Add a frame: values of this sum's shape, by a table as `sum_table` makes it."""
        lows, highs = block_extremes(stored)
        for (row, col), lowest in np.ndenumerate(lows):
            rows = slice(row * BLOCK_SIDE, (row + 1) * BLOCK_SIDE)
            cols = slice(col * BLOCK_SIDE, (col + 1) * BLOCK_SIDE)
            if lowest == highs[row, col]:  # most of a frame is one code from end to end
                if addend := table[int(lowest) & 0xFFFF]:
                    self._combine(self._sums[rows, cols], addend)
            else:
                self._combine(self._sums[rows, cols], table.take(stored[rows, cols].view(np.uint16)))
        self.used += 1

    def add_rates(self, rates: NDArray[np.float32], step_h: float) -> None:
        """Add what fell in a step: mean rates of it [mm/h], of this sum's shape; NaN where not observed."""
        seen = ~np.isnan(rates)
        depth = np.minimum(np.where(seen, rates, 0).astype(np.float64), MOST_RATE) * step_h
        self._sums += np.rint(depth / self.unit_mm).astype(np.uint64) + (seen.astype(np.uint64) << COUNT_SHIFT)
        self.used += 1

    def _combine(self, sums: NDArray[np.uint64], more: NDArray[np.uint64] | np.uint64) -> None:
        sums += more

    def save(self, path: Path) -> None:
        """Put the sums into a file, where memory is short; `restore` takes them back.

        Raises:
            OSError: The disk refused.
        """
        try:
            np.save(path, self._sums)
        except OSError as error:
            if error.errno is not None:
                raise
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)) from error  # numpy only counts what was written
        self._sums = np.empty((0, 0), np.uint64)

    def restore(self, path: Path) -> None:
        """Take back what `save` put away."""
        self._sums = np.load(path)


class RunningMaximum(RunningSum):
    """The highest depth of any one frame, in place of the sum."""

    def _combine(self, sums: NDArray[np.uint64], more: NDArray[np.uint64] | np.uint64) -> None:
        highest = np.maximum(sums & DEPTH_MASK, more & DEPTH_MASK)
        sums += more & ~DEPTH_MASK
        sums &= ~DEPTH_MASK
        sums |= highest
