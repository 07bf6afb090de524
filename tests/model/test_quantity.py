from __future__ import annotations

import dataclasses
import statistics

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from hsrgeo.model.quantity import (
    QUANTITIES,
    RAIN,
    RAIN_RATE,
    CellStatistics,
    Quantity,
    cell_statistics,
    clean_values,
    dry_values,
    physical_values,
    quantity_named,
)
from tests.conftest import COUNTS, Pixels

DBZ = QUANTITIES[1]


def _counts(raw: Pixels, quantity: Quantity) -> dict[str, int]:
    cells = cell_statistics(np.atleast_2d(raw), quantity)
    return {"nodata": cells.nodata, "undetect": cells.undetect, "echo": cells.echo, "blend": cells.blend}


# The classes of KMA composite format, section 2: name, and whether the value is a blend.
CLASSES_OF_HUNDREDTHS = [
    (-32768, "nodata", True),
    (-30001, "nodata", True),
    (-30000, "nodata", False),  # outside
    (-29999, "nodata", True),
    (-29687, "nodata", True),  # 1/16 of the way from -30000 to -25000
    (-25001, "nodata", True),
    (-25000, "undetect", False),  # in range, NULL
    (-24999, "undetect", True),
    (-20101, "undetect", True),
    (-20100, "undetect", False),  # undocumented mask
    (-20099, "undetect", True),
    (-20001, "undetect", True),
    (-20000, "undetect", False),  # display minimum
    (-19999, "undetect", True),
    (-10001, "undetect", True),
    (-10000, "echo", False),
    (-9999, "echo", False),
    (-1, "echo", False),
    (0, "echo", False),
    (5809, "echo", False),
    (32767, "echo", False),
]
# Code 6: -300 outside, -250 no data, -200 minimum, all a hundredth of the above.
CLASSES_OF_HYDROMETEORS = [
    (-301, "nodata", True),
    (-300, "nodata", False),
    (-299, "nodata", True),
    (-251, "nodata", True),
    (-250, "undetect", False),
    (-249, "undetect", True),
    (-201, "undetect", True),
    (-200, "undetect", False),
    (-199, "undetect", True),
    (-101, "undetect", True),
    (-100, "echo", False),
    (0, "echo", False),
    (10, "echo", False),
]
# Code 7: 0 outside, 1 none, 2 rain, 3 mixed, 4 snow.
CLASSES_OF_TYPES = [
    (-1, "nodata", True),
    (0, "nodata", False),
    (1, "undetect", False),
    (2, "echo", False),
    (3, "echo", False),
    (4, "echo", False),
]
TABLE = [
    *((code, *row) for code in (1, 2, 3, 4, 5, 8, 15) for row in CLASSES_OF_HUNDREDTHS),
    *((6, *row) for row in CLASSES_OF_HYDROMETEORS),
    *((7, *row) for row in CLASSES_OF_TYPES),
]


@pytest.mark.parametrize(("code", "stored", "name", "blend"), TABLE)
def test_class_of_every_boundary_value(code: int, stored: int, name: str, blend: bool) -> None:  # noqa: FBT001 - a column
    quantity = QUANTITIES[code]
    raw = np.array([[stored]], np.int16)
    expected = {"nodata": 0, "undetect": 0, "echo": 0, name: 1}
    assert _counts(raw, quantity) == {**expected, "blend": int(blend)}
    cleaned = {"nodata": quantity.nodata, "undetect": quantity.undetect, "echo": stored}[name]
    assert clean_values(raw, quantity).tolist() == [[cleaned]]
    value = physical_values(raw, quantity, undetect=-7)[0, 0]
    assert np.isnan(value) == (name == "nodata")
    if name == "undetect":
        assert value == -7


@pytest.mark.parametrize(
    ("code", "name", "unit", "stored", "value"),
    [
        (1, "reflectivity", "dBZ", 3500, 35.0),  # 3500 / 100
        (1, "reflectivity", "dBZ", -9999, -99.99),
        (2, "height", "m", 1520, 1520.0),  # scale 1
        (3, "station", "", 17, 17.0),
        (4, "count", "", 3, 3.0),
        (5, "rain_rate", "mm/h", 562, 5.62),
        (6, "hydrometeor", "", 7, 7.0),
        (7, "precipitation_type", "", 4, 4.0),
        (8, "temperature", "degC", 22550, 25.5),  # (22550 - 20000) / 100
        (8, "temperature", "degC", 18765, -12.35),  # (18765 - 20000) / 100
        (8, "temperature", "degC", 20000, 0.0),
        (8, "temperature", "degC", 0, -200.0),  # stored zero is no measured zero here
        (15, "detections", "", 9, 9.0),
    ],
)
def test_physical_value_worked_by_hand(code: int, name: str, unit: str, stored: int, value: float) -> None:
    quantity = QUANTITIES[code]
    assert (quantity.name, quantity.unit) == (name, unit)
    got = physical_values(np.array([stored], np.int16), quantity)
    assert got.dtype == np.float32
    assert got.tolist() == [np.float32(value)]
    # what GDAL and xarray compute from scale and offset is the same
    assert stored * quantity.gain + quantity.offset == pytest.approx(value, abs=1e-9)


def test_defaults_of_values_that_are_no_measurement() -> None:
    raw = np.array([-30000, -29687, -25000, -22187, -20000, 1000], np.int16)
    values = physical_values(raw, DBZ)
    assert np.isnan(values[:2]).all()
    assert np.isneginf(values[2:5]).all()  # no echo is minus infinity in dBZ: 10 log10(0)
    assert values[5] == 10
    assert physical_values(raw, RAIN_RATE)[2:].tolist() == [0, 0, 0, 10]  # no echo is no rain
    assert physical_values(np.array([0, 1], np.int16), RAIN).tolist() == [0, np.float32(0.01)]
    assert np.isnan(physical_values(raw, QUANTITIES[2])[:5]).all()  # nothing seen has no height


def test_clean_rain_has_no_code_but_nodata() -> None:
    raw = np.array([-32768, -30000, -29687, -25001, -25000, -22187, -20000, -500, 0, 1, 15000], np.int16)
    assert dry_values(raw, RAIN_RATE).tolist() == [-30000] * 4 + [0] * 5 + [1, 15000]


def test_sixteenths_between_the_codes_are_blends() -> None:
    # A 1-2-1 smoothing in both directions leaves sixteenths: -30000 + k * 5000 / 16, cut off towards zero as C does.
    between = np.array([int(-30000 + k * 5000 / 16) for k in range(1, 16)], np.int16)
    assert between[:4].tolist() == [-29687, -29375, -29062, -28750]  # as measured, section 2
    assert _counts(between, DBZ) == {"nodata": 15, "undetect": 0, "echo": 0, "blend": 15}
    above = np.array([int(-25000 + k * 5000 / 16) for k in range(1, 16)], np.int16)
    assert _counts(above, DBZ) == {"nodata": 0, "undetect": 15, "echo": 0, "blend": 15}


def test_only_known_codes_have_a_quantity() -> None:
    # the table of data codes in section 1
    assert sorted(QUANTITIES) == [1, 2, 3, 4, 5, 6, 7, 8, 15]


def test_cells_of_the_made_up_frame(pixels: Pixels) -> None:
    assert _counts(pixels, DBZ) == COUNTS
    cells = cell_statistics(pixels, DBZ)
    # echo is -500 + (0 .. 5999) over and over, 65,536 cells: ten whole rounds and the first 5,536 of another
    assert (cells.minimum, cells.maximum) == (-500, 5499)
    total = 10 * 6000 * 5999 // 2 + 5535 * 5536 // 2 - 500 * 65536
    assert cells.mean == total / 65536


def test_echo_worked_by_hand() -> None:
    cells = cell_statistics(np.array([[-30000, 100, -25000], [300, 500, -22187]], np.int16), DBZ)
    # mean (100 + 300 + 500) / 3 = 300; variance (200^2 + 0 + 200^2) / 3 = 80000 / 3, over all cells, not all but one
    assert cells == CellStatistics(1, 2, 3, 1, 100, 500, 300.0, (80000 / 3) ** 0.5)


def test_a_frame_without_echo_has_no_extremes() -> None:
    cells = cell_statistics(np.array([[-30000, -25000, -29687]], np.int16), DBZ)
    assert cells == CellStatistics(2, 1, 0, 1, None, None, None, None)


VALUES = st.integers(-32768, 32767) | st.sampled_from(
    [row[0] for row in (*CLASSES_OF_HUNDREDTHS, *CLASSES_OF_HYDROMETEORS, *CLASSES_OF_TYPES)]
)
STORED = hnp.arrays(np.int16, hnp.array_shapes(min_dims=2, max_dims=2, max_side=12), elements=VALUES)
# Rows of one value, repeated: cells are looked at in bands of rows, and a band that is all one code on a short way.
LAYERS = st.lists(st.tuples(VALUES, st.integers(1, 140)), min_size=1, max_size=5).map(
    lambda layers: np.repeat(np.array([[v, v] for v, _n in layers], np.int16), [n for _v, n in layers], axis=0)
)
EVERY = st.sampled_from([*QUANTITIES.values(), RAIN_RATE])


@given(STORED | LAYERS, EVERY)
def test_cells_are_those_of_plain_python(raw: Pixels, quantity: Quantity) -> None:
    got = cell_statistics(raw, quantity)
    assert got.nodata + got.undetect + got.echo == raw.size
    values = [int(value) for value in raw.flat]
    echo = [value for value in values if value >= quantity.echo_from]
    assert got.nodata == sum(value < quantity.undetect for value in values)
    assert got.echo == len(echo)
    assert got.blend == sum(value < quantity.echo_from and value not in quantity.null_codes for value in values)
    if echo:
        assert (got.minimum, got.maximum) == (min(echo), max(echo))
        assert got.mean == statistics.fmean(echo)
        assert got.stddev == pytest.approx(statistics.pstdev(echo), rel=1e-12)
    else:
        assert (got.minimum, got.maximum, got.mean, got.stddev) == (None, None, None, None)


@given(STORED | LAYERS, EVERY)
def test_cells_do_not_depend_on_the_order_of_rows_or_on_memory(raw: Pixels, quantity: Quantity) -> None:
    # a frame is a flipped view, and a crop of one a view with gaps
    expected = cell_statistics(raw, quantity)
    assert cell_statistics(raw[::-1], quantity) == expected
    wide = np.zeros((raw.shape[0], 2 * raw.shape[1]), np.int16)
    wide[:, ::2] = raw
    assert cell_statistics(wide[:, ::2], quantity) == expected


@given(STORED | LAYERS, EVERY)
def test_clean_never_invents_and_is_idempotent(raw: Pixels, quantity: Quantity) -> None:
    before = raw.copy()
    clean = clean_values(raw, quantity)
    assert np.array_equal(raw, before)
    assert not np.shares_memory(clean, raw)
    assert clean.dtype == np.int16
    assert clean.shape == raw.shape
    changed = clean != raw
    assert np.isin(clean[changed], [quantity.nodata, quantity.undetect]).all()
    assert (raw[changed] < quantity.echo_from).all()  # echo is left alone
    assert np.array_equal(clean_values(clean, quantity), clean)
    # every cell stays in its class, and no blend is left
    assert cell_statistics(clean, quantity) == dataclasses.replace(cell_statistics(raw, quantity), blend=0)


@given(STORED, EVERY)
def test_physical_is_the_same_before_and_after_clean(raw: Pixels, quantity: Quantity) -> None:
    before, after = physical_values(raw, quantity), physical_values(clean_values(raw, quantity), quantity)
    assert np.array_equal(before, after, equal_nan=True)
    cells = cell_statistics(raw, quantity)
    none = cells.undetect  # cells that hold nothing: 0 of rain, minus infinity dBZ, no number of anything else
    rain, dbz = quantity.name.startswith("rain"), quantity.name == "reflectivity"
    assert int(np.isnan(before).sum()) == cells.nodata + (0 if rain or dbz else none)
    assert int(np.isneginf(before).sum()) == (none if dbz else 0)
    assert int(np.isfinite(before).sum()) == cells.echo + (none if rain else 0)


@given(STORED)
def test_dbz_goes_back_to_the_stored_integer(raw: Pixels) -> None:
    values = physical_values(raw, DBZ)
    echo = np.isfinite(values)
    assert np.array_equal(np.rint(values[echo] * 100).astype(np.int16), raw[echo])


@pytest.mark.parametrize("quantity", [RAIN, *QUANTITIES.values()], ids=lambda one: f"{one.name}{one.undetect}")
def test_a_quantity_is_known_by_what_a_file_says_of_it(quantity: Quantity) -> None:
    name, code = quantity.name, quantity.undetect
    for undetect in (code, str(code), np.int16(code), float(code)):
        assert quantity_named(name, undetect) is quantity
        assert quantity_named(name, undetect, quantity.unit) is quantity
        assert quantity_named(name, undetect, "inch") is None


@pytest.mark.parametrize("undetect", [None, "", "none", "-25000.0", " -25000", np.nan, np.inf, [1, 2], -24999])
def test_what_is_no_undetect_makes_no_quantity(undetect: object) -> None:
    assert quantity_named("reflectivity", undetect) is None


def test_another_word_is_no_quantity() -> None:
    assert quantity_named("", -25000) is None
    assert quantity_named("velocity", -25000) is None
