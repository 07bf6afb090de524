"""What a frame says of itself: place, values, statistics in physical units, an array of xarray's."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import hsrgeo
from hsrgeo.model.frame import Frame
from hsrgeo.model.quantity import QUANTITIES, RAIN, RAIN_RATE, Statistics
from tests.conftest import frame_name

STORED = np.array([[-30000, -25000, -20000], [1000, 2000, 3000]], np.int16)


@pytest.fixture
def frame(tmp_path: Path, frame_file: bytes) -> Frame:
    """Return a frame of 2 x 3 cells: not observed, no echo, no echo; 10, 20 and 30 dBZ."""
    path = tmp_path / frame_name()
    path.write_bytes(frame_file)
    return replace(hsrgeo.open_frame(path).crop(window=(100, 200, 3, 2)), stored=STORED)


def test_where_a_frame_lies_is_an_attribute_of_it(frame: Frame) -> None:
    assert frame.shape == STORED.shape == (2, 3)
    assert frame.transform == frame.grid.transform
    left, bottom, right, top = frame.bounds
    assert (left, top) == (frame.transform.c, frame.transform.f)
    assert (right - left, top - bottom) == (3 * frame.grid.cell_size_m, 2 * frame.grid.cell_size_m)
    assert frame.crs == frame.grid.crs
    assert len(repr(frame)) < 160
    assert "\n" not in repr(frame)


def test_the_value_at_a_place_is_physical(frame: Frame) -> None:
    values = {}
    for row, col in np.ndindex(frame.shape):
        lon, lat = frame.grid.lonlat(row, col)
        values[row, col] = frame.value_at(float(lon), float(lat))
    assert [values[1, col] for col in range(3)] == [10, 20, 30]
    assert math.isnan(values[0, 0])
    assert values[0, 1] == values[0, 2] == -math.inf
    with pytest.raises(hsrgeo.WindowError, match="outside"):
        frame.value_at(135, 35)


def test_statistics_are_in_physical_units(frame: Frame) -> None:
    # mean (10 + 20 + 30) / 3, standard deviation sqrt((100 + 0 + 100) / 3)
    assert frame.statistics == Statistics("dBZ", 1, 2, 3, 10.0, 20.0, 30.0, 8.165)
    # of rain dry cells count as 0: (0 + 0 + 10 + 20 + 30) / 5, sqrt((144 + 144 + 4 + 64 + 324) / 5) = sqrt(136)
    wet = Statistics("mm/h", 1, 2, 3, 0.0, 12.0, 30.0, 11.6619)
    rain = replace(frame, quantity=RAIN_RATE)
    assert rain.statistics == rain.clean().statistics == wet
    # degrees Celsius have an offset: 0.01 x (stored - 20000); a spread has none
    warm = replace(frame, quantity=QUANTITIES[8])
    assert warm.statistics == Statistics("degC", 1, 2, 3, -190.0, -180.0, -170.0, 8.165)
    nothing = replace(frame, stored=np.full((2, 3), -30000, np.int16))
    assert nothing.statistics == Statistics("dBZ", 6, 0, 0, None, None, None, None)
    dry = replace(frame, stored=np.full((2, 3), 0, np.int16), quantity=RAIN)
    assert dry.statistics == Statistics("mm/h", 0, 6, 0, 0.0, 0.0, 0.0, 0.0)


def test_a_frame_becomes_a_dataset(frame: Frame) -> None:
    pytest.importorskip("xarray")
    dataset = frame.to_xarray()
    values = dataset["reflectivity"]
    assert values.dims == ("time", "y", "x")
    assert values.dtype == np.float32
    assert np.array_equal(values[0], [[math.nan, -250.0, -250.0], [10.0, 20.0, 30.0]], equal_nan=True)
    assert dataset.attrs["source_file"] == frame.name
    rain = replace(frame, quantity=RAIN_RATE).to_xarray()["rain_rate"]
    assert np.array_equal(rain[0], [[math.nan, 0.0, 0.0], [10.0, 20.0, 30.0]], equal_nan=True)
