from __future__ import annotations

import math
from dataclasses import replace
from itertools import pairwise
from typing import get_args

import numpy as np
import pytest

from hsrgeo.cli.render import ShownChoice
from hsrgeo.cli.style import StyledChoice
from hsrgeo.errors import OptionsError
from hsrgeo.model.quantity import QUANTITIES, RAIN, RAIN_RATE, Quantity
from hsrgeo.products.classes import STYLED, Styled, classes_for, colours
from hsrgeo.products.rain import KMA_LAW, Law

REFLECTIVITY = QUANTITIES[1]
BOTH = pytest.mark.parametrize("quantity", [RAIN, REFLECTIVITY], ids=["rain", "reflectivity"])
LAWS = [KMA_LAW, Law(300, 1.4), Law(1, 0.001), Law(1e-30, 1.6), Law(1e30, 1.6), Law(200, 50), Law(1e300, 1.6)]
EVERY = np.arange(-(1 << 15), 1 << 15)
RAIN_TABLE = """
250 250 250 0.01 · 0 200 255 0.1 · 0 155 245 0.5 · 0 74 245 1 · 0 255 0 2 · 0 190 0 3 · 0 140 0 4 · 0 90 0 5 ·
255 255 0 6 · 255 220 31 7 · 249 205 0 8 · 224 185 0 9 · 204 170 0 10 · 255 102 0 15 · 255 50 0 20 · 210 0 0
25 · 180 0 0 30 · 224 169 255 40 · 201 105 255 50 · 179 41 255 60 · 147 0 228 70 · 179 180 222 90 · 76 78 177
110 · 0 3 144 150 · 51 51 51 200"""
REFLECTIVITY_TABLE = """
250 250 250 -20 · 135 217 255 -10 · 62 193 255 -5 · 7 171 255 0 · 0 141 222 5 · 0 119 179 10 · 105 252 105 12
· 30 243 30 14 · 0 213 0 16 · 0 164 0 18 · 0 128 0 20 · 255 234 110 22 · 255 220 31 24 · 249 205 0 26 · 224
185 0 28 · 204 170 0 30 · 250 133 133 32 · 246 62 62 34 · 238 11 11 36 · 213 0 0 38 · 191 0 0 40 · 218 135 255
42 · 194 62 255 44 · 173 7 255 46 · 146 0 228 48 · 127 0 191 50 · 179 180 222 55 · 128 129 199 60 · 76 78 177
65 · 31 33 157 70 · 0 3 144 80 · 51 51 51 100"""
"""KMA's files color_rdr_echo.rgb [mm/h] and color_rdr_DZ.rgb [dBZ]: red, green, blue, and the bound that the colour
lies below (KMA composite format, section 7)."""


def _known(table: str, lowest: str) -> list[tuple[str, tuple[int, ...]]]:
    rows = [entry.split() for entry in table.replace("\n", " ").split("·")]
    bounds = [lowest, *(row[3] for row in rows)]
    return [(bound, tuple(map(int, row[:3]))) for bound, row in zip(bounds, rows, strict=False)]


def test_classes_are_those_of_kma() -> None:
    assert [(one.label, one.rgb) for one in classes_for(RAIN)] == _known(RAIN_TABLE, "0")
    assert [(one.label, one.rgb) for one in classes_for(REFLECTIVITY)] == _known(REFLECTIVITY_TABLE, "")
    assert [(one.label, one.rgb) for one in classes_for(REFLECTIVITY, KMA_LAW)] == _known(RAIN_TABLE, "0")


@BOTH
@pytest.mark.parametrize("law", LAWS, ids=str)
def test_classes_have_no_gaps_and_end_with_int16(quantity: Quantity, law: Law) -> None:
    classes = classes_for(quantity, law)
    assert len(classes) == 25
    for one, following in pairwise(classes):
        assert one.upper == following.lower
        assert one.last + 1 == following.first
        assert one.lower < one.upper
    assert (classes[-1].upper, classes[-1].last) == (math.inf, 32767)


def test_worked_bounds() -> None:
    # 10 log10(200 x 5^1.6) = 23.0103 + 16 x 0.698970 = 34.1938 dBZ; 1 mm/h is 23.0103; 0.1 is 7.0103
    dbz = {one.label: one for one in classes_for(REFLECTIVITY, KMA_LAW)}
    assert [dbz[label].lower for label in ("0.1", "1", "5")] == pytest.approx([7.0103, 23.0103, 34.1938], abs=1e-4)
    assert [dbz[label].first for label in ("0.1", "1", "5")] == [702, 2302, 3420]
    # 0.01 mm/h is 23.0103 - 32 = -8.9897 dBZ: what is weaker is grey, from the first echo on
    assert (dbz["0"].first, dbz["0"].last, dbz["0.01"].first) == (-10000, -899, -898)
    own = {one.label: one for one in classes_for(REFLECTIVITY)}
    assert [(own[label].first, own[label].last) for label in ("", "-20", "0", "5", "80")] == [
        (-10000, -2001),
        (-2000, -1001),
        (0, 499),
        (500, 999),
        (8000, 32767),  # the table ends at 100 dBZ, and the last colour goes on
    ]
    rain = {one.label: one for one in classes_for(RAIN)}
    assert rain["0"].last < rain["0"].first  # what is below 0.01 mm/h is stored as 0, which is dry
    assert [(rain[label].first, rain[label].last) for label in ("0.01", "0.1", "10", "150")] == [
        (1, 9),
        (10, 49),
        (1000, 1499),
        (15000, 32767),
    ]


def test_other_law_moves_the_bounds_in_dbz_only() -> None:
    law = Law(300, 1.4)  # 10 mm/h: 10 log10(300) + 14 = 38.7712 dBZ
    assert {one.label: one.lower for one in classes_for(REFLECTIVITY, law)}["10"] == pytest.approx(38.7712, abs=1e-4)
    assert classes_for(RAIN, law) == classes_for(RAIN)


@BOTH
@pytest.mark.parametrize("law", LAWS, ids=str)
def test_every_stored_value_has_the_colour_of_its_class(quantity: Quantity, law: Law) -> None:
    found = colours(EVERY.astype(np.int16).reshape(256, 256), quantity, law)
    assert found.shape == (256, 256, 4)
    assert found.dtype == np.uint8
    expected = np.zeros((1 << 16, 4), np.uint8)
    physical = EVERY / 100
    for one in classes_for(quantity, law):
        inside = (physical >= one.lower - 1e-8) & (physical < one.upper - 1e-8) & (quantity.echo_from <= EVERY)
        expected[inside] = (*one.rgb, 255)
    assert np.array_equal(found.reshape(-1, 4), expected)


@BOTH
@pytest.mark.parametrize("law", LAWS, ids=str)
def test_what_is_no_measurement_is_transparent(quantity: Quantity, law: Law) -> None:
    codes = np.array([quantity.nodata, quantity.undetect, *quantity.null_codes, quantity.echo_from - 1], np.int16)
    assert not colours(codes, quantity, law).any()


def test_rain_as_kma_stores_it_has_the_same_classes() -> None:
    assert classes_for(RAIN_RATE) == classes_for(RAIN)


def test_an_unknown_quantity_has_no_classes() -> None:
    unknown = replace(REFLECTIVITY, name="values")
    with pytest.raises(OptionsError, match=r"values has no colour classes: expected one of rain, reflectivity"):
        colours(np.zeros((2, 2), np.int16), unknown)


def test_the_command_line_has_the_word_of_every_quantity_with_colours() -> None:
    assert set(get_args(Styled)) == set(STYLED) == set(get_args(ShownChoice))
    assert {*STYLED, "rain_depth"} == set(get_args(StyledChoice))
