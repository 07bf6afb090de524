"""One frame -> one row of numbers for every place, by weights that were computed once."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hsrgeo.cube.weights import Weights
from hsrgeo.model.quantity import Quantity

Floats = NDArray[np.float64]

MEAN, MAX, WET, COVERAGE = range(4)
"""Columns of what `Sampler.sample` returns."""


class Sampler:
    """Takes the cells of all places out of a frame at once, and sums them up place by place.

    Only echo and what was not observed are looked at closely: most cells of most frames are neither.

    Args:
        weights: The places, on the grid of the frames.
        width: Columns of that grid.
    """

    def __init__(self, weights: Weights, width: int) -> None:
        rows, cols = np.divmod(weights.cells, width)
        self._window = _span(rows), _span(cols)
        across = self._window[1].stop - self._window[1].start
        self._local = ((rows - self._window[0].start) * across + cols - self._window[1].start).astype(np.intp)
        self._weights = weights
        self._filled = np.diff(weights.starts) > 0  # `reduceat` knows no empty span
        self._whole = self._sums(weights.shares)

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
        echo = np.flatnonzero(codes >= quantity.echo_from)
        is_seen = codes >= quantity.undetect
        seen = self._whole if is_seen.all() else self._sums(np.where(is_seen, self._weights.shares, 0.0))
        some = seen > 0
        result = np.full((len(self._weights), 4), np.nan)
        result[:, COVERAGE] = np.minimum(seen / self._weights.totals, 1)
        nothing_there = table[quantity.undetect & 0xFFFF]  # 0 mm/h, or minus infinity dBZ
        result[some, MEAN] = result[some, MAX] = nothing_there
        result[some, WET] = 0
        if not echo.size:
            return result
        values, shares = table.take(codes[echo].view(np.uint16)), self._weights.shares[echo]
        spans = np.searchsorted(echo, self._weights.starts)  # where each place begins among the echo
        wet = np.flatnonzero(np.diff(spans) > 0)  # places with any echo
        begins = spans[:-1][wet]
        result[wet, MEAN] = np.add.reduceat(shares * values, begins) / seen[wet]
        result[wet, MAX] = np.maximum.reduceat(values, begins)
        result[wet, WET] = np.minimum(np.add.reduceat(shares * (values >= wet_from), begins) / seen[wet], 1)
        return result

    def _sums(self, terms: Floats) -> Floats:
        result = np.zeros(len(self._weights))
        if terms.size:
            result[self._filled] = np.add.reduceat(terms, self._weights.starts[:-1][self._filled])
        return result


def _span(indices: NDArray[np.int64]) -> slice:
    return slice(int(indices.min()), int(indices.max()) + 1) if indices.size else slice(0, 0)
