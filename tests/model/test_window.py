from __future__ import annotations

import dataclasses
import math
import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hsrgeo.errors import OptionsError, WindowError
from hsrgeo.model.window import BBox, Center, Window

OFFSETS = st.integers(0, 40)
SIZES = st.integers(1, 20)
WINDOWS = st.builds(Window, OFFSETS, OFFSETS, SIZES, SIZES)
NUMBERED = np.arange(100 * 100).reshape(100, 100)
"""100 x 100 cells, each with its own number: offsets of two windows plus a size stay inside (40 + 40 + 20)."""


@given(WINDOWS)
def test_slices_take_rows_first(window: Window) -> None:
    cut = NUMBERED[window.slices]
    assert cut.shape == (window.height, window.width)
    # cell (row, col) holds 100 row + col
    assert cut[0, 0] == 100 * window.row_off + window.col_off
    assert cut[-1, -1] == 100 * (window.row_off + window.height - 1) + window.col_off + window.width - 1


@given(WINDOWS, WINDOWS)
def test_within_says_where_a_window_of_a_window_lies(outer: Window, inner: Window) -> None:
    # a cut of the cut that begins at the outer window's corner is one cut at the place `within` gives
    from_corner = NUMBERED[outer.row_off :, outer.col_off :]
    assert np.array_equal(from_corner[inner.slices], NUMBERED[inner.within(outer).slices])


@given(WINDOWS, WINDOWS, WINDOWS)
def test_within_is_associative_and_keeps_the_size(a: Window, b: Window, c: Window) -> None:
    assert a.within(b).within(c) == a.within(b.within(c))
    assert (a.within(b).width, a.within(b).height) == (a.width, a.height)
    assert a.within(Window(0, 0, b.width, b.height)) == a


@given(WINDOWS)
def test_text_is_in_srcwin_order(window: Window) -> None:
    assert Window(*(int(number) for number in str(window).split())) == window
    assert str(Window(1, 2, 3, 4)) == "1 2 3 4"  # COL ROW WIDTH HEIGHT


@given(st.integers(-50, 50), st.integers(-50, 50), st.integers(-5, 5), st.integers(-5, 5))
def test_a_window_is_refused_exactly_when_it_is_none(col: int, row: int, width: int, height: int) -> None:
    if col >= 0 and row >= 0 and width >= 1 and height >= 1:
        assert Window(col, row, width, height).slices == (slice(row, row + height), slice(col, col + width))
    else:
        with pytest.raises(WindowError, match=f"^window {col} {row} {width} {height}: "):
            Window(col, row, width, height)


def test_window_errors_say_what_is_wrong() -> None:
    with pytest.raises(
        WindowError, match=r"^window -1 0 5 5: offsets count from the north-west corner and cannot be neg"
    ):
        Window(-1, 0, 5, 5)
    with pytest.raises(WindowError, match=r"^window 0 0 0 5: width and height must be at least 1"):
        Window(0, 0, 0, 5)


@pytest.mark.parametrize("value", [Window(1, 2, 3, 4), BBox(126, 37, 127, 38), Center(126, 38, 256)])
def test_areas_are_values(value: Window | BBox | Center) -> None:
    back = pickle.loads(pickle.dumps(value))  # noqa: S301 - our own bytes
    assert back == value
    assert hash(back) == hash(value)
    with pytest.raises(dataclasses.FrozenInstanceError):
        setattr(value, dataclasses.fields(value)[0].name, 7)


DEGREES = st.floats(-400, 400) | st.sampled_from([math.nan, math.inf, -math.inf, -180.0, 180.0, -90.0, 90.0])


@given(DEGREES, DEGREES, DEGREES, DEGREES)
def test_a_bbox_is_refused_exactly_when_it_is_none(west: float, south: float, east: float, north: float) -> None:
    if -180 <= west < east <= 180 and -90 <= south < north <= 90:
        assert BBox(west, south, east, north).north == north
    else:
        with pytest.raises(OptionsError, match=r"^bbox "):
            BBox(west, south, east, north)


@pytest.mark.parametrize(
    ("edges", "message"),
    [
        ((math.nan, 37, 127, 38), "bbox nan 37 127 38: every edge must be a finite number of degrees"),
        ((126, 37, math.inf, 38), "bbox 126 37 inf 38: every edge must be a finite number of degrees"),
        (
            (930000, 1930000, 970000, 1970000),
            "bbox .*latitudes beyond 90 degrees; expected degrees, these look like metres",
        ),
        ((37, 126, 38, 127), "bbox 37 126 38 127: latitudes beyond 90 degrees; the order is WEST SOUTH EAST NORTH"),
        ((126, 37, 181, 38), "bbox 126 37 181 38: longitudes beyond 180 degrees"),
        ((127, 37, 126, 38), "bbox 127 37 126 38: west must be less than east and south less than north; the order"),
        ((126, 38, 127, 37), "bbox 126 38 127 37: west must be less than east and south less than north; the order"),
        ((126, 37, 126, 38), "bbox 126 37 126 38: west must be less than east"),
    ],
)
def test_bbox_errors_say_what_is_wrong(edges: tuple[float, float, float, float], message: str) -> None:
    with pytest.raises(OptionsError, match=f"^{message}"):
        BBox(*edges)


@given(DEGREES, DEGREES, st.integers(-3, 3))
def test_a_center_is_refused_exactly_when_it_is_none(lon: float, lat: float, size: int) -> None:
    if -180 <= lon <= 180 and -90 <= lat <= 90 and size >= 1:
        assert Center(lon, lat, size).size == size
    else:
        with pytest.raises(OptionsError, match=r"^(center|size) "):
            Center(lon, lat, size)


def test_center_errors_say_what_is_wrong() -> None:
    with pytest.raises(OptionsError, match=r"^center 37.5 126.9: expected LON LAT in degrees"):
        Center(37.5, 126.9, 256)
    with pytest.raises(OptionsError, match=r"^center nan 37: expected LON LAT in degrees"):
        Center(math.nan, 37, 256)
    with pytest.raises(OptionsError, match=r"^size 0: must be at least 1 cell"):
        Center(126.9, 37.5, 0)
