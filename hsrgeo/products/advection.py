"""Rain between two frames: it moves from one to the next, where a plain sum lets it stand still and jump.

A storm of 60 km/h moves ten cells of 500 m in five minutes; a sum of its frames is a row of blobs, not a track. Here
the motion between two frames is found by pysteps (Lucas-Kanade, as in its own example of advection correction;
Anagnostou and Krajewski, 1999, Journal of Atmospheric and Oceanic Technology 16, 189-197), and the rate in between is
both frames, each moved to that time, with weights by how near it is.
"""

from __future__ import annotations

import contextlib
import io
import math
import warnings
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hsrgeo.errors import needs

Singles = NDArray[np.float32]

EXTRA = "pysteps"
_WET_MM_H = 0.1
"""Rates below this have no part in the motion."""
_DRY_DB = -15.0
"""What stands for them, in dB of the rate; pysteps' own examples have it."""
_MOST_SIDE = 800
"""Cells of a side that motion is sought on; larger areas are made coarser first, for motion is smooth."""
FASTEST_KM_H = 150
"""Of rain; storms of 100 km/h are known."""
_MOST_STEPS = 30
"""Of the time between two frames: the fastest rain moves 25 cells in five minutes."""


def motion_library() -> tuple[Any, Any]:
    """Return how pysteps finds motion, and OpenCV, which moves arrays.

    Raises:
        MissingExtraError: One of them is not installed.
    """
    quiet = contextlib.redirect_stdout(io.StringIO())  # pysteps says where its configuration is
    with needs("pysteps and opencv-python-headless, for --advection", EXTRA), quiet:
        import cv2  # noqa: PLC0415 - an optional extra
        from pysteps.motion.lucaskanade import dense_lucaskanade  # noqa: PLC0415
    return dense_lucaskanade, cv2


def motion(before: Singles, after: Singles) -> Singles:
    """Return how far rain moves from one frame to the next, shape (2, rows, columns): cells to the right, and down.

    Args:
        before: Rates [mm/h], shape (rows, columns), NaN where not observed.
        after: Of the next frame, likewise.
    """
    lucas_kanade, cv2 = motion_library()
    rows, cols = before.shape
    coarse = math.ceil(max(rows, cols) / _MOST_SIDE)
    both = np.stack([_decibels(_coarser(rates, coarse)) for rates in (before, after)])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of few points to follow, where the motion is one number
        found = np.asarray(lucas_kanade(np.ma.masked_invalid(both), verbose=False), np.float32) * np.float32(coarse)
    if coarse == 1:
        return found
    return np.stack([cv2.resize(part, (cols, rows), interpolation=cv2.INTER_LINEAR) for part in found])


def moving_rate(before: Singles, after: Singles) -> Singles:
    """Return the mean rate [mm/h] from one frame to the next, with the rain moving.

    It is known where the first frame was observed. Where the moving rain comes from, or goes to, a cell that was not
    observed, the other frame alone counts; where both are such cells, the rate of the first frame in its place.

    Args:
        before: Rates [mm/h], shape (rows, columns), NaN where not observed.
        after: Of the next frame, likewise.
    """
    if not ((before >= _WET_MM_H).any() and (after >= _WET_MM_H).any()):
        return before
    right, down = motion(before, after)
    steps = min(max(math.ceil(float(np.hypot(right, down).max())), 1), _MOST_STEPS)
    row, col = np.indices(before.shape, np.float32)
    total = np.zeros_like(before)
    first, last = _Moving(before), _Moving(after)
    for step in range(steps):
        share = (step + 0.5) / steps
        rates, weights = np.zeros((2, *before.shape), np.float32)
        for moving, back, weight in ((first, share, 1 - share), (last, share - 1, share)):
            there, observed = moving.at(col - back * right, row - back * down)
            rates += weight * there
            weights += weight * observed
        total += np.where(weights > 0, rates / np.where(weights > 0, weights, 1), before)
    return np.where(np.isnan(before), np.float32(np.nan), total / steps)


class _Moving:
    """A frame whose rates are interpolated between the centres of its cells."""

    def __init__(self, rates: Singles) -> None:
        observed = ~np.isnan(rates)
        self._rates, self._observed = np.where(observed, rates, 0).astype(np.float32), observed.astype(np.float32)

    def at(self, cols: Singles, rows: Singles) -> tuple[Singles, Singles]:
        """Return rates times the share of a place that was observed, and that share; outside nothing was."""
        _flow, cv2 = motion_library()
        kept = {"interpolation": cv2.INTER_LINEAR, "borderMode": cv2.BORDER_CONSTANT, "borderValue": 0}
        return cv2.remap(self._rates, cols, rows, **kept), cv2.remap(self._observed, cols, rows, **kept)


def _decibels(rates: Singles) -> Singles:
    """Return rates in dB, NaN where not observed."""
    wet = rates >= _WET_MM_H
    decibels = np.where(wet, 10 * np.log10(np.where(wet, rates, 1)), _DRY_DB)
    return np.where(np.isnan(rates), np.nan, decibels).astype(np.float32)


def _coarser(rates: Singles, side: int) -> Singles:
    """Return the mean of blocks of so many cells a side, of those observed; blocks at the end may be smaller."""
    if side == 1:
        return rates
    starts = [np.arange(0, count, side) for count in rates.shape]

    def added(values: NDArray[Any]) -> Any:  # noqa: ANN401 - of the values' type
        return np.add.reduceat(np.add.reduceat(values, starts[0], axis=0), starts[1], axis=1)

    observed = ~np.isnan(rates)
    count = added(observed.astype(np.int32))
    total = added(np.where(observed, rates, 0))
    made: Singles = np.full(count.shape, np.nan, np.float32)
    np.divide(total, count, out=made, where=count > 0, casting="unsafe")
    return made
