"""Weak echo, specks and smoothing, each worked by hand; and a part is what the whole would have there."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from numpy.typing import NDArray

from hsrgeo.errors import FrameError, OptionsError
from hsrgeo.formats.composite import decode
from hsrgeo.model.frame import Frame
from hsrgeo.model.quantity import QUANTITIES, RAIN, Quantity
from hsrgeo.model.window import Window
from hsrgeo.products.cleaning import Cleaning, cleaning_from_json, cleaning_of
from tests.conftest import MakeFile, frame_name

UN, NO = -25000, -30000  # undetect, nodata
WHOLE: list[Frame] = []


def frame_of(stored: NDArray[np.int16] | list[list[int]], quantity: Quantity = QUANTITIES[1]) -> Frame:
    if not WHOLE:
        WHOLE.append(decode(MakeFile()(np.full((1441, 1153), UN, np.int16)), frame_name()))
    values = np.array(stored, np.int16)
    rows, cols = values.shape
    return replace(WHOLE[0].crop(window=(400, 600, cols, rows)), stored=values, quantity=quantity)


def tags_of(frame: Frame) -> dict[str, str]:
    return dict(frame.derived)


def test_echo_below_the_least_is_no_echo() -> None:
    made = Cleaning(min_dbz=5).of(frame_of([[499, 500, 3000, UN], [-9000, NO, -22000, -28000]]))
    assert made.stored.tolist() == [[UN, 500, 3000, UN], [UN, NO, -22000, -28000]]  # blends stay what they are
    assert tags_of(made) == {"MIN_DBZ": "5", "COUNT_BELOW_MIN_DBZ": "2"}


def test_groups_of_few_cells_are_specks_and_corners_join() -> None:
    stored = np.full((5, 7), UN, np.int16)
    stored[0, 0] = stored[1, 1] = stored[2, 2] = 2000  # three, by corners
    stored[0, 5] = stored[0, 6] = 4000  # two
    stored[4, 6] = 100  # one
    stored[3, 5] = NO
    made = Cleaning(despeckle=3).of(frame_of(stored))
    assert np.argwhere(made.stored > 0).tolist() == [[0, 0], [1, 1], [2, 2]]
    assert made.stored[3, 5] == NO
    assert tags_of(made) == {"DESPECKLE_CELLS": "3", "COUNT_SPECKS": "3"}
    assert np.count_nonzero(Cleaning(despeckle=4).of(frame_of(stored)).stored > 0) == 0


def test_a_mean_is_of_linear_units_over_observed_cells() -> None:
    """With sigma 0.5 neighbours weigh exp(-2) = 0.1353, and those two cells away exp(-8)."""
    one, two = math.exp(-2), math.exp(-8)
    made = Cleaning(smooth=0.5).of(frame_of([[NO, 3000, 2000, UN, UN, UN, UN]]))
    z = (1000 + 100 * one) / (1 + one + two)  # 30 and 20 dBZ are 1000 and 100; what lies beyond the edge weighs nothing
    assert made.stored[0, 1] == round(1000 * math.log10(z))
    z = (1000 * one + 100) / (1 + 2 * one + two)
    assert made.stored[0, 2] == round(1000 * math.log10(z))
    assert made.stored[0, 0] == NO
    assert made.stored[0, 5] == made.stored[0, 6] == UN  # beyond the reach of four standard deviations
    assert tags_of(made) == {"SMOOTH_CELLS": "0.5", "COUNT_SMOOTHED": "4"}
    least = Cleaning(min_dbz=10, smooth=0.5).of(frame_of([[NO, 3000, 2000, UN, UN, UN, UN]]))
    assert np.array_equal(least.stored, np.where(made.stored >= 1000, made.stored, [[NO] + [UN] * 6]))


def test_rain_is_smoothed_in_mm_h() -> None:
    one = math.exp(-2)
    made = Cleaning(smooth=0.5).of(frame_of([[0, 0, 0, 1000, 0, 0, 0]], RAIN))
    whole = 1 + 2 * one + 2 * math.exp(-8)
    assert made.stored.tolist()[0][2:5] == [round(1000 * one / whole), round(1000 / whole), round(1000 * one / whole)]


def test_a_constant_field_stays_as_it_is() -> None:
    stored = np.full((12, 9), 2500, np.int16)
    stored[3:6, 2:5] = NO
    made = Cleaning(smooth=2).of(frame_of(stored))
    assert np.array_equal(made.stored, stored)
    assert tags_of(made)["COUNT_SMOOTHED"] == "0"


CODES = st.sampled_from([NO, UN, UN, UN, UN, 500, 1500, 3000, 4500])


@given(
    arrays.arrays(np.int16, (14, 17), elements=CODES),
    st.sampled_from([None, 10.0]),
    st.sampled_from([0, *range(2, 7)]),
    st.sampled_from([0.0, 0.4, 1.0]),
    st.tuples(st.integers(0, 12), st.integers(0, 9), st.integers(1, 5), st.integers(1, 5)),
)
def test_a_part_is_what_the_whole_has_there(
    stored: NDArray[np.int16], least: float | None, group: int, sigma: float, area: tuple[int, int, int, int]
) -> None:
    cleaning, window = Cleaning(least, group, sigma), Window(*area)
    frame = frame_of(stored)
    whole, part = cleaning.of(frame), cleaning.of(frame, window)
    assert np.array_equal(part.stored, whole.stored[window.slices])
    assert part.window == window.within(frame.window)
    assert np.array_equal(stored == NO, whole.stored == NO)  # never observed, never made up
    assert frame.stored is not whole.stored


def test_what_cannot_be_cleaned_says_so() -> None:
    with pytest.raises(FrameError, match=r"expected reflectivity or rain rate.*height"):
        Cleaning(smooth=1).of(frame_of([[100]], QUANTITIES[2]))
    with pytest.raises(FrameError, match=r"expected reflectivity.*rain_rate"):
        Cleaning(min_dbz=5).of(frame_of([[100]], RAIN))


@pytest.mark.parametrize(
    ("numbers", "message"),
    [
        ((math.nan, 0, 0.0), "min_dbz nan"),
        ((None, -1, 0.0), "despeckle -1"),
        ((None, 1, 0.0), "despeckle 1: expected 2 to 10,000 cells"),
        ((None, 2.5, 0.0), "whole number"),
        ((None, 0, -1.0), "smooth -1"),
        ((None, 0, math.inf), "smooth inf"),
    ],
)
def test_numbers_that_cannot_be(numbers: Any, message: str) -> None:
    with pytest.raises(OptionsError, match=message):
        Cleaning(*numbers)


def test_what_is_asked_for_is_kept() -> None:
    for cleaning in (Cleaning(5), Cleaning(None, 3), Cleaning(None, 0, 1.5), Cleaning(-2.5, 4, 0.5)):
        assert cleaning_from_json(cleaning.as_json()) == cleaning
    assert cleaning_of(None, 0, 0) is None
