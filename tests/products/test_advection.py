"""Rain that moves between frames, against a storm whose sum is known; with pysteps, where that is installed."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

pytest.importorskip("pysteps")
pytest.importorskip("cv2")

from hsrgeo.products import advection
from hsrgeo.products.advection import motion, moving_rate

pytestmark = pytest.mark.filterwarnings("default")  # importing pysteps warns

ROWS, COLS = 120, 240
SPEED = 10
"""Cells from frame to frame, to the right."""
SIGMA = 6.0


def storm(step: float) -> NDArray[np.float32]:
    """Return rates [mm/h] of a storm, and of a smaller one beside it, at a time in steps."""
    row, col = np.indices((ROWS, COLS))
    rates = np.zeros((ROWS, COLS))
    for peak, top, left, sigma in ((60.0, 50, 40, SIGMA), (20.0, 85, 60, 4.0)):
        rates += peak * np.exp(-((col - left - SPEED * step) ** 2 + (row - top) ** 2) / (2 * sigma**2))
    return rates.astype(np.float32)


def truth(first: float, last: float) -> NDArray[np.float64]:
    """Return the mean rate between two times, exactly: the integral of a Gaussian is the error function."""
    row, col = np.indices((ROWS, COLS))
    error = np.vectorize(math.erf)
    mean = np.zeros((ROWS, COLS))
    for peak, top, left, sigma in ((60.0, 50, 40, SIGMA), (20.0, 85, 60, 4.0)):
        ends = [error((SPEED * step + left - col[0]) / (sigma * math.sqrt(2))) for step in (first, last)]
        along = sigma * math.sqrt(math.pi / 2) * (ends[1] - ends[0]) / (SPEED * (last - first))
        mean += peak * np.exp(-((row - top) ** 2) / (2 * sigma**2)) * along
    return mean


def rmse(made: NDArray[Any], expected: NDArray[np.float64]) -> float:
    return float(np.sqrt(np.nanmean((made - expected) ** 2)))


def test_the_error_of_a_storm_of_ten_cells_a_step_falls_by_half_or_more() -> None:
    frames = [storm(step) for step in range(13)]
    plain = np.mean(frames[:12], axis=0)
    moved = np.mean([moving_rate(a, b) for a, b in pairwise(frames)], axis=0)
    expected = truth(0, 12)
    assert rmse(moved, expected) < 0.1 * rmse(plain, expected)
    assert moved.sum() == pytest.approx(expected.sum(), rel=0.01)


def test_motion_is_that_of_the_storm(monkeypatch: pytest.MonkeyPatch) -> None:
    for side in (advection._MOST_SIDE, 100):  # on a coarser grid too
        monkeypatch.setattr(advection, "_MOST_SIDE", side)
        right, down = motion(storm(0), storm(1))
        assert right.shape == (ROWS, COLS)
        assert right[50, 45] == pytest.approx(SPEED, abs=0.5)
        assert down[50, 45] == pytest.approx(0, abs=0.5)


def test_what_was_not_observed_stays_so_and_makes_no_rain_weaker() -> None:
    before, after = storm(0), storm(1)
    whole = moving_rate(before, after)
    before[40:60, 30:36] = after[:, 100:] = np.nan
    made = moving_rate(before, after)
    assert np.isnan(made[40:60, 30:36]).all()
    assert np.isnan(made).sum() == 120
    known = ~np.isnan(made)
    # Where one of the frames lacks a cell the other one alone counts: still rain of about the same rate.
    assert np.abs(made[known] - whole[known]).max() < 10
    assert made[50, 45] == pytest.approx(whole[50, 45], rel=0.1)


def test_dry_frames_and_still_rain_stay_as_they_are() -> None:
    dry = np.zeros((ROWS, COLS), np.float32)
    dry[0, 0] = np.nan
    np.testing.assert_array_equal(moving_rate(dry, storm(0)), dry)
    np.testing.assert_array_equal(moving_rate(storm(0), dry), storm(0))
    still = storm(0)
    assert np.abs(moving_rate(still, still) - still).max() < 0.05
