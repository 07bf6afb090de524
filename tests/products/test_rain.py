from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from hsrgeo.errors import FrameError, OptionsError
from hsrgeo.model.frame import Frame
from hsrgeo.model.quantity import QUANTITIES, RAIN, RAIN_RATE, Quantity
from hsrgeo.products.rain import KMA_LAW, Law, rain_frame
from tests.conftest import frame_name

EVERY = np.arange(-(1 << 15), 1 << 15).astype(np.int16).reshape(256, 256)
LARGEST = 32767
MakeFrame = Callable[..., Frame]


@pytest.fixture(scope="module")
def frame_of(frame: Frame) -> MakeFrame:
    """Give the maker of a frame of any stored values and quantity."""

    def make(stored: NDArray[np.int16] | list[list[int]], quantity: Quantity = QUANTITIES[1]) -> Frame:
        values = np.array(stored, np.int16)
        rows, cols = values.shape
        return replace(frame.crop(window=(400, 600, cols, rows)), stored=values, quantity=quantity)

    return make


# The law


@pytest.mark.parametrize(
    ("dbz", "rate"),
    [
        (35.0, 5.615),  # facts: (10^3.5 / 200)^(1/1.6) = 15.811388^0.625
        (10.0, 0.153765),  # facts: (10 / 200)^0.625 = 0.05^0.625
        (10 * math.log10(200), 1.0),  # Z = 200 is 1 mm/h, by the law itself
    ],
)
def test_worked_rates(dbz: float, rate: float) -> None:
    assert KMA_LAW.rate(dbz) == pytest.approx(rate, rel=1e-4)
    assert KMA_LAW.dbz(rate) == pytest.approx(dbz, abs=1e-3)


def test_other_law() -> None:
    law = Law(300, 1.4)  # 40 dBZ: (10000 / 300)^(1/1.4) = 33.3333^0.714286 = exp(0.714286 x 3.506558) = 12.24
    assert law.rate(40) == pytest.approx(12.24, abs=0.005)
    assert law.dbz(law.rate(40)) == pytest.approx(40)
    assert str(law) == "Z = 300 R^1.4"


@pytest.mark.parametrize(("a", "b"), [(0, 1.6), (-1, 1.6), (200, 0), (200, -1.6), (math.inf, 1.6), (200, math.nan)])
def test_law_of_numbers_that_cannot_be(a: float, b: float) -> None:
    with pytest.raises(OptionsError, match="both positive"):
        Law(a, b)


def test_a_rate_beyond_every_number_is_infinite() -> None:
    assert Law(200, 0.01).rate(300) == math.inf


# Frames


@pytest.mark.parametrize("law", [KMA_LAW, Law(300, 1.4), Law(50, 2)], ids=str)
def test_every_value_is_the_nearest_step_to_the_law(frame_of: MakeFrame, law: Law) -> None:
    rain = rain_frame(frame_of(EVERY), law).stored.astype(np.int64).ravel()
    stored = EVERY.ravel().astype(np.int64)
    assert set(rain[stored < -25000]) == {-30000}  # nodata, and blends of it
    assert set(rain[(stored >= -25000) & (stored < -10000)]) == {0}  # undetect, and blends of it
    echo = stored >= -10000
    rates = np.array([law.rate(value / 100) for value in stored[echo].tolist()])
    fits = rates < LARGEST / 100 + 0.005
    assert np.abs(rain[echo][fits] / 100 - rates[fits]).max() <= 0.005 + 1e-9
    assert set(rain[echo][~fits]) == {LARGEST}
    assert np.all(np.diff(rain[echo]) >= 0)


def test_worked_frame(frame_of: MakeFrame) -> None:
    rain = rain_frame(frame_of([[3500, 1000, -1380, -1381], [-30000, -25000, -20000, -20100]]))
    # 5.615 mm/h is 561.5 steps: 562 (5.6153); 0.153765 is 15.4 steps: 15; -13.80 dBZ is 0.00500 mm/h
    assert rain.stored.tolist() == [[562, 15, 1, 0], [-30000, 0, 0, 0]]
    assert rain.stored.dtype == np.int16
    assert (rain.quantity, rain.cleaned, rain.raw is not None) == (RAIN, True, True)
    assert np.array_equal(rain.raw, rain.stored)
    assert rain.derived == (("RAIN_LAW", "Z = 200 R^1.6"),)


def test_blends_go_to_their_class(frame_of: MakeFrame) -> None:
    blends = [[-29687, -25001, -24999, -22187, -10001, -10000]]
    assert rain_frame(frame_of(blends)).stored.tolist() == [[-30000, -30000, 0, 0, 0, 0]]  # -100 dBZ rains nothing
    assert frame_of(blends).clean().raw.tolist() == [[-30000, -30000, -25000, -25000, -25000, -10000]]


def test_a_default_frame_keeps_its_classes(frame: Frame) -> None:
    rain = rain_frame(frame)
    assert rain.cells.nodata == frame.cells.nodata
    assert rain.cells.undetect >= frame.cells.undetect  # weak echo is no rain
    assert rain.cells.nodata + rain.cells.undetect + rain.cells.echo == rain.stored.size
    assert rain.cells.blend == 0
    assert (rain.time, rain.grid, rain.window, rain.name) == (frame.time, frame.grid, frame.window, frame.name)


def test_clipping_is_counted(frame_of: MakeFrame) -> None:
    # 327.67 mm/h and half a step is 10 log10(200 x 327.675^1.6) = 23.0103 + 16 x 2.515443 = 63.2574 dBZ
    rain = rain_frame(frame_of([[6324, 6325, 6326, 9000, 32767, -30000]]))
    assert rain.stored[0, 2:].tolist() == [LARGEST, LARGEST, LARGEST, -30000]
    assert rain.stored[0, 0] < rain.stored[0, 1] < LARGEST
    assert dict(rain.derived)["COUNT_CLIPPED"] == "3"
    assert "COUNT_CLIPPED" not in dict(rain_frame(frame_of([[6325]])).derived)


def test_rain_rates_pass_as_they_are(frame_of: MakeFrame) -> None:
    stored = [[0, 1, 1234, LARGEST, -5], [-30000, -25000, -20000, -29000, -11000]]
    rain = rain_frame(frame_of(stored, RAIN_RATE), Law(300, 1.4))
    assert rain.stored.tolist() == [[0, 1, 1234, LARGEST, 0], [-30000, 0, 0, -30000, 0]]
    assert rain.derived == (("RAIN_LAW", "as observed"),)
    again = rain_frame(rain)
    assert np.array_equal(again.stored, rain.stored)


@pytest.mark.parametrize("code", [code for code in QUANTITIES if code not in (1, 5)])
def test_other_quantities_are_no_rain(frame_of: MakeFrame, code: int) -> None:
    with pytest.raises(FrameError) as caught:
        rain_frame(frame_of([[0, 100]], QUANTITIES[code]))
    assert caught.value.found == QUANTITIES[code].name
    assert caught.value.source == frame_name()


def test_a_law_is_two_numbers_or_an_error(frame_of: MakeFrame) -> None:
    # Z = 300 R^1.4: 38.7712 dBZ is 10 mm/h
    assert rain_frame(frame_of([[3877]]), (300, 1.4)).stored.tolist() == [[1000]]
    with pytest.raises(OptionsError, match="Z-R law 200: expected two numbers, A and B"):
        rain_frame(frame_of([[3877]]), 200)  # type: ignore[arg-type] # the point of it


def test_rain_is_0_where_dry_and_made_once(frame_of: MakeFrame) -> None:
    rain = rain_frame(frame_of([[-30000, -25000, 3500]]))
    assert np.isnan(rain.physical()[0, 0])
    assert rain.physical()[0, 1:].tolist() == [0, np.float32(5.62)]  # 35 dBZ is 5.615 mm/h, to the nearest 0.01
    assert dict(rain_frame(rain).derived) == {"RAIN_LAW": "Z = 200 R^1.6"}
