"""Gauges: readings as they are found, Thiessen by brute force, kriging and bias worked by hand."""

from __future__ import annotations

import csv
import json
import math
import sys
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import gstools
import numpy as np
import pyproj
import pytest
import rasterio
import shapely
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from rio_cogeo.cogeo import cog_validate
from typer.testing import CliRunner

import hsrgeo
from hsrgeo.cli import app
from hsrgeo.engine.gauges.bias import GaugeBias, gauge_bias
from hsrgeo.engine.gauges.field import GaugeFields, gauge_fields
from hsrgeo.engine.gauges.gauge_options import GaugeBiasOptions, GaugeFieldOptions
from hsrgeo.engine.gauges.polygons import thiessen_polygons
from hsrgeo.engine.series.series_options import SeriesOptions
from hsrgeo.errors import MissingExtraError, OptionsError, SourceError
from hsrgeo.model.grid_catalog import grids
from hsrgeo.model.times import KST
from hsrgeo.places.places import Points, read_points
from hsrgeo.places.polygons import read_polygons
from hsrgeo.products.bias import PairRules, field_bias, scores
from hsrgeo.products.interpolate import InverseDistance, Nearest, network
from hsrgeo.products.kriging import Kriging, estimate
from hsrgeo.products.variograms import Variogram, Variograms, fit_variogram, mean_variogram
from hsrgeo.sources.gauge_rules import ReadingRules
from hsrgeo.sources.gauges import read_readings
from hsrgeo.sources.readings import Readings
from hsrgeo.writers.table_files import write_table
from tests.benchmarks.variograms import left_out_errors, skewed_hours

HOUR, TEN = timedelta(hours=1), timedelta(minutes=10)
GRID = grids()["kma-hb-500m"]
WINDOW = (1200, 1400, 40, 30)
"""Column, row, width and height that the tests make fields of."""
NOON = datetime(2022, 6, 9, 12, tzinfo=KST)
NAMES = ("서울", "인천", "수원")
Save = Callable[..., Path]


@pytest.fixture
def save(tmp_path: Path) -> Save:
    def write(text: str, name: str = "rain.csv", encoding: str = "utf-8") -> Path:
        path = tmp_path / name
        path.write_bytes(text.encode(encoding))
        return path

    return write


def read(path: Path, names: tuple[str, ...] = NAMES, **rules: Any) -> Readings:
    rules.setdefault("step", HOUR)
    return read_readings(path, names, ReadingRules(**rules))


def only(readings: Readings) -> list[float]:
    """Return the depths of the one step that there is."""
    (depths,) = readings.depths_mm.values()
    return [float(depth) for depth in depths]


# --- readings


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
def test_a_row_a_reading(save: Save, encoding: str) -> None:
    path = save("time,name,rain_mm\n2022-06-09 12:00,서울,1.5\n2022-06-09 12:00,인천,0\n", encoding=encoding)
    readings = read(path)
    assert readings.times == [NOON - HOUR]  # the reading of 12:00 stands for 11:00 to 12:00
    assert only(readings)[:2] == [1.5, 0]
    assert np.isnan(only(readings)[2])
    assert readings.notes() == ["gauges without a reading: 1 (수원)"]


def test_a_row_a_time(save: Save) -> None:
    path = save("time,인천,서울,부산\n202206091200,2,1,9\n202206091300,,NaN,9\n")
    readings = read(path)
    assert [float(depth) for depth in readings.depths_mm[NOON - HOUR][:2]] == [1, 2]
    assert np.isnan(readings.depths_mm[NOON]).all()
    assert readings.counts == {"used": 2, "missing": 2, "unknown": 2}
    assert "readings of no gauge in the list, left out: 2 (부산)" in readings.notes()


@pytest.mark.parametrize(
    ("header", "text", "stamp", "start"),
    [
        ("time", "2022-06-09T12:00", "end", NOON - HOUR),
        ("time", "2022-06-09T12:00", "start", NOON),
        ("time", "2022-06-09T12:00Z", "start", NOON + 9 * HOUR),
        ("time_utc", "2022-06-09 03:00", "start", NOON),
        ("time_utc", "202206090300", "start", NOON),
        ("time_utc", "2022-06-09T12:00+09:00", "start", NOON),
        ("일시", "2022-06-09 12:00", "start", NOON),
        ("TIME_KST", "2022-06-09T12:00", "start", NOON),
        ("time", "2022-6-9 12:00", "start", NOON),
        ("time", "2022/06/09 12:00:00", "start", NOON),
        ("time", "2022. 6. 9 12:00", "start", NOON),
        ("time_utc", "2022/6/9 3:00", "start", NOON),
        ("time_utc", "2022/6/9 12:00+09:00", "start", NOON),
        ("time", "2022-06-09 3:00z", "start", NOON),
        ("time", "2022-06-09 오후 12:00", "start", NOON),
        ("time", "2022-06-09 오후 1:00:00", "start", NOON + HOUR),
        ("time", "2022-06-09 오전 12:00", "start", NOON - 12 * HOUR),
        ("time", "2022. 6. 9. 오전 9:00", "start", NOON - 3 * HOUR),
        ("time", "2022/6/9 9:00 PM", "start", NOON + 9 * HOUR),
        ("time", "2022-06-09 24:00", "end", NOON + 11 * HOUR),
        ("time", "2022-06-30 24:00", "start", NOON + (21 * 24 + 12) * HOUR),
        # Days since 1899-12-30: 122 * 365 + 30 leap days are 2021-12-30; 2 more 2022-01-01; 159 more 2022-06-09: 44721
        ("time", "44721.5", "start", NOON),
        ("time", "44721.54167", "start", NOON + HOUR),
        ("time", "44721", "end", NOON - 13 * HOUR),
    ],
)
def test_which_step_a_reading_stands_for(save: Save, header: str, text: str, stamp: str, start: datetime) -> None:
    assert read(save(f"{header},name,mm\n{text},서울,1\n"), stamp=stamp).times == [start]


def test_the_zone_of_utc_counts_where_both_are_there(save: Save) -> None:
    path = save("time_kst,time_utc,name,mm\n2022-06-09T12:00,2022-06-09T03:00,서울,1\n")
    assert read(path, stamp="start").times == [NOON]


def test_a_rate_is_a_depth_by_its_step(save: Save) -> None:
    # 12 mm/h for ten minutes are 2 mm.
    path = save("time,name,rain_mm_h\n2022-06-09 12:00,서울,12\n")
    assert only(read(path, step=TEN, unit="mm/h"))[0] == pytest.approx(2)


@pytest.mark.parametrize(("column", "unit"), [("rain_mm_h", "mm"), ("rain(mm/h)", "mm"), ("rain_mm", "mm/h")])
def test_a_column_called_otherwise_is_refused(save: Save, column: str, unit: str) -> None:
    with pytest.raises(OptionsError, match="is called as mm"):
        read(save(f"time,name,{column}\n2022-06-09 12:00,서울,1\n"), unit=unit)


def test_what_is_missing_is_counted_and_no_zero(save: Save) -> None:
    path = save("time,name,mm\n2022-06-09 12:00,서울,-99.9\n2022-06-09 12:00,인천,\n2022-06-09 12:00,수원,3\n")
    readings = read(path, missing=(-99.9,))
    assert np.isnan(only(readings)[:2]).all()
    assert readings.counts == {"code": 1, "missing": 1, "used": 1}
    assert only(read(path, missing=(-99.9,), empty="zero"))[1] == 0
    assert "empty cells, taken as no rain: 1" in read(path, missing=(-99.9,), empty="zero").notes()


@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_columns_are_parted_as_the_header_tells(save: Save, separator: str) -> None:
    rows = (("time", "name", '"rain, mm"'), ("2022-06-09 6:10", "서울", "1.5"), ("2022-06-09 6:10", "인천", ""))
    path = save("".join(separator.join(row) + "\n" for row in rows))
    readings = read(path, step=TEN)
    assert readings.times == [datetime(2022, 6, 9, 6, tzinfo=KST)]
    assert readings.counts == {"used": 1, "missing": 1}
    wide = save("time;서울;인천\n2022-06-09 12:00;1;2\n".replace(";", separator))
    assert only(read(wide))[:2] == [1, 2]
    points = read_points(save("name;lon;lat\n서울;126.9;37.5\n".replace(";", separator), "gauges.csv"))
    assert points == Points(("서울",), ((126.9, 37.5),))


def test_a_list_of_gauges_as_korean_programs_write_it(save: Save) -> None:
    seoul = Points(("서울",), ((126.9, 37.5),))
    text = "지점,지점명,위도,경도\n108,서울,37.5,126.9\n"
    assert read_points(save(text, "gauges.csv")) == seoul
    path = save(text, "korean.csv", "cp949")
    assert read_points(path, "cp949") == seoul
    assert read_points(save(text, "gauges.csv"), "cp949") == seoul  # UTF-8 is seen to be that
    both = save("name,지점명,lon,lat\nA,서울,126.9,37.5\n", "both.csv")
    assert read_points(both).names == ("A",)
    for encoding, message in (
        (None, "--encoding cp949"),
        ("utf-8", "must be UTF-8"),
        ("ascii", "neither UTF-8 nor ascii"),
    ):
        with pytest.raises(OptionsError, match=message):
            read_points(path, encoding)
    with pytest.raises(OptionsError, match="encoding 'klingon' is not known"):
        read_points(path, "klingon")


BAD = {
    "2022-06-09 12:00,서울,abc": "'abc' is no number",
    "2022-06-09 12:00,서울,inf": "'inf' is no number",
    "2022-06-09 12:00,서울,1_0": "'1_0' is no number",
    '2022-06-09 12:00,서울,"1,5"': "'1,5' is no number",
    "2022-06-09 12:00,서울,1,5": "more cells than columns",
    "2022-06-09 12:00,서울,-9": "-9 is negative (if it is a code for no reading: --missing -9)",
    "2022-06-09 12:00,서울,999.9": "999.9 mm is more than 500 mm in one step",
    "2022-06-09 12:07,서울,1": "the time is not on whole steps of 1h after midnight KST: line 4 (2022-06-09 12:07)",
    "2022-06-09,서울,1": "a day without a time cannot be the end of a step",
    "2022-06,서울,1": "must be day and time",
    "2022-06-31 12:00,서울,1": "the time cannot be: there is no such date: line 4 (2022-06-31 12:00)",
    "2022-13-40,서울,1": "there is no such date: line 4 (2022-13-40)",
    "2022/06/09 24:10,서울,1": "there is no such time; a day ends at 24:00",
    "2022-06-09 오후 13:00,서울,1": "오전 and 오후 have the hours 1 to 12",
    "44721.26,서울,1": "the time is not on whole steps of 1h",
    "2022/06-09 12:00,서울,1": "must be day and time",
    "09/06/2022 12:00,서울,1": "must be day and time",
    "noon,서울,1": "must be day and time, as 2022-06-09T11:00: line 4 (noon)",
    "2022-06-09 12:00,,1": "no name",
}


@pytest.mark.parametrize("row", BAD)
def test_a_bad_row_is_refused_or_counted(save: Save, row: str) -> None:
    path = save(f"time,name,mm\n2022-06-09 11:00,인천,1\n\n{row}\n")
    with pytest.raises(OptionsError, match=r"line 4.*skip_bad") as refused:
        read(path)
    assert BAD[row] in str(refused.value)
    readings = read(path, skip_bad=True)
    assert readings.counts["bad"] == 1
    assert readings.counts["used"] == 1
    (note,) = (note for note in readings.notes() if note.startswith("bad"))
    assert note == f"bad readings, left out: 1 ({readings.bad})"
    assert BAD[row] in note


def test_many_bad_rows_are_reported_in_part(save: Save) -> None:
    path = save("time,name,mm\n2022-06-09 11:00,인천,1\n" + "2022-06-09 12:00,서울,x\n" * 25)
    with pytest.raises(OptionsError) as refused:
        read(path)
    text = ", ".join(f"{line} (서울)" for line in range(3, 13))
    assert f"rain.csv: 'x' is no number: lines {text} and 15 more. With skip_bad" in str(refused.value)


def test_of_many_things_that_are_wrong_the_first_are_reported(save: Save) -> None:
    # Ten texts, each in two lines, and two more in one: the eleventh and the twelfth are counted only.
    rows = [f"2022-06-09 12:00,서울,x{number}\n" for number in (*range(10), *range(12))]
    with pytest.raises(OptionsError) as refused:
        read(save("time,name,mm\n" + "".join(rows)))
    text = str(refused.value)
    assert "'x0' is no number: lines 2 (서울), 12 (서울); 'x1' is no number: lines 3 (서울), 13 (서울)" in text
    assert "lines 11 (서울), 21 (서울); and 2 others. With" in text


def test_two_readings_of_a_time(save: Save) -> None:
    twice = "time,name,mm\n2022-06-09 12:00,서울,1\n2022-06-09 12:00,서울,{}\n"
    assert read(save(twice.format("1.0"))).counts == {"used": 1, "repeated": 1}
    with pytest.raises(OptionsError, match="another reading of the same time, 1 and 2 mm"):
        read(save(twice.format(2)))
    assert only(read(save(twice.format(""))))[0] == 1  # a number and a gap are no contradiction


def test_times_that_are_not_wanted(save: Save) -> None:
    path = save("time,name,mm\n" + "".join(f"2022-06-09 {hour}:00,서울,{hour}\n" for hour in range(10, 15)))
    readings = read(path, start=NOON - HOUR, end=NOON + HOUR)
    assert readings.times == [NOON - HOUR, NOON]  # 11 to 12 and 12 to 13
    assert readings.counts["other_time"] == 3
    there = "the file has 2022-06-09 09:00 to 2022-06-09 14:00 KST"  # 09:00 to 10:00 is the first step
    with pytest.raises(OptionsError, match=f"contains no reading .*left out: 5; {there}$"):
        read(path, start=NOON + 24 * HOUR)


def test_a_step_that_the_times_do_not_have_is_reported(save: Save) -> None:
    path = save("time,name,mm\n" + "".join(f"2022-06-09 {hour}:00,서울,{hour}\n" for hour in range(10, 15)))
    text = "readings are mostly 1h apart, but each is taken as rain of 10min: is --step right?"
    assert text in read(path, step=TEN).notes()
    assert text in read(path, step=TEN, start=NOON, end=NOON + HOUR).notes()  # one of them is wanted
    assert not any("mostly" in note for note in read(path).notes())


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", r"line 1: must name a column time \(or time_utc, time_kst, 일시\); found nothing$"),
        ("when,name,mm\n", "must name a column time"),
        (
            "시간자료,,\n\n지점명,일시,강수량(mm)\n서울,2022-06-09 12:00,1\n",
            "line 1: must name a column time .*; line 3 has the columns 일시: delete the lines above it$",
        ),
        (',,강수량\n"지점명";"일시";"1시간"\n', "; line 2 has the columns 일시: delete the lines above it$"),
        ("sep=;\nwhen;서울\n", "line 2: must name a column time .*; found when, 서울$"),
        ("sep=;\ntime;서울\n2022-06-09 12:00;x\n", "'x' is no number: line 3"),
        ("time,name,a,b\n", "several could be it"),
        ("time,name\n", "none is there"),
        ('time,name,mm\n"' + "\n" * 200_000, r"line \d+: has a cell of more than 131,072 letters: is a quote"),
        (f"time,name,mm\n2022-06-09 12:00,서울,{'9' * 9000}\n", f"csv: '{'9' * 99} is no number: line 2"),
        ("time,name,mm,mm\n", "has the column 'mm' twice"),
        ("time,부산\n", r"neither a column name \(or 지점명\) nor a column called as a gauge \(서울, 인천, 수원\)"),
        ("time,name,mm\n", "contains no reading"),
        (
            "time,name,mm\n2022-06-09 12:00,108,1\n",
            r"no gauge in the list, left out: 1 \(108\); the list has 서울, 인천, 수원$",
        ),
    ],
)
def test_a_file_that_is_none(save: Save, text: str, message: str) -> None:
    with pytest.raises(OptionsError, match=message):
        read(save(text))


def test_the_line_that_names_the_separator_for_excel(save: Save) -> None:
    readings = read(save("sep=;\r\ntime;서울;인천\r\n2022-06-09 12:00;1.5;2\r\n", encoding="utf-8-sig"))
    assert only(readings)[:2] == [1.5, 2]


def test_which_column(save: Save) -> None:
    path = save("지점,지점명,일시,기온(°C),강수량(mm)\n108,서울,2022-06-09 12:00,20.1,1.5\n")
    assert only(read(path, column="강수량(mm)"))[0] == 1.5
    assert only(read(path))[0] == 1.5
    with pytest.raises(OptionsError, match="several could be it"):
        read(save("지점명,일시,강수량(mm),강수량 1시간(mm)\n서울,2022-06-09 12:00,20.1,1.5\n"))
    with pytest.raises(OptionsError, match="has no column 'rain'"):
        read(path, column="rain")


def test_korean_files_of_another_encoding(save: Save) -> None:
    path = save("time,name,mm\n2022-06-09 12:00,서울,1\n", encoding="cp949")
    with pytest.raises(OptionsError, match=r"must be UTF-8.*--encoding cp949"):
        read(path)
    assert only(read(path, encoding="cp949"))[0] == 1
    with pytest.raises(OptionsError, match="is neither UTF-8 nor cp949, but UTF-16"):
        read(save("time,name,mm\n2022-06-09 12:00,서울,1\n", encoding="utf-16"), encoding="cp949")


def test_a_name_in_other_jamo_is_the_same(save: Save) -> None:
    import unicodedata  # noqa: PLC0415

    path = save(unicodedata.normalize("NFD", "time,name,mm\n2022-06-09 12:00,서울,1\n"))
    assert only(read(path))[0] == 1


@pytest.mark.parametrize(
    ("rules", "message"),
    [
        ({"step": timedelta(minutes=7)}, "divide a day"),
        ({"stamp": "middle"}, "stamp 'middle'"),
        ({"unit": "inch"}, "unit 'inch'"),
        ({"empty": "dry"}, "empty 'dry'"),
        ({"missing": (0.0,)}, "could be rain"),
        ({"most_mm": 0.0}, "max_rain 0: expected a depth above 0"),
        ({"most_mm": math.nan}, "max_rain nan: expected a depth above 0"),
        ({"encoding": "klingon"}, "encoding 'klingon' is not known"),
        ({"start": NOON, "end": NOON}, "later than start"),
        ({"start": datetime(2022, 6, 9)}, "give it a time zone"),  # noqa: DTZ001 - on purpose
    ],
)
def test_rules_that_cannot_be(rules: dict[str, Any], message: str) -> None:
    with pytest.raises(OptionsError, match=message):
        ReadingRules(**{"step": HOUR, **rules})


# --- between gauges

POINTS = arrays(np.float64, st.tuples(st.integers(1, 12), st.just(2)), elements=st.integers(-50, 50).map(float))


@given(POINTS)
def test_thiessen_is_the_nearest(xy: np.ndarray[Any, Any]) -> None:
    x, y = (axis.astype(float) for axis in np.mgrid[-60:60:7, -60:60:7])
    index, distance = Nearest(xy).of(x, y)
    every = np.hypot(x[..., None] - xy[:, 0], y[..., None] - xy[:, 1])
    assert np.allclose(distance, every.min(axis=-1), rtol=1e-12)
    assert np.allclose(np.take_along_axis(every, index[..., None], -1)[..., 0], every.min(axis=-1), rtol=1e-12)


def test_of_two_gauges_at_one_distance_it_is_the_first() -> None:
    for xy in ([[0.0, 0], [2, 0]], [[2.0, 0], [0, 0]]):
        index, distance = Nearest(np.array(xy)).of(np.array([1.0]), np.array([0.0]))
        assert (index[0], distance[0]) == (0, 1)


def test_inverse_distance_by_hand() -> None:
    # Gauges 1, 2 and 4 away with 10, 20 and 40 mm. By power 2 they weigh 1, 1/4 and 1/16:
    # (10 + 5 + 2.5) / 1.3125 = 13.333; by power 1 and two of them (10 + 10) / 1.5 = 13.333 as well.
    xy, values = np.array([[1.0, 0], [-2, 0], [0, 4]]), np.array([10.0, 20, 40])
    zero = np.zeros(1)
    assert InverseDistance(xy, 2, 12).at(zero, zero, values)[0] == pytest.approx(17.5 / 1.3125)
    assert InverseDistance(xy, 1, 2).at(zero, zero, values)[0] == pytest.approx(20 / 1.5)
    assert InverseDistance(xy, 2, 3).at(np.array([-2.0]), zero, values)[0] == 20
    assert InverseDistance(xy * 1e6, 80, 3).at(zero, zero, values)[0] == pytest.approx(10)  # no overflow


THREE = np.array([[0.0, 0], [10_000, 0], [5000, 50_000]])
MIDDLE = np.array([5000.0]), np.array([0.0])


def test_kriging_of_three_gauges_by_hand() -> None:
    """No two gauges are nearer than the range of 10 km: they tell nothing of each other, and C is 4 times the identity.

    The point is 5 km from A and B, half the range: the spherical correlation is 1 - 3/2 (1/2) + 1/2 (1/8) = 0.3125; to
    C it is 0. With C w + m = c and a sum of 1, in units of the sill: w = c - m, 0.625 - 3 m = 1, m = -0.125;
    w = 0.4375, 0.4375, 0.125. The estimate is 0.4375 x 8 + 0.4375 x 16 + 0.125 x 40 = 15.5,
    the variance 4 (1 - 2 x 0.4375 x 0.3125 + 0.125) = 3.40625.
    """
    kriging = Kriging(THREE, Variogram("spherical", 10_000, 4.0))
    correlation = kriging.correlation_to(*MIDDLE)
    assert estimate(correlation, *kriging.estimator(np.array([8.0, 16, 40])))[0] == pytest.approx(15.5, rel=1e-12)
    assert kriging.deviation(correlation)[0] ** 2 == pytest.approx(3.40625, rel=1e-12)


def test_a_nugget_by_hand() -> None:
    """As above with a nugget of 1 in the sill of 4: c = 0.75 x 0.3125 = 0.234375, m = (0.46875 - 1) / 3 = -17/96.

    w = 0.234375 + 17/96 = 79/192 twice, 17/96 once: 24 x 79/192 + 40 x 17/96 = 9.875 + 7.08333 = 16.958333.
    """
    kriging = Kriging(THREE, Variogram("spherical", 10_000, 4.0, 1.0))
    made = estimate(kriging.correlation_to(*MIDDLE), *kriging.estimator(np.array([8.0, 16, 40])))
    assert made[0] == pytest.approx(9.875 + 40 * 17 / 96, rel=1e-12)


@pytest.mark.parametrize("model", ["spherical", "exponential", "gaussian"])
def test_kriging_is_that_of_gstools(model: Any) -> None:
    rng = np.random.default_rng(5)
    xy, points = rng.uniform(0, 2e5, (25, 2)), rng.uniform(-2e4, 2.2e5, (200, 2))
    values = rng.gamma(1, 5, 25)
    kriging = Kriging(xy, Variogram(model, 60_000, 25, 2))
    # The effective range, at which 5 % of the correlation is left, in GSTools' own scale of each model.
    kind, scale = {
        "spherical": (gstools.Spherical, 1.0),
        "exponential": (gstools.Exponential, 1 / np.log(20)),
        "gaussian": (gstools.Gaussian, np.sqrt(np.pi) / 2 / np.sqrt(np.log(20))),
    }[model]
    oracle = gstools.krige.Ordinary(kind(dim=2, var=23, nugget=2, len_scale=60_000 * scale), xy.T, values)
    expected, variance = oracle(points.T)
    correlation = kriging.correlation_to(*points.T)
    assert np.allclose(estimate(correlation, *kriging.estimator(values)), expected, rtol=0, atol=1e-9)
    assert np.allclose(kriging.deviation(correlation) ** 2, variance, rtol=0, atol=1e-9)


def test_kriging_goes_through_gauges_without_a_nugget() -> None:
    rng = np.random.default_rng(6)
    xy, values = rng.uniform(0, 2e5, (12, 2)), rng.gamma(1, 5, 12)
    kriging = Kriging(xy, Variogram("exponential", 90_000, 25))
    at_gauges = kriging.correlation_to(*xy.T)
    assert np.allclose(estimate(at_gauges, *kriging.estimator(values)), values, atol=1e-9)
    assert np.allclose(kriging.deviation(at_gauges), 0, atol=1e-6)


def test_kriging_that_cannot_be() -> None:
    close = np.array([[0.0, 0], [1e-3, 0], [50_000, 0], [0, 50_000]])
    with pytest.raises(OptionsError, match="needs a nugget"):
        Kriging(close, Variogram("gaussian", 100_000, 1))
    with pytest.raises(OptionsError, match="too few to krige"):
        Kriging(close[:2], Variogram("spherical", 100_000, 1))
    for wrong in ((0.0, 1.0, 0.0), (1.0, 0.0, 0.0), (1.0, 1.0, 2.0), (1.0, 1.0, -1.0), (np.inf, 1.0, 0.0)):
        with pytest.raises(OptionsError, match="variogram"):
            Variogram("spherical", *wrong)


@pytest.mark.parametrize("model", ["spherical", "exponential", "gaussian"])
def test_a_fit_finds_the_variogram_that_it_is_shown(model: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The differences follow a variogram of 40 km, sill 9 and nugget 1 to the digit; by hand, not by GSTools."""
    xy = np.array([[0.0, 0], [60_000, 80_000], *np.random.default_rng(1).uniform(0, 50_000, (18, 2))])
    values = np.random.default_rng(2).gamma(1, 5, 20)
    share = np.linspace(0.02, 0.9, 15)  # of the span, 100 km
    h = share * 100_000 / 40_000
    grown = {
        "spherical": np.where(h < 1, 1.5 * h - 0.5 * h**3, 1),
        "exponential": 1 - 0.05**h,
        "gaussian": 1 - 0.05 ** (h**2),
    }[model]
    shown = share, (1 + 8 * grown) / values.var(), np.arange(15, 0, -1)
    monkeypatch.setattr(gstools, "vario_estimate", lambda *_args, **_options: shown)
    fitted = fit_variogram(xy, values, model)
    assert fitted is not None
    assert not fitted.doubtful
    assert fitted.range_m == pytest.approx(40_000, rel=1e-3)
    assert fitted.sill_mm2 == pytest.approx(9, rel=1e-3)
    assert fitted.nugget_mm2 == pytest.approx(1, rel=1e-2)
    assert fitted.r2 == pytest.approx(1, abs=1e-6)


def test_a_fit_does_not_depend_on_the_units() -> None:
    rng = np.random.default_rng(9)
    xy, values = rng.uniform(0, 1e5, (60, 2)), rng.gamma(1, 5, 60)
    one, other = fit_variogram(xy, values, "spherical"), fit_variogram(1024 * xy, 8 * values, "spherical")
    assert one is not None
    assert other is not None
    assert other.range_m == pytest.approx(1024 * one.range_m, rel=1e-12)
    assert other.sill_mm2 == pytest.approx(64 * one.sill_mm2, rel=1e-12)
    assert one.sill_mm2 == pytest.approx(values.var(), rel=0.5)


def test_a_fit_that_cannot_be() -> None:
    xy = np.random.default_rng(0).uniform(0, 1e5, (12, 2))
    assert fit_variogram(xy[:9], np.arange(9.0), "spherical") is None
    assert fit_variogram(xy, np.ones(12), "spherical") is None


def test_the_range_of_a_fit_is_at_most_half_of_the_network() -> None:
    """Rain that grows steadily has no range: the fit ends at its bound, and is in doubt."""
    xy = np.random.default_rng(3).uniform(0, 1e5, (60, 2))
    fitted = fit_variogram(xy, xy[:, 0] / 1000, "spherical")
    assert fitted is not None
    assert fitted.range_m == pytest.approx(np.hypot(*np.ptp(xy, axis=0)) / 2, rel=0.01)
    assert fitted.r2 is not None
    assert fitted.r2 > 0.3
    assert fitted.doubtful


def test_the_mean_variogram_by_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    """Periods count by their pairs, each in units of its variance: the mean of two is what is fitted."""
    xy = np.random.default_rng(1).uniform(0, 50_000, (12, 2))
    span = float(np.hypot(*np.ptp(xy, axis=0)))
    first, second = np.arange(12.0), np.array([*np.arange(11.0) ** 2, np.nan])
    h = np.linspace(0.02, 0.3, 8)
    curve = 0.2 + 0.8 * np.where(h < 0.25, 1.5 * h / 0.25 - 0.5 * (h / 0.25) ** 3, 1)  # range 0.25, a nugget of a fifth
    seen: list[Any] = []

    def shown(_xy: object, values: Any, edges: Any, **_options: object) -> object:
        seen.append(values)
        add, pairs = (0.3, 30.0) if len(seen) == 1 else (-0.9, 10.0)  # 30 x 0.3 - 10 x 0.9 = 0
        assert len(edges) == 9
        return h, curve + add, np.full(8, pairs)

    monkeypatch.setattr(gstools, "standard_bins", lambda *_args, **_options: np.linspace(0, 0.32, 9))
    monkeypatch.setattr(gstools, "vario_estimate", shown)
    mean = mean_variogram(xy, [first, np.full(12, 3.0), second], "spherical")  # the middle one has one value
    assert [len(values) for values in seen] == [12, 11]
    assert [values.var() for values in seen] == pytest.approx([1, 1])
    assert mean is not None
    assert (mean.range_m, mean.sill_mm2, mean.nugget_mm2) == pytest.approx((0.25 * span, 1, 0.2), rel=1e-2)
    assert mean.periods == 2
    assert mean.times(7.0).sill_mm2 == pytest.approx(7, rel=1e-2)
    assert mean_variogram(xy, [first], "spherical") is None


def test_kriging_of_skewed_hours_is_no_worse_than_a_fixed_range_or_inverse_distance() -> None:
    """15 hours at 60 gauges; each gauge is left out in turn."""
    xy, hours = skewed_hours(seed=0, hours=15)
    errors, variograms, notes = left_out_errors(xy, hours)
    assert errors["automatic"] <= min(errors["range 30 km"], errors["inverse distance"])
    (note,) = notes
    text, _colon, count = note.rpartition(": ")
    assert text == "periods that do not show a variogram of their own, kriged with the mean of all"
    by_mean, total = map(int, count.split(" of "))
    assert 0 < by_mean < total == 15
    assert max(one.range_m for one in variograms) < 0.5 * np.hypot(*np.ptp(xy, axis=0))
    assert not any(one.doubtful for one in variograms)
    assert [one.periods for one in variograms].count(15) == by_mean


def test_a_single_period_in_doubt_has_its_own_variogram_and_a_note() -> None:
    xy = np.random.default_rng(3).uniform(0, 1e5, (60, 2))
    values = xy[:, 0] / 1000
    alone = Variograms(xy, lambda: [values], "spherical")
    assert alone.of(np.ones(60, bool), values).doubtful
    assert alone.notes == [
        "variograms in doubt (R2 below 0.3, or a range of half the network; better give --range and --sill): 1 of 1"
    ]


def test_few_gauges_are_kriged_with_the_mean_variogram_of_all_periods(save: Save, tmp_path: Path) -> None:
    text, spots, names = many(9, 1)
    rain = np.array(spots)[:, 1]
    lines = [
        f"2022-06-09 {12 + hour}:00,{name},{5 + (rain[number] - rain.min()) * (1 + hour):.1f}"
        for hour in range(3)
        for number, name in enumerate(names)
    ]
    gauges = save(text, "gauges.csv")
    run = fields(save("time,name,mm\n" + "\n".join(lines) + "\n"), gauges, tmp_path / "out", method="kriging")
    assert list(run.failed) == []
    assert len(run.written) == 3
    _bands, tags, _transform = bands(run.written[0])
    assert tags["VARIOGRAM_FROM"].startswith("a mean of 3 periods with R2 ")
    assert "periods that do not show a variogram of their own, kriged with the mean of all: 3 of 3" in run.notes


def test_gauges_at_one_place_are_one_and_those_outside_are_none() -> None:
    lonlat = ((127.0, 37.0), (127.000001, 37.0), (128.0, 37.0), (100.0, 10.0))  # 0.09 m apart
    placed = network(("a", "b", "c", "d"), lonlat, GRID)
    assert placed.place.tolist() == [0, 0, 1, -1]
    assert placed.shared == ["a", "b"]
    assert placed.outside == ["d"]
    assert placed.at_places(np.array([1.0, 3, 5, 7])).tolist() == [2, 5]
    assert placed.at_places(np.array([np.nan, 3, 5, 7])).tolist() == [3, 5]
    assert np.isnan(placed.at_places(np.array([np.nan, np.nan, 5, 7]))[0])


# --- fields


def cell(row: float, col: float) -> tuple[float, float]:
    """Return longitude and latitude of a cell of the window, counted in the window."""
    lon, lat = GRID.lonlat(WINDOW[1] + row, WINDOW[0] + col)
    return float(lon), float(lat)


SPOTS = [(2.2, 3.1), (25.4, 8.3), (12.0, 33.7), (-40.3, 15.2), (20.1, 22.8)]
"""Row and column of gauges in the window; the fourth is north of it."""
SPOT_NAMES = tuple(f"관측소{number}" for number in range(len(SPOTS)))


@pytest.fixture
def stations(save: Save) -> Path:
    rows = [
        f"{name},{lon!r},{lat!r}" for name, (lon, lat) in zip(SPOT_NAMES, (cell(*spot) for spot in SPOTS), strict=True)
    ]
    return save("name,lon,lat\n" + "\n".join(rows) + "\n", "gauges.csv")


def table(*hours: tuple[float | str, ...]) -> str:
    """Return readings of each hour from 12:00 on, which stand for the hour before."""
    lines = [
        f"{NOON + number * HOUR:%Y-%m-%d %H:%M},{name},{value}"
        for number, values in enumerate(hours)
        for name, value in zip(SPOT_NAMES, values, strict=True)
    ]
    return "time,name,rain_mm\n" + "\n".join(lines) + "\n"


def fields(readings: Path, gauges: Path, out: Path, **options: Any) -> GaugeFields:
    if not {"regions", "bbox"} & set(options):
        options.setdefault("window", WINDOW)
    rules = {"step": options.pop("step", HOUR), **options.pop("rules", {})}
    run = gauge_fields(readings, out, GaugeFieldOptions(gauges=gauges, readings=ReadingRules(**rules), **options))
    list(run)
    return run


def bands(path: Path) -> tuple[list[Any], dict[str, str], Any]:
    """Return bands in their units, NaN where nothing is known, tags, and the transform."""
    with rasterio.open(path) as dataset:
        stored = dataset.read(masked=True)
        values = [band.astype(float).filled(np.nan) * scale for band, scale in zip(stored, dataset.scales, strict=True)]
        return values, dataset.tags(), dataset.transform


def distances(spots: list[tuple[float, float]]) -> Any:
    """Return the distance [m] of each cell of the window to each gauge: cells are 500 m."""
    rows, cols = np.mgrid[: WINDOW[3], : WINDOW[2]]
    return np.stack([500 * np.hypot(rows - row, cols - col) for row, col in spots])


DEPTHS = (1.0, 2.5, 4.25, 8.0, 0.0)


def test_a_thiessen_field_is_what_brute_force_finds(save: Save, stations: Path, tmp_path: Path) -> None:
    run = fields(save(table(DEPTHS)), stations, tmp_path / "out")
    path = tmp_path / "out/202206/09/gauges_thiessen_1h_202206091100.tif"
    assert run.written == [path]
    (depth, distance), tags, transform = bands(path)
    every = distances(SPOTS)
    assert (depth == np.array(DEPTHS)[every.argmin(axis=0)]).all()
    assert np.abs(distance - every.min(axis=0)).max() <= 0.51  # whole metres, and where PROJ puts the gauges
    assert (transform.c, transform.f) == (GRID.transform.c + 500 * WINDOW[0], GRID.transform.f - 500 * WINDOW[1])
    assert tags["METHOD"] == "thiessen"
    assert (tags["TIME_START_UTC"], tags["TIME_END_KST"]) == ("2022-06-09T02:00:00Z", "2022-06-09T12:00:00+09:00")
    assert (tags["GAUGES_USED"], tags["GAUGES_LISTED"], tags["READING_STAMP"]) == ("5", "5", "end")
    assert "LICENCE" not in tags  # whose gauges they are nobody said
    valid, errors, warned = cog_validate(path, strict=True)
    assert (valid, errors, warned) == (True, [], [])


def test_a_missing_reading_leaves_its_gauge_out(save: Save, stations: Path, tmp_path: Path) -> None:
    run = fields(save(table((1.0, "", 4.25, 8.0, -99.9))), stations, tmp_path, rules={"missing": (-99.9,)})
    (depth, _distance), tags, _transform = bands(run.written[0])
    left = [0, 2, 3]
    nearest = distances([SPOTS[number] for number in left]).argmin(axis=0)
    assert (depth == np.array(DEPTHS)[left][nearest]).all()
    assert (tags["GAUGES_USED"], tags["READINGS_MISSING"]) == ("3", "2")


def test_cells_far_from_every_gauge_are_not_known(save: Save, stations: Path, tmp_path: Path) -> None:
    run = fields(save(table(DEPTHS)), stations, tmp_path, max_distance_km=4)
    (depth, distance), tags, _transform = bands(run.written[0])
    far = distances(SPOTS).min(axis=0) > 4000
    assert 0 < far.sum() < far.size
    assert (np.isnan(depth) == far).all()
    assert not np.isnan(distance).any()
    assert tags["MAX_DISTANCE_KM"] == "4"


def test_an_idw_field(save: Save, stations: Path, tmp_path: Path) -> None:
    run = fields(save(table(DEPTHS)), stations, tmp_path, method="idw", power=3.0, neighbours=4)
    (depth, _distance), tags, _transform = bands(run.written[0])
    every = distances(SPOTS)
    weights = np.where(np.argsort(np.argsort(every, axis=0), axis=0) < 4, every**-3.0, 0)
    expected = np.tensordot(np.array(DEPTHS), weights, 1) / weights.sum(axis=0)
    assert np.abs(depth - expected).max() < 0.0051
    assert (tags["IDW_POWER"], tags["IDW_NEIGHBOURS"]) == ("3", "4")


def test_a_kriged_field_and_what_was_negative(save: Save, stations: Path, tmp_path: Path) -> None:
    given = {"variogram": "exponential", "range_km": 60, "sill_mm2": 30.0, "nugget_mm2": 0.5}
    values = (0.0, 40.0, 0.0, 0.0, 0.0)
    run = fields(save(table(values)), stations, tmp_path, method="kriging", **given)
    (depth, _distance, deviation), tags, _transform = bands(run.written[0])
    x, y = GRID.project(*np.array([cell(*spot) for spot in SPOTS]).T)
    rows, cols = np.mgrid[: WINDOW[3], : WINDOW[2]]
    t = GRID.transform
    points = t.c + 500 * (WINDOW[0] + cols + 0.5), t.f - 500 * (WINDOW[1] + rows + 0.5)
    model = gstools.Exponential(dim=2, var=29.5, nugget=0.5, len_scale=60_000 / np.log(20))
    expected, variance = gstools.krige.Ordinary(model, (x, y), values)([axis.ravel() for axis in points])
    assert expected.min() < -0.05
    assert np.abs(depth.ravel() - np.maximum(expected, 0)).max() < 0.0051
    assert np.abs(deviation.ravel() - np.sqrt(variance)).max() < 0.0051
    below = int((expected < 0).sum())
    assert tags["COUNT_NEGATIVE_TO_ZERO"] == str(below)
    assert run.clipped == below
    assert f"cells estimated below 0 mm, set to 0: {below:,}" in run.notes
    assert tags["VARIOGRAM_FROM"] == "options"
    assert (tags["VARIOGRAM_RANGE_KM"], tags["VARIOGRAM_SILL_MM2"]) == ("60", "30")


def many(count: int, seed: int) -> tuple[str, Any, list[str]]:
    """Return a file of gauges in the window, their rows and columns, and their names."""
    spots = np.random.default_rng(seed).uniform(0, 30, (count, 2))
    names = [f"g{number}" for number in range(count)]
    lines = [f"{name},{cell(*spot)[0]!r},{cell(*spot)[1]!r}" for name, spot in zip(names, spots, strict=True)]
    return "name,lon,lat\n" + "\n".join(lines) + "\n", spots, names


def test_a_fitted_variogram_is_reported_and_a_dry_hour_needs_none(save: Save, tmp_path: Path) -> None:
    text, spots, names = many(30, 1)
    gauges = save(text, "gauges.csv")
    lines = [f"2022-06-09 12:00,{name},{spot[0]:.1f}" for name, spot in zip(names, spots, strict=True)]
    lines += [f"2022-06-09 13:00,{name},0" for name in names]
    lines += [f"2022-06-09 14:00,{name},{number}" for number, name in enumerate(names[:9])]
    run = fields(save("time,name,mm\n" + "\n".join(lines) + "\n"), gauges, tmp_path / "out", method="kriging")
    assert len(run.written) == 2
    _bands, tags, _transform = bands(run.written[0])
    message, r2 = tags["VARIOGRAM_FROM"].rsplit(" ", 1)
    assert message == "a fit with R2"
    assert 0.5 < float(r2) <= 1  # rain that grows steadily to the south
    (depth, _distance, deviation), tags, _transform = bands(run.written[1])
    assert (depth == 0).all()
    assert np.isnan(deviation).all()
    assert tags["VARIOGRAM"] == "none: all gauges have one value"
    (failed,) = run.failed
    assert failed.period.start == NOON + HOUR
    message = "9 gauges do not show a variogram (a fit takes 10), nor do all periods together: give --range and --sill"
    assert failed.problem == message


def test_readings_are_summed_over_whole_periods_only(save: Save, stations: Path, tmp_path: Path) -> None:
    lines = [
        f"{NOON + number * TEN:%Y-%m-%dT%H:%M},{name},{0.5 + place}"
        for number in range(1, 7)
        for place, name in enumerate(SPOT_NAMES)
        if (number, place) != (3, 1)
    ]
    source = save("time,name,mm\n" + "\n".join(lines) + "\n")
    run = fields(source, stations, tmp_path / "a", step=TEN, period=HOUR)
    (depth, _distance), tags, _transform = bands(tmp_path / "a/202206/09/gauges_thiessen_1h_202206091200.tif")
    left = [0, 2, 3, 4]
    nearest = distances([SPOTS[number] for number in left]).argmin(axis=0)
    assert (depth == np.array([3.0, 15, 21, 27])[nearest]).all()  # six times 0.5, 2.5, 3.5 and 4.5
    assert tags["GAUGES_SHORT"] == "1"
    assert any("(--min-coverage)" in note for note in run.notes)
    run = fields(source, stations, tmp_path / "b", step=TEN, period="event", min_coverage=5 / 6)
    assert run.written == [tmp_path / "b/gauges_thiessen_event_202206091200_202206091300.tif"]
    (depth, _distance), _tags, _transform = bands(run.written[0])
    assert (depth == np.array([3.0, 7.5, 15, 21, 27])[distances(SPOTS).argmin(axis=0)]).all()  # five times 1.5


def test_only_one_time(save: Save, stations: Path, tmp_path: Path) -> None:
    source = save(table(DEPTHS, DEPTHS, DEPTHS))
    at = NOON + HOUR
    assert [path.name for path in fields(source, stations, tmp_path, at=at).written] == [
        "gauges_thiessen_1h_202206091200.tif"
    ]
    started = fields(source, stations, tmp_path, at=at, rules={"stamp": "start"})
    assert [path.name for path in started.written] == ["gauges_thiessen_1h_202206091300.tif"]


def test_a_gap_is_reported(save: Save, stations: Path, tmp_path: Path) -> None:
    text = table(DEPTHS) + table(DEPTHS).split("\n", 1)[1].replace("12:00", "16:00")
    run = fields(save(text), stations, tmp_path)
    assert len(run.written) == 2
    assert "periods without any reading, and without a file: 3" in run.notes


def test_another_projection_measures_in_the_composites_metres(save: Save, stations: Path, tmp_path: Path) -> None:
    west, south, east, north = *cell(29, 0), *cell(0, 39)
    run = fields(
        save(table(DEPTHS)), stations, tmp_path, bbox=(west, south, east, north), crs="EPSG:4326", resolution=0.005
    )
    (depth, distance), tags, transform = bands(run.written[0])
    rows, cols = np.mgrid[: depth.shape[0], : depth.shape[1]]
    x, y = GRID.project(transform.c + 0.005 * (cols + 0.5), transform.f - 0.005 * (rows + 0.5))
    gauges_x, gauges_y = GRID.project(*np.array([cell(*spot) for spot in SPOTS]).T)
    every = np.hypot(x[..., None] - gauges_x, y[..., None] - gauges_y)
    ordered = np.sort(every, axis=-1)
    clear = ordered[..., 1] - ordered[..., 0] > 0.01
    assert (depth == np.array(DEPTHS)[every.argmin(axis=-1)])[clear].all()
    assert clear.mean() > 0.99
    assert np.abs(distance - every.min(axis=-1)).max() < 0.51
    assert tags["DISTANCES"] == "metres of kma-hb-500m"
    with rasterio.open(run.written[0]) as dataset:
        assert dataset.crs.to_epsg() == 4326


def test_cells_that_no_composite_has_are_not_known(save: Save, tmp_path: Path) -> None:
    # The south-west corner of the grid lies askew in degrees: part of the rectangle around it is outside.
    left, bottom, _right, _top = GRID.bounds
    del left, bottom
    lon, lat = GRID.lonlat(2870, 10)
    gauges = save(f"name,lon,lat\na,{float(lon)!r},{float(lat)!r}\n", "g.csv")
    source = save("time,name,mm\n2022-06-09 12:00,a,1\n")
    run = fields(source, gauges, tmp_path, window=(0, 2861, 20, 20), crs="EPSG:4326", resolution=0.005)
    (depth, distance), _tags, transform = bands(run.written[0])
    rows, cols = np.mgrid[: depth.shape[0], : depth.shape[1]]
    x, y = GRID.project(transform.c + 0.005 * (cols + 0.5), transform.f - 0.005 * (rows + 0.5))
    edge = GRID.bounds
    outside = (x < edge[0]) | (x > edge[2]) | (y < edge[1]) | (y > edge[3])
    assert 0 < outside.sum() < outside.size
    assert (np.isnan(depth) == outside).all()
    assert (np.isnan(distance) == outside).all()


def test_regions_and_the_same_bytes_with_any_jobs(save: Save, tmp_path: Path) -> None:
    text, spots, names = many(20, 4)
    gauges = save(text, "gauges.csv")
    lines = [f"2022-06-09 12:00,{name},{spot[0]:.1f}" for name, spot in zip(names, spots, strict=True)]
    source = save("time,name,mm\n" + "\n".join(lines) + "\n")
    lon, lat = cell(15, 15)
    boxes = save(
        f"name,west,south,east,north\n동,{lon},{lat},{lon + 1},{lat + 1}\n서,{lon - 1},{lat},{lon},{lat + 1}\n", "r.csv"
    )
    one, two = (
        fields(
            source, gauges, tmp_path / str(jobs), regions=boxes, jobs=jobs, method="kriging", range_km=20, sill_mm2=9.0
        )
        for jobs in (1, 2)
    )
    assert [path.relative_to(tmp_path / "1").parts[0] for path in one.written] == ["동", "서"]
    assert [path.read_bytes() for path in one.written] == [path.read_bytes() for path in two.written]


@pytest.mark.parametrize(
    "options",
    [
        {"method": "thiessen"},
        {"method": "idw", "max_distance_km": 5},
        {"method": "kriging", "max_distance_km": 5},
        {"method": "kriging", "range_km": 20, "sill_mm2": 9.0},
    ],
)
def test_a_field_does_not_depend_on_those_before_it(save: Save, tmp_path: Path, options: dict[str, Any]) -> None:
    text, _spots, names = many(16, 4)
    gauges = save(text, "gauges.csv")
    depths = np.random.default_rng(0).gamma(1, 5, (5, 16)).round(1)
    depths[1] = 0  # gauges of one value
    depths[2, 3:6] = -1  # other gauges
    lines = [
        f"{NOON + hour * HOUR:%Y-%m-%d %H:%M},{name},{depth}"
        for hour, row in enumerate(depths)
        for name, depth in zip(names, row, strict=True)
    ]
    source = save("time,name,mm\n" + "\n".join(lines) + "\n")
    rules = {"missing": (-1.0,)}
    lon, lat = cell(15, 15)
    boxes = [
        hsrgeo.Region("near", hsrgeo.BBox(lon, lat, lon + 0.1, lat + 0.1)),
        hsrgeo.Region("far", hsrgeo.BBox(lon + 1, lat, lon + 1.1, lat + 0.1)),
    ]
    whole = fields(source, gauges, tmp_path / "all", regions=boxes, rules=rules, **options)
    assert len(whole.written) == 10
    for hour in range(5):
        alone = fields(
            source, gauges, tmp_path / str(hour), regions=boxes, rules=rules, at=NOON + hour * HOUR, **options
        )
        for path in alone.written:
            # The counts of readings in the tags are those of the run.
            other = tmp_path / "all" / path.relative_to(tmp_path / str(hour))
            for one, two in zip(bands(path)[0], bands(other)[0], strict=True):
                assert np.array_equal(one, two, equal_nan=True)
            if options.get("max_distance_km"):
                assert np.isnan(bands(path)[0][0]).all() == ("far" in path.parts)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"method": "spline"}, "method 'spline'"),
        ({"power": 2.0}, "power is for method idw, not for thiessen"),
        ({"method": "idw", "range_km": 3.0}, "^range is for method kriging"),
        ({"method": "idw", "power": 0.0}, "power 0"),
        ({"method": "idw", "neighbours": 0}, "neighbours 0"),
        ({"method": "kriging", "range_km": 3.0}, "range and sill go together"),
        ({"method": "kriging", "nugget_mm2": 3.0}, "nugget is of a given variogram"),
        ({"method": "kriging", "range_km": -3.0, "sill_mm2": 1.0}, "range -3 km"),
        ({"method": "kriging", "variogram": "cubic"}, "variogram 'cubic'"),
        ({"method": "kriging", "min_gauges": 2}, "kriging needs 3"),
        ({"min_gauges": 0}, "min_gauges 0"),
        ({"min_coverage": 0.0}, "min_coverage 0"),
        ({"max_distance_km": 0.0}, "max_distance 0 km"),
        ({"grid": "mars"}, "grid 'mars'"),
        ({"period": timedelta(minutes=30)}, "^period 30min: must divide a day evenly, and be whole steps of 1h"),
        ({"period": "week"}, "period 'week'"),
        ({"at": NOON + TEN}, "not on whole periods"),
        ({"at": NOON, "period": "event"}, "at is one period"),
        ({"bbox": (126, 37, 127, 38)}, "one area"),
        ({"resolution": 100.0}, "go with crs"),
    ],
)
def test_options_that_cannot_be(stations: Path, options: dict[str, Any], message: str) -> None:
    with pytest.raises(OptionsError, match=message):
        GaugeFieldOptions(gauges=stations, readings=ReadingRules(step=HOUR), **{"window": WINDOW, **options})


def test_no_gauge_on_the_grid(save: Save, tmp_path: Path) -> None:
    gauges = save("name,lon,lat\na,10,50\n", "far.csv")
    with pytest.raises(OptionsError, match="no gauge lies on the grid"):
        fields(save("time,name,mm\n2022-06-09 12:00,a,1\n"), gauges, tmp_path)


@pytest.mark.parametrize(("module", "method"), [("scipy", "thiessen"), ("gstools", "kriging")])
def test_a_missing_library_says_what_to_install(
    save: Save, stations: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, module: str, method: str
) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(MissingExtraError, match=r"pip install 'hsrgeo\[gauges\]'"):
        fields(save(table(DEPTHS)), stations, tmp_path / "out", method=method)
    assert not (tmp_path / "out").exists()


# --- polygons


def test_polygons_share_the_box_among_the_gauges(stations: Path, tmp_path: Path) -> None:
    west, south, east, north = *cell(60, -20), *cell(-60, 60)
    out = tmp_path / "thiessen.geojson"
    made = thiessen_polygons(stations, out, bbox=(west, south, east, north))
    assert made.gauges == 5
    features = json.loads(out.read_text(encoding="utf-8"))["features"]
    assert [feature["properties"]["name"] for feature in features] == list(SPOT_NAMES)
    shapes = []
    for feature in features:
        (ring,) = feature["geometry"]["coordinates"]
        shapes.append(shapely.Polygon(np.column_stack(GRID.project(*np.array(ring).T))))
        lon, lat = np.array(ring).T
        area = pyproj.Geod(ellps="WGS84").polygon_area_perimeter(lon, lat)[0]
        assert area > 0  # counter-clockwise, as GeoJSON wants shells
        assert feature["properties"]["area_km2"] == pytest.approx(area / 1e6, abs=0.002)
    corners = np.concatenate([np.array(feature["geometry"]["coordinates"][0]) for feature in features])
    assert [*corners.min(axis=0), *corners.max(axis=0)] == pytest.approx([west, south, east, north], abs=2e-6)
    along = np.linspace(west, east, 200)  # parallels are no geodesics
    lons, lats = np.concatenate([along, along[::-1]]), np.repeat([south, north], 200)
    on_ground = pyproj.Geod(ellps="WGS84").polygon_area_perimeter(lons, lats)[0] / 1e6
    assert sum(feature["properties"]["area_km2"] for feature in features) == pytest.approx(on_ground, rel=1e-5)
    gauges = np.column_stack(GRID.project(*np.array([cell(*spot) for spot in SPOTS]).T))
    inside = np.random.default_rng(3).uniform((west, south), (east, north), (300, 2))
    points = np.column_stack(GRID.project(*inside.T))
    for point in points:
        nearest = np.hypot(*(gauges - point).T).argmin()
        assert shapes[nearest].distance(shapely.Point(point)) < 0.2
    assert read_polygons(out).names == SPOT_NAMES


def test_a_polygon_in_two_pieces(save: Save, tmp_path: Path) -> None:
    """The northern edge of a box is an arc that sags in the middle: the northern gauge has its two corners only."""
    box = (122.0, 36.0, 130.0, 39.05)
    out = tmp_path / "p.geojson"
    thiessen_polygons(save("name,lon,lat\nsouth,126,38\nnorth,126,40.12\n"), out, bbox=box)
    south, north = json.loads(out.read_text(encoding="utf-8"))["features"]
    assert (south["geometry"]["type"], north["geometry"]["type"]) == ("Polygon", "MultiPolygon")
    (west_piece,), (east_piece,) = north["geometry"]["coordinates"]
    west_piece, east_piece = sorted((np.array(west_piece), np.array(east_piece)), key=lambda ring: float(ring[0, 0]))
    assert west_piece[:, 0].max() < 126 < east_piece[:, 0].min()
    geod = pyproj.Geod(ellps="WGS84")
    areas = [geod.polygon_area_perimeter(*ring.T)[0] / 1e6 for ring in (west_piece, east_piece)]
    assert north["properties"]["area_km2"] == pytest.approx(sum(areas), abs=0.01)
    along = np.linspace(box[0], box[2], 2000)
    whole = geod.polygon_area_perimeter(np.concatenate([along, along[::-1]]), np.repeat([box[1], box[3]], 2000))[0]
    both = south["properties"]["area_km2"] + north["properties"]["area_km2"]
    assert both == pytest.approx(whole / 1e6, rel=1e-5)
    assert read_polygons(out).names == ("south", "north")


def test_polygons_of_one_gauge_and_of_shared_places(save: Save, tmp_path: Path) -> None:
    out = tmp_path / "p.geojson"
    made = thiessen_polygons(save("name,lon,lat\na,127,37\n아,127,37\nfar,10,50\n"), out)
    (feature,) = json.loads(out.read_text(encoding="utf-8"))["features"]
    assert feature["properties"]["name"] == "a + 아"
    assert len(made.notes) == 2
    with pytest.raises(OptionsError, match=r"end in \.geojson"):
        thiessen_polygons(save("name,lon,lat\na,127,37\n"), tmp_path / "p.shp")


# --- bias

RULES = PairRules(0.1, 3)


def test_a_factor_by_hand() -> None:
    """Gauges 4, 4, 10 over radar 2, 4, 6: 18 / 12 = 1.5.

    Adjusted radar 3, 6, 9: errors 1, 2, 1. Each by the others: 2 x 14/10 = 2.8, 4 x 14/8 = 7, 6 x 8/6 = 8.
    """
    bias = field_bias(np.array([4.0, 4, 10]), np.array([2.0, 4, 6]), RULES)
    assert (bias.pairs, bias.gauge_mm, bias.radar_mm, bias.factor) == (3, 18, 12, 1.5)
    assert bias.adjusted_mm.tolist() == [3, 6, 9]
    assert bias.left_out_mm.tolist() == pytest.approx([2.8, 7, 8])
    assert scores(np.array([4.0, 4, 10]), bias.adjusted_mm).rmse_mm == pytest.approx(2**0.5)


def test_pairs_that_do_not_count() -> None:
    gauge = np.array([4.0, 4, 10, 0.05, 7, np.nan, 3])
    radar = np.array([2.0, 4, 6, 5.00, 0, 1.0000, np.nan])
    bias = field_bias(gauge, radar, RULES)
    assert bias.used.tolist() == [True, True, True, False, False, False, False]
    assert bias.factor == 1.5
    assert bias.adjusted_mm[5] == 1.5  # radar without a gauge is adjusted too
    assert np.isnan(field_bias(gauge, radar, PairRules(0.1, 4)).factor)


def test_without_rain_there_is_no_factor() -> None:
    bias = field_bias(np.array([1.0, 2]), np.zeros(2), PairRules(0, 1))
    assert np.isnan(bias.factor)
    assert np.isnan(bias.adjusted_mm).all()
    alone = field_bias(np.array([1.0, 2, 3]), np.array([0.0, 0, 4]), PairRules(0, 1))
    assert alone.factor == 1.5
    assert np.isnan(alone.left_out_mm[2])  # the others saw nothing
    assert scores(np.array([1.0]), np.array([2.0])).rmse_mm == 1
    assert np.isnan(scores(np.array([1.0]), np.array([2.0])).correlation)


def test_a_trace_of_radar_makes_no_factor() -> None:
    """Gauges 5, 5 over radar 0.01, 0.01 would be 500; a pair of 8 mm makes it 10 / 8.01."""
    rules = PairRules(0, 2, max_factor=100)
    gauge = np.array([5.0, 5])
    bias = field_bias(gauge, np.array([0.01, 0.01]), rules)
    assert bias.pairs == 2
    assert np.isnan(bias.factor)
    assert np.isnan(bias.adjusted_mm).all()
    bias = field_bias(gauge, np.array([8.0, 0.01]), rules)
    assert bias.factor == pytest.approx(10 / 8.01)
    assert bias.left_out_mm.tolist() == pytest.approx([np.nan, 0.01 * 5 / 8], nan_ok=True)
    assert field_bias(gauge, np.array([0.1, 0.1]), rules).factor == pytest.approx(50)  # as --min-rain 0.1 allows
    limited = field_bias(gauge, np.array([0.1, 0.1]), PairRules(0, 2))
    assert (limited.factor, limited.limited) == (10, True)
    assert limited.adjusted_mm.tolist() == limited.left_out_mm.tolist() == [1, 1]
    low = field_bias(np.array([0.1, 0.1]), gauge, PairRules(0, 2))  # 0.02
    assert (low.factor, low.limited) == (0.1, True)


RAIN = st.lists(st.tuples(st.floats(0.1, 200), st.floats(0.1, 200)), min_size=3, max_size=30)


@given(RAIN)
def test_adjusted_radar_has_the_gauges_sum(pairs: list[tuple[float, float]]) -> None:
    gauge, radar = np.array(pairs).T
    bias = field_bias(gauge, radar, replace(RULES, max_factor=np.inf))
    assert bias.adjusted_mm.sum() == pytest.approx(gauge.sum(), rel=1e-9)
    for number in range(len(pairs)):
        others = np.arange(len(pairs)) != number
        expected = radar[number] * gauge[others].sum() / radar[others].sum()
        assert bias.left_out_mm[number] == pytest.approx(expected, rel=1e-6)


def radar_table(path: Path, rates: dict[str, list[float]], *, begin: datetime = NOON - HOUR, **other: Any) -> Path:
    """Write a table as `hsrgeo series` does: a row each five minutes, of each gauge."""
    coverage = other.get("coverage", {})
    count = len(next(iter(rates.values())))
    rows = (
        (
            begin + number * other.get("step", timedelta(minutes=5)),
            np.array([[of[number], coverage.get((name, number), 1.0)] for name, of in rates.items()]),
        )
        for number in range(count)
        if number not in other.get("without", ())
    )
    write_table(path, list(rates), ("rain_mm_h", "coverage"), rows)
    return path


def compared(path: Path, radar: Path, out: Path, **options: Any) -> tuple[GaugeBias, list[dict[str, str]]]:
    rules = {"step": options.pop("step", HOUR), **options.pop("rules", {})}
    options.setdefault("min_pairs", 3)
    found = gauge_bias(path, radar, out, GaugeBiasOptions(readings=ReadingRules(**rules), **options))
    with out.open(encoding="utf-8", newline="") as file:
        return found, list(csv.DictReader(file))


READ = (
    "time,name,rain_mm\n"
    "2022-06-09 12:00,서울,4\n2022-06-09 12:00,인천,4\n2022-06-09 12:00,수원,10\n"
    "2022-06-09 13:00,서울,3\n2022-06-09 13:00,인천,\n2022-06-09 13:00,수원,9\n"
)
RATES = {"서울": [2.0] * 24, "인천": [4.0] * 24, "수원": [6.0] * 24}
"""From 11:00 to 13:00: 2, 4 and 6 mm an hour."""


def test_readings_and_radar_of_other_times_are_shown(save: Save, tmp_path: Path) -> None:
    """The radar has 11:00 to 13:00; the readings of 12:00 and 13:00 a year earlier stand for the same hours."""
    radar, readings = radar_table(tmp_path / "radar.csv", RATES), save(READ.replace("2022-", "2021-"))
    found, _rows = compared(readings, radar, tmp_path / "bias.csv")
    assert found.notes[0] == (
        "readings and radar have no time in common: readings from 2021-06-09 11:00 to 2021-06-09 13:00 KST, radar from "
        "2022-06-09 11:00 to 2022-06-09 13:00 KST"
    )
    later = save(READ.replace("13:00", "14:00").replace("12:00", "13:00"))
    assert not any("common" in note for note in compared(later, radar, tmp_path / "bias.csv")[0].notes)
    with pytest.raises(
        OptionsError, match="no row in the requested times; it has 2022-06-09 11:00 to 2022-06-09 12:55"
    ):
        compared(readings, radar, tmp_path / "bias.csv", rules={"end": NOON - 365 * 24 * HOUR})


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_a_bias_by_hand(save: Save, tmp_path: Path, suffix: str) -> None:
    radar = radar_table(tmp_path / f"radar{suffix}", RATES)
    found, (first, second) = compared(save(READ), radar, tmp_path / "bias.csv", pairs=tmp_path / "pairs.csv")
    assert (found.periods, found.factors, found.pairs) == (2, 1, 3)
    assert (first["time_kst"], first["hours"], first["pairs"]) == ("2022-06-09T11:00:00+09:00", "1", "3")
    assert (first["gauge_mm"], first["radar_mm"], first["bias"]) == ("18", "12", "1.5")
    numbers = {key: float(first[key]) for key in first if key.startswith(("rmse", "corr"))}
    # 4-2, 4-4, 10-6 -> 20/3; 4-3, 4-6, 10-9 -> 6/3; 4-2.8, 4-7, 10-8 -> (1.44 + 9 + 4) / 3.
    assert numbers["rmse_mm"] == pytest.approx((20 / 3) ** 0.5)
    assert numbers["rmse_adjusted_mm"] == pytest.approx(2**0.5)
    assert numbers["rmse_left_out_mm"] == pytest.approx((14.44 / 3) ** 0.5)
    # Around the means -2, -2, 4 and -2, 0, 2: 12 / (24 x 8) ** 0.5.
    assert numbers["correlation"] == pytest.approx(12 / 192**0.5)
    assert (second["pairs"], second["bias"], second["rmse_adjusted_mm"]) == ("2", "", "")
    assert found.after.rmse_mm == pytest.approx(2**0.5)
    assert "missing readings (empty, or no number): 1" in found.notes
    counting = "a pair counts where gauge and radar have at least 0.1 mm"
    assert f"periods without a factor: 1 (2 pairs, fewer than --min-pairs 3; {counting})" in found.notes
    with (tmp_path / "pairs.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["name"] for row in rows] == list(RATES) * 2
    assert [row["counts"] for row in rows] == ["1", "1", "1", "1", "0", "1"]
    assert (rows[0]["adjusted_mm"], rows[1]["left_out_mm"], rows[4]["gauge_mm"]) == ("3", "7", "")


def test_gauge_and_radar_are_summed_over_the_same_times(save: Save, tmp_path: Path) -> None:
    # 인천 has no reading of the second hour: its radar of that hour must not count either. 18 + 12 over 12 + 8.
    radar = radar_table(tmp_path / "radar.csv", RATES)
    found, (row,) = compared(save(READ), radar, tmp_path / "bias.csv", period="event")
    assert (row["hours"], row["pairs"], row["gauge_mm"], row["radar_mm"], row["bias"]) == ("2", "3", "30", "20", "1.5")
    assert found.factors == 1
    day, (daily,) = compared(save(READ), radar, tmp_path / "day.csv", period=timedelta(days=1))
    assert (daily["time_kst"], daily["bias"], day.factors) == ("2022-06-09T00:00:00+09:00", "1.5", 1)


def test_the_time_of_a_reading_decides_which_radar_it_meets(save: Save, tmp_path: Path) -> None:
    radar = radar_table(tmp_path / "radar.csv", {name: [rates[0]] * 12 + [50.0] * 12 for name, rates in RATES.items()})
    text = "".join(READ.splitlines(keepends=True)[:4])
    for stamp, expected in (("end", "12"), ("start", "150")):
        _found, rows = compared(save(text), radar, tmp_path / "bias.csv", rules={"stamp": stamp})
        assert [row["radar_mm"] for row in rows if row["pairs"] == "3"] == [expected]


def test_radar_that_is_not_all_there(save: Save, tmp_path: Path) -> None:
    text = "".join(READ.splitlines(keepends=True)[:4])
    gap = radar_table(tmp_path / "gap.csv", RATES, without=(3,))
    found, rows = compared(save(text), gap, tmp_path / "bias.csv")
    assert (rows[0]["pairs"], rows[0]["bias"], found.factors) == ("0", "", 0)
    assert "times the radar lacked frames above a gauge, not compared: 3" in found.notes
    found, rows = compared(save(text), gap, tmp_path / "bias.csv", min_frames=11 / 12)
    assert (rows[0]["radar_mm"], rows[0]["bias"]) == ("12", "1.5")  # the mean of eleven stands for the twelfth
    low = radar_table(tmp_path / "low.csv", RATES, coverage={("인천", 5): 0.4})
    found, rows = compared(save(text), low, tmp_path / "bias.csv", min_pairs=2)
    assert (rows[0]["pairs"], rows[0]["gauge_mm"], rows[0]["radar_mm"]) == ("2", "14", "8")
    assert "rows of the radar without a rate, or with a coverage below 0.9: 1" in found.notes
    unknown = radar_table(tmp_path / "nan.csv", {**RATES, "인천": [np.nan, *[4.0] * 23]})
    assert compared(save(text), unknown, tmp_path / "bias.csv", min_pairs=2)[1][0]["pairs"] == "2"


def test_readings_shorter_than_the_radars_step(save: Save, tmp_path: Path) -> None:
    minutes = [f"{NOON - HOUR + number * timedelta(minutes=1):%Y-%m-%d %H:%M}" for number in range(1, 61)]
    lines = [
        f"{time},{name},{depth / 60}" for name, depth in (("서울", 3), ("인천", 6), ("수원", 9)) for time in minutes
    ]
    found, rows = compared(
        save("time,name,mm\n" + "\n".join(lines[1:]) + "\n"),  # the first minute of the first gauge is not there
        radar_table(tmp_path / "radar.csv", RATES),
        tmp_path / "bias.csv",
        step=timedelta(minutes=1),
    )
    # 55 minutes of the first gauge count, 60 of the others, and of the radar: the factor is 1.5 all the same.
    assert float(rows[0]["gauge_mm"]) == pytest.approx(3 * 55 / 60 + 6 + 9)
    assert float(rows[0]["bias"]) == pytest.approx(1.5)
    assert found.factors == 1


def test_radar_tables_that_do_not_fit(save: Save, tmp_path: Path) -> None:
    coarse = radar_table(tmp_path / "ten.csv", RATES, step=TEN)
    with pytest.raises(OptionsError, match="its rows are apart by 10min, not 5min: choose --radar-step"):
        compared(save(READ), coarse, tmp_path / "bias.csv")
    assert compared(save(READ), coarse, tmp_path / "bias.csv", radar_step=TEN)[0].factors == 1
    twice = tmp_path / "twice.csv"
    text = radar_table(tmp_path / "radar.csv", RATES).read_text(encoding="utf-8")
    twice.write_text(text + text.splitlines()[1] + "\n", encoding="utf-8")
    with pytest.raises(SourceError, match="two rows of '서울'"):
        compared(save(READ), twice, tmp_path / "bias.csv")
    with pytest.raises(SourceError, match="no such file"):
        compared(save(READ), tmp_path / "none.csv", tmp_path / "bias.csv")
    with pytest.raises(OptionsError, match="different files"):
        compared(save(READ), tmp_path / "radar.csv", tmp_path / "radar.csv")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"min_rain_mm": -1.0}, "min_rain -1"),
        ({"min_pairs": 0}, "min_pairs 0"),
        ({"min_coverage": 0.0}, "min_coverage 0"),
        ({"min_frames": 1.5}, "min_frames 1.5"),
        ({"radar_step": timedelta(minutes=7)}, "radar_step"),
        ({"radar_step": timedelta(minutes=40)}, "divide a day|never match"),
        ({"period": TEN}, "whole steps"),
        ({"period": "all"}, "event"),
    ],
)
def test_bias_options_that_cannot_be(options: dict[str, Any], message: str) -> None:
    with pytest.raises(OptionsError, match=message):
        GaugeBiasOptions(readings=ReadingRules(step=HOUR), **options)


# --- the command line


def invoke(*words: object, width: int = 120) -> Any:
    return CliRunner().invoke(app, [str(word) for word in words], env={"COLUMNS": str(width), "TERM": "dumb"})


def test_the_command_for_fields(save: Save, stations: Path, tmp_path: Path) -> None:
    source = save(table(DEPTHS, (1.0, -99.9, "x", 2.0, 3.0)))
    words = ("gauges", "field", source, "--gauges", stations, "--step", "1h", "--out", tmp_path / "out")
    area = ("--window", *WINDOW)
    refused = invoke(*words, *area)
    assert refused.exit_code == 2
    assert "'x' is no number" in refused.stderr
    done = invoke(*words, *area, "--missing", "-99.9", "--skip-bad", "--json")
    assert done.exit_code == 0, done.stderr
    answer = json.loads(done.stdout)
    assert answer["readings"] == {"used": 8, "code": 1, "bad": 1}
    assert len(answer["files"]) == 2
    assert "2 files of 2 periods: 8 readings used, as the end of 1h" in done.stderr
    few = invoke(*words, *area, "--missing", "-99.9", "--skip-bad", "--min-gauges", 4)
    assert few.exit_code == 1
    assert "failed: 2022-06-09 12:00 to 2022-06-09 13:00 KST: 3 of 5 gauges: 4 are needed" in few.stderr


def test_the_command_for_a_bias(save: Save, tmp_path: Path) -> None:
    radar = radar_table(tmp_path / "radar.csv", RATES)
    out = tmp_path / "bias.csv"
    words = ("gauges", "bias", save(READ), "--radar", radar, "--step", "1h", "--out", out)
    done = invoke(*words, "--min-pairs", 3, "--json")
    assert done.exit_code == 0, done.stderr
    assert json.loads(done.stdout)["scores"]["adjusted"]["rmse_mm"] == pytest.approx(2**0.5)
    assert "1 of 2 periods with a factor, from 3 pairs, readings as the end of 1h" in done.stderr
    none = invoke(*words)
    assert none.exit_code == 1
    assert "0 of 2 periods with a factor, readings as" in none.stderr
    assert "note: periods without a factor: 2 (2 to 3 pairs, fewer than --min-pairs 5; a pair counts" in none.stderr
    dry = radar_table(tmp_path / "dry.csv", dict.fromkeys(RATES, [0.0] * 24))
    found, _rows = compared(save(READ), dry, out, min_rain_mm=0.0, min_pairs=2)
    assert "periods without a factor: 2 (the radar's mean over the pairs is below 0.1 mm)" in found.notes
    with out.open(encoding="utf-8", newline="") as file:
        assert [(row["pairs"], row["bias"]) for row in csv.DictReader(file)] == [("3", ""), ("2", "")]  # never 1.0


def test_the_command_for_polygons(save: Save, stations: Path, tmp_path: Path) -> None:
    out = tmp_path / "p.geojson"
    done = invoke("gauges", "polygons", stations, "--out", out)
    assert done.exit_code == 0, done.stderr
    assert len(json.loads(out.read_text(encoding="utf-8"))["features"]) == 5
    korean = save("지점명;경도;위도\n서울;126.9;37.5\n", "korean.csv", "cp949")
    refused = invoke("gauges", "polygons", korean, "--out", out)
    assert refused.exit_code == 2
    assert "--encoding cp949" in refused.stderr
    done = invoke("gauges", "polygons", korean, "--out", out, "--encoding", "cp949")
    assert done.exit_code == 0, done.stderr
    assert json.loads(out.read_text(encoding="utf-8"))["features"][0]["properties"]["name"] == "서울"


def test_the_encoding_is_that_of_the_list_of_gauges_too(save: Save) -> None:
    path = save("지점명,경도,위도\n서울,126.9,37.5\n", "korean.csv", "cp949")
    wanted = GaugeFieldOptions(gauges=path, readings=ReadingRules(step=HOUR, encoding="cp949"))
    assert wanted.points.names == ("서울",)
    assert SeriesOptions(points=path, encoding="cp949").places == wanted.points


def test_places_of_the_other_kind_are_reported(save: Save, stations: Path, tmp_path: Path) -> None:
    out = tmp_path / "p.geojson"
    thiessen_polygons(stations, out)
    with pytest.raises(OptionsError, match=r"p\.geojson, .*: expected a point, found Polygon; polygons go with --poly"):
        SeriesOptions(points=out)
    with pytest.raises(OptionsError, match=r"\.csv: cannot be read as polygons; a CSV of points goes with --points"):
        SeriesOptions(polygons=stations)
    with pytest.raises(OptionsError, match="line 2: lon 'x' is no number"):
        SeriesOptions(points=save("name,lon,lat\na,x,37\n", "bad.csv"))
    with pytest.raises(OptionsError, match=r"no\.geojson: cannot be read: No such file"):
        SeriesOptions(points=tmp_path / "no.geojson")


@pytest.mark.parametrize("width", [80, 120])
@pytest.mark.parametrize("command", ["field", "bias", "polygons"])
def test_help_fits_the_terminal(command: str, width: int) -> None:
    shown = invoke("gauges", command, "--help", width=width)
    assert shown.exit_code == 0
    assert max(map(len, shown.stdout.splitlines())) <= width
    assert "…" not in shown.stdout  # no name of an option is cut


def test_the_public_names() -> None:
    assert hsrgeo.gauge_fields is gauge_fields
    assert hsrgeo.gauge_bias is gauge_bias
    assert hsrgeo.thiessen_polygons is thiessen_polygons
    assert {hsrgeo.GaugeFieldOptions, hsrgeo.GaugeBiasOptions, hsrgeo.ReadingRules} == {
        GaugeFieldOptions,
        GaugeBiasOptions,
        ReadingRules,
    }
    assert datetime(2022, 6, 9, 3, tzinfo=UTC) == NOON


def test_an_area_outside_the_chosen_grid_is_wrong_usage(save: Save, stations: Path, tmp_path: Path) -> None:
    words = ("gauges", "field", save(table(DEPTHS)), "--gauges", stations, "--step", "1h", "--out", tmp_path / "out")
    # on the 500 m grid, and beyond the 1153 x 1441 cells of the 1 km grid
    refused = invoke(*words, "--grid", "kma-hb-1km", "--window", 2000, 2000, 64, 64)
    assert refused.exit_code == 2, refused.stderr
    assert "reaches outside the 1153 x 1441 cells of kma-hb-1km" in refused.stderr
    fine = invoke(*words, "--bbox", 115, 36, 127, 37, "--json")
    coarse = invoke(*words, "--grid", "kma-hb-1km", "--bbox", 115, 36, 127, 37, "--json")
    assert (fine.exit_code, coarse.exit_code) == (0, 0), fine.stderr + coarse.stderr
    notes = [json.loads(made.stdout)["notes"][0] for made in (fine, coarse)]
    assert ["kma-hb-500m" in notes[0], "kma-hb-1km" in notes[1]] == [True, True]


# --- what columns of KMA's tables are


def test_a_flag_of_quality_makes_a_reading_missing(save: Save) -> None:
    rows = "2022-06-09 12:00,108,서울,,9\n2022-06-09 13:00,108,서울,,\n2022-06-09 14:00,108,서울,2.5,0\n"
    path = save("일시,지점,지점명,강수량(mm),강수량 QC플래그\n" + rows + "2022-06-09 15:00,108,서울,3.0,9\n")
    readings = read(path, empty="zero")  # the flag column is not taken for the rain either
    depths = [float(readings.depths_mm[time][0]) for time in readings.times]
    assert depths == pytest.approx([math.nan, 0.0, 2.5, math.nan], nan_ok=True)
    assert (readings.counts["missing"], readings.counts["zero"]) == (2, 1)


@pytest.mark.parametrize("column", ["RN-60m", "RN-DAY", "RN-12H", "일강수량(mm)", "누적강수량(mm)", "rain_accumulated"])
def test_sums_over_other_times_are_no_readings_of_a_minute(save: Save, column: str) -> None:
    path = save(f"time,name,{column}\n2022-06-09 12:00,서울,1.0\n")
    with pytest.raises(OptionsError, match="not of a step of 1min"):
        read(path, step=timedelta(minutes=1))


@pytest.mark.parametrize(("column", "hours"), [("RN-60m", 1), ("RN-1H", 1), ("일강수량(mm)", 24), ("강수량(mm)", 1)])
def test_sums_over_a_step_are_its_readings(save: Save, column: str, hours: int) -> None:
    path = save(f"time,name,{column}\n2022-06-10 00:00,서울,1.0\n")
    assert read(path, step=timedelta(hours=hours)).counts["used"] == 1


# --- lists with several rows a station

META = """지점,시작일,종료일,지점명,위도,경도
108,1990-01-01,2010-05-04,서울,37.0,126.0
108,2010-05-04,,서울,37.5,126.5
90,2000-01-01,,속초,38.0,128.0
901,2015-01-01,,속초,38.2,128.2
5,1990-01-01,2001-01-01,옛날,35.0,127.0
"""


@pytest.mark.parametrize(
    ("at", "seoul", "names"),
    [
        (None, (126.5, 37.5), ("서울", "속초 (90)", "속초 (901)", "옛날")),
        (datetime(2022, 6, 9, tzinfo=KST), (126.5, 37.5), ("서울", "속초 (90)", "속초 (901)")),
        (datetime(2010, 5, 4, 12, tzinfo=KST), (126.5, 37.5), ("서울", "속초")),  # the day of the move: the later row
        (datetime(2000, 6, 1, tzinfo=KST), (126.0, 37.0), ("서울", "속초", "옛날")),
    ],
)
def test_the_row_of_a_station_that_holds_at_the_time(
    save: Save, at: datetime | None, seoul: tuple[float, float], names: tuple[str, ...]
) -> None:
    points = read_points(save(META, "meta.csv", "cp949"), "cp949", at)
    assert points.names == names
    assert points.lonlat[0] == seoul
    assert "several rows" in points.notes[0]
    assert ("current" if at is None else f"{at:%Y-%m-%dT%H:%M}") in points.notes[0]


def test_a_list_of_stations_that_none_holds_or_with_a_bad_day(save: Save) -> None:
    with pytest.raises(OptionsError, match=r"contains no point: stations with no row for that time, ignored: 4"):
        read_points(save(META, "meta.csv"), None, datetime(1980, 1, 1, tzinfo=KST))
    with pytest.raises(OptionsError, match="line 3: 시작일 'soon' is no day"):
        read_points(save(META.replace("2010-05-04,,", "soon,,"), "meta.csv"))


def test_readings_of_stations_that_share_a_name_go_by_number(save: Save) -> None:
    path = save("지점,지점명,일시,강수량(mm)\n90,속초,2022-06-09 12:00,1\n901,속초,2022-06-09 12:00,2\n")
    rules = ReadingRules(step=timedelta(hours=1))
    assert only(read_readings(path, ("속초 (901)", "속초 (90)"), rules)) == [2, 1]


def test_readings_in_utf8_beside_gauges_in_another_encoding(save: Save) -> None:
    text = "일시,지점명,강수량(mm)\n2022-06-09 12:00,서울,1.5\n"
    for encoding in ("utf-8", "utf-8-sig", "cp949"):
        readings = read(save(text, "r.csv", encoding), encoding="cp949")
        assert readings.counts["used"] == 1


def test_a_factor_that_no_rain_explains_is_reported(save: Save, tmp_path: Path) -> None:
    """Radar 1.2 mm/h in 12 frames is 1.2 mm; gauges of 24 mm make it 20."""
    table = radar_table(tmp_path / "radar.csv", {"a": [1.2] * 12, "b": [1.2] * 12})
    path = save("time,a,b\n2022-06-09 12:00,24,24\n")
    rules = ReadingRules(step=HOUR)
    found = gauge_bias(path, table, tmp_path / "out.csv", GaugeBiasOptions(readings=rules, min_pairs=2))
    assert found.factors == 1
    assert any(note.startswith("factors limited to 0.1 to 10 (--max-factor): 1 ") for note in found.notes)


def test_the_text_of_the_api_hub_is_named(save: Save) -> None:
    path = save("#START7777\n# YYMMDDHHMI STN RN-15m RN-60m\n202206091200 108 1.5 2.0\n#7777END\n")
    with pytest.raises(OptionsError, match="text of KMA's API hub"):
        read(path)


def test_a_station_twice_in_a_list(save: Save) -> None:
    """The same place again is one gauge, with a note; another place is a mistake that nobody can guess."""
    text = "name,lon,lat\n서울,126.9,37.5\n인천,126.7,37.4\n서울,126.90000,37.500001\n"
    points = read_points(save(text, "gauges.csv"))
    assert points == Points(
        ("서울", "인천"), ((126.9, 37.5), (126.7, 37.4)), ("rows that list a place again, ignored: 1 (서울)",)
    )
    message = r"line 3: a second '서울' at another place \(126.9 37.5 and 127 37.5\); each needs a name of its own"
    with pytest.raises(OptionsError, match=message):
        read_points(save("name,lon,lat\n서울,126.9,37.5\n서울,127.0,37.5\n", "gauges.csv"))
