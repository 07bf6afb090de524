"""How many cells hold each stored value, and what follows from that: shares, quantiles, the maximum."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hsrgeo.model.blocks import BLOCK_SIDE, block_extremes
from hsrgeo.model.quantity import Quantity

_VALUES = 1 << 16


def value_counts(
    stored: NDArray[np.int16], quantity: Quantity, extremes: NDArray[np.int16] | None = None
) -> NDArray[np.int64]:
    """Count the cells of each stored value, as ``np.bincount(stored.view(np.uint16).ravel(), minlength=65536)`` does.

    Most of a frame is one or two codes, which are counted apart: that is several times as fast.

    Args:
        stored: Values of any 2-D shape.
        quantity: Names the two codes.
        extremes: `block_extremes` of these values, where they are known already.

    Returns:
        int64, shape (65536,): cells by the bits of the value.
    """
    lows, highs = block_extremes(stored) if extremes is None else extremes
    common = [0, 0]
    codes = quantity.nodata, quantity.undetect
    rest = [np.empty(0, np.int16)]
    counts = np.zeros(_VALUES, np.int64)
    for (row, col), lowest in np.ndenumerate(lows):
        block = stored[row * BLOCK_SIDE : (row + 1) * BLOCK_SIDE, col * BLOCK_SIDE : (col + 1) * BLOCK_SIDE]
        if lowest == highs[row, col]:
            counts[int(lowest) & 0xFFFF] += block.size
            continue
        is_rest = block != codes[0]
        common[0] += block.size - int(np.count_nonzero(is_rest))
        is_undetect = block == codes[1]
        common[1] += int(np.count_nonzero(is_undetect))
        is_rest &= ~is_undetect
        rest.append(block[is_rest])
    counts += np.bincount(np.concatenate(rest).view(np.uint16), minlength=_VALUES)
    for code, count in zip(codes, common, strict=True):
        counts[code & 0xFFFF] += count
    return counts


@dataclass(frozen=True, eq=False)
class Histogram:
    """Cells of each stored value that occurs, in increasing order of the values."""

    stored: NDArray[np.int16]
    counts: NDArray[np.int64]
    quantity: Quantity

    @classmethod
    def of(cls, counts: NDArray[np.int64], quantity: Quantity) -> Histogram:
        """Return the histogram of counts by bits, see `value_counts`."""
        bits = np.flatnonzero(counts).astype(np.uint16)
        stored = bits.view(np.int16)
        order = np.argsort(stored)
        return cls(stored[order], counts[bits][order], quantity)

    def cells(self, chosen: NDArray[np.bool_] | None = None) -> int:
        """Return how many cells there are, or how many of some values."""
        return int(self.counts.sum() if chosen is None else self.counts[chosen].sum())

    @property
    def is_echo(self) -> NDArray[np.bool_]:
        """Which values are measurements."""
        return self.stored >= self.quantity.echo_from

    @property
    def is_observed(self) -> NDArray[np.bool_]:
        """Which values are measurements, or stand for a cell that was observed and holds nothing."""
        return self.stored >= self.quantity.undetect

    @property
    def is_blend(self) -> NDArray[np.bool_]:
        """Which values are smeared between the codes."""
        return ~self.is_echo & ~np.isin(self.stored, self.quantity.null_codes)

    def quantiles(self, values: NDArray[np.float64], shares: Sequence[float]) -> NDArray[np.float64]:
        """Return the smallest value of echo that is not exceeded in each share of its cells; NaN without echo.

        That is ``np.quantile(echo, shares, method="inverted_cdf")``.

        Args:
            values: Physical value of each of `stored`, not decreasing.
            shares: From 0 to 1.
        """
        echo = self.is_echo
        upto = np.cumsum(self.counts[echo])
        if not len(upto):
            return np.full(len(shares), np.nan)
        wanted = np.maximum(np.ceil(np.round(np.asarray(shares) * upto[-1], 6)), 1)
        found: NDArray[np.float64] = values[echo][np.searchsorted(upto, wanted)]
        return found
