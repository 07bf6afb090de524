"""How many cells hold each stored value, and what follows from that: shares, quantiles, the maximum."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hsrgeo.model.quantity import Quantity

_VALUES = 1 << 16


@dataclass(frozen=True, slots=True, eq=False)
class Counted:
    """What one look at every cell of a picture tells."""

    counts: NDArray[np.int64]
    """Cells of each stored value by its bits, shape (65536,)."""
    highest: int | None
    """Row-major index of the first cell, from the north-west, that has the highest echo; None where there is none."""


def count_values(stored: NDArray[np.int16], quantity: Quantity) -> Counted:
    """Count the cells of each stored value, as ``np.bincount(stored.view(np.uint16).ravel(), minlength=65536)`` does.

    Most of a frame is one or two codes. Four cells are compared with each at a time, and only the others are counted
    one by one: that is ten times as fast.
    """
    height, width = stored.shape
    upside_down = stored.strides[0] < 0  # as a frame lies in its file
    flat = np.ascontiguousarray(stored[::-1] if upside_down else stored).reshape(-1)
    whole = flat.size // _IN_A_WORD * _IN_A_WORD
    words = flat[:whole].view(np.uint64)
    codes = [code & 0xFFFF for code in (quantity.undetect, quantity.nodata)]
    patterns = [np.uint64(code * _EVERY) for code in codes]
    counts = np.zeros(_VALUES, np.int64)
    kept: list[tuple[int, NDArray[np.int16]]] = []
    for start in range(0, words.size, _CHUNK_WORDS):
        chunk = words[start : start + _CHUNK_WORDS]
        other = chunk != patterns[0]
        common = chunk.size - int(np.count_nonzero(other))
        counts[codes[0]] += _IN_A_WORD * common
        other &= chunk != patterns[1]
        count = int(np.count_nonzero(other))
        counts[codes[1]] += _IN_A_WORD * (chunk.size - common - count)
        if count:
            kept.append((start * _IN_A_WORD, chunk[other].view(np.int16)))
    kept.append((whole, flat[whole:]))
    counts += np.bincount(np.concatenate([part for _start, part in kept]).view(np.uint16), minlength=_VALUES)
    tops = [int(part.max(initial=quantity.nodata)) for _start, part in kept]
    highest = max(tops)
    if highest < quantity.echo_from:
        return Counted(counts, None)
    starts = [start for (start, _part), top in zip(kept, tops, strict=True) if top == highest]
    size = _CHUNK_WORDS * _IN_A_WORD
    places = np.concatenate([start + np.flatnonzero(flat[start : start + size] == highest) for start in starts])
    if upside_down:
        rows, cols = np.divmod(places, width)
        places = (height - 1 - rows) * width + cols
    return Counted(counts, int(places.min()))


_IN_A_WORD = 4
_EVERY = 0x0001_0001_0001_0001
_CHUNK_WORDS = 1 << 15  # 256 kB, which stay in a core's cache for the second comparison


@dataclass(frozen=True, eq=False)
class Histogram:
    """Cells of each stored value that occurs, in increasing order of the values."""

    stored: NDArray[np.int16]
    counts: NDArray[np.int64]
    quantity: Quantity

    @classmethod
    def of(cls, counts: NDArray[np.int64], quantity: Quantity) -> Histogram:
        """Return the histogram of counts by bits, see `count_values`."""
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
