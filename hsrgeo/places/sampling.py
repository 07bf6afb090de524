"""Frames -> a row of numbers for every place, by weights that were computed once."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hsrgeo.model.quantity import Quantity
from hsrgeo.places.weights import Weights

Floats = NDArray[np.float64]

MEAN, MAX, WET, COVERAGE = range(4)
"""Columns of what `Sampler.sample` returns."""


class Sampler:
    """Takes the cells of all places out of a frame at once, and sums them up place by place.

    Only echo and what was not observed are looked at closely: most cells of most frames are neither. A frame on its
    own and one of many give the same numbers to the last digit.

    Args:
        weights: The places, on the grid of the frames.
        width: Columns of that grid.
    """

    def __init__(self, weights: Weights, width: int) -> None:
        rows, cols = np.divmod(weights.cells, width)
        self._window = _span(rows), _span(cols)
        rows -= self._window[0].start  # in place, for there can be thirty million
        rows *= self._window[1].stop - self._window[1].start
        rows += cols
        rows -= self._window[1].start
        self._local = rows.astype(np.intp, copy=False)
        self._weights = weights
        self._places = len(weights)
        self._tiled = _tiled(weights, 1)

    def sample(self, stored: NDArray[np.int16], quantity: Quantity, table: Floats, wet_from: float) -> Floats:
        """Return the mean, the maximum, the wet share and the coverage of each place.

        Args:
            stored: Of the whole grid, shape (rows, columns), row 0 is the north row; only the window that holds all
                places is touched.
            quantity: Tells echo, undetect and nodata apart.
            table: Value of each stored value by its bits; where not echo that of undetect counts, see `rate_table`.
            wet_from: What counts as wet, in the unit of the table.

        Returns:
            float64, shape (places, 4), columns as `MEAN`, `MAX`, `WET`, `COVERAGE` number them. Mean and wet share
            are those of the observed part, weighted by area; all three are NaN where nothing was observed.
        """
        codes = np.ascontiguousarray(stored[self._window]).reshape(-1).take(self._local)
        numbers: Floats = self.sample_cells(codes[np.newaxis], quantity, table, wet_from)[0]
        return numbers

    def sample_cells(self, codes: NDArray[np.int16], quantity: Quantity, table: Floats, wet_from: float) -> Floats:
        """Return what `sample` does, for many times at once.

        `codes` are the stored values of the cells of the weights, in their order, shape (times, cells).

        Returns:
            float64, shape (times, places, 4).
        """
        times = len(codes)
        most = max(_CELLS_AT_ONCE // max(codes.shape[1], 1), 1)
        if times <= most:
            return self._sampled(codes, quantity, table, wet_from)
        parts = [self._sampled(codes[at : at + most], quantity, table, wet_from) for at in range(0, times, most)]
        return np.concatenate(parts)

    def _sampled(self, codes: NDArray[np.int16], quantity: Quantity, table: Floats, wet_from: float) -> Floats:
        times = len(codes)
        tiled = self._tiled
        if tiled.times != times:
            self._tiled = tiled = _tiled(self._weights, times)  # another thread may put its own there
        codes = codes.reshape(-1)
        echo = np.flatnonzero(codes >= quantity.echo_from)
        is_seen = codes >= quantity.undetect
        seen = tiled.whole if is_seen.all() else tiled.sums(np.where(is_seen, tiled.shares, 0.0))
        some = seen > 0
        result = np.full((times * self._places, 4), np.nan)
        result[:, COVERAGE] = np.minimum(seen / tiled.totals, 1)
        nothing_there = table[quantity.undetect & 0xFFFF]  # 0 mm/h, or minus infinity dBZ
        result[some, MEAN] = result[some, MAX] = nothing_there
        result[some, WET] = 0
        if echo.size:
            values, shares = table.take(codes[echo].view(np.uint16)), tiled.shares[echo]
            spans = np.searchsorted(echo, tiled.starts)  # where each place begins among the echo
            wet = np.flatnonzero(np.diff(spans) > 0)  # places with any echo
            begins = spans[:-1][wet]
            result[wet, MEAN] = np.add.reduceat(shares * values, begins) / seen[wet]
            result[wet, MAX] = np.maximum.reduceat(values, begins)
            result[wet, WET] = np.minimum(np.add.reduceat(shares * (values >= wet_from), begins) / seen[wet], 1)
        return result.reshape(times, self._places, 4)


_CELLS_AT_ONCE = 1 << 19
# ^ of all times together: the arrays that are made of them in between mostly fit into a processor's cache


@dataclass(frozen=True, eq=False)
class _Tiled:
    """Weights repeated for each of several times: these are computed as one time with as many times more places."""

    times: int
    shares: Floats
    starts: NDArray[np.int64]
    totals: Floats
    whole: Floats
    """Sums of the shares of each place."""
    filled: NDArray[np.bool_]
    """Places with any cell: `reduceat` knows no empty span."""

    def sums(self, terms: Floats) -> Floats:
        return _sums(terms, self.starts, self.filled)


def _tiled(weights: Weights, times: int) -> _Tiled:
    shares = np.tile(weights.shares, times) if times > 1 else weights.shares
    begins = (weights.starts[:-1] + len(weights.cells) * np.arange(times)[:, np.newaxis]).reshape(-1)
    starts = np.append(begins, len(shares))
    filled = np.diff(starts) > 0
    return _Tiled(times, shares, starts, np.tile(weights.totals, times), _sums(shares, starts, filled), filled)


def _sums(terms: Floats, starts: NDArray[np.int64], filled: NDArray[np.bool_]) -> Floats:
    result = np.zeros(len(filled))
    if terms.size:
        result[filled] = np.add.reduceat(terms, starts[:-1][filled])
    return result


def _span(indices: NDArray[np.int64]) -> slice:
    return slice(int(indices.min()), int(indices.max()) + 1) if indices.size else slice(0, 0)
