"""Rain times the factors of `hsrgeo gauges bias`: worked by hand, recorded, and refused where it would be wrong."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
import typer
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from hsrgeo.cli.accumulate import accumulate as accumulate_command
from hsrgeo.cli.series import series as series_command
from hsrgeo.engine.accumulate.sum_options import AccumulateOptions
from hsrgeo.engine.accumulate.sum_run import accumulate
from hsrgeo.engine.cube.cube_options import CubeOptions
from hsrgeo.engine.cube.cube_run import make_cube
from hsrgeo.engine.export.export_run import export
from hsrgeo.engine.export_options import ExportOptions
from hsrgeo.engine.factors import read_factors
from hsrgeo.engine.gauges.bias import gauge_bias
from hsrgeo.engine.gauges.gauge_options import GaugeBiasOptions
from hsrgeo.engine.lazy import Run
from hsrgeo.engine.series.periods import series_by_period
from hsrgeo.engine.series.series_options import SeriesOptions
from hsrgeo.engine.series.series_run import series
from hsrgeo.engine.stac import write_catalog
from hsrgeo.engine.verify.verify_run import verify
from hsrgeo.errors import FrameError, ManifestError, OptionsError, SourceError
from hsrgeo.formats.composite import decode
from hsrgeo.model.frame import Frame
from hsrgeo.model.grid_catalog import grids
from hsrgeo.model.quantity import QUANTITIES, RAIN, RAIN_RATE
from hsrgeo.model.times import KST
from hsrgeo.outputs.kept_recipe import kept_recipe
from hsrgeo.outputs.recipe import recipe_from_json
from hsrgeo.places.places import Points
from hsrgeo.products.factors import Factor, Factors, factors_from_json
from hsrgeo.products.rain import KMA_LAW, Law, law_text, parse_law, rain_frame
from hsrgeo.products.rates import rate_table
from hsrgeo.products.sums import sum_table
from hsrgeo.sources.gauge_rules import ReadingRules
from tests.conftest import NX, NY, MakeFile, frame_name

HOUR = datetime(2022, 6, 9, 11, tzinfo=KST)
WINDOW = (500, 700, 8, 6)
"""Column, row, width and height that the tests cut out."""
OBSERVED = "as observed"
HSR = "Z = 200 R^1.6"
HEAD = "time_utc,time_kst,name,hours,pairs,gauge_mm,radar_mm,bias,rain_law"
Save = Callable[..., Path]


@pytest.fixture
def rainy(tmp_path: Path, make_file: MakeFile) -> Callable[..., Path]:
    """Give a function that writes HSP frames of one rain rate each [mm/h], five minutes apart from 11:00 on."""

    def write(*rates: float, code: int = 5, minutes: int = 0, folder: str = "in") -> Path:
        (tmp_path / folder).mkdir(exist_ok=True)
        for number, rate in enumerate(rates):
            pixels = np.full((NY, NX), -30000, np.int16)
            pixels[695:715, 495:515] = round(100 * rate)
            pixels[WINDOW[1], WINDOW[0]] = -30000
            pixels[WINDOW[1], WINDOW[0] + 1] = -25000
            time = HOUR + timedelta(minutes=minutes + 5 * number)
            path = tmp_path / folder / frame_name(time, product="HSP" if code == 5 else "HSR")
            path.write_bytes(make_file(pixels, time=time, data_codes=(code,)))
        return tmp_path / folder

    return write


@pytest.fixture
def save(tmp_path: Path) -> Save:
    """Give a function that writes a table of factors: minutes from 11:00 on, hours and the factor of each row."""

    def write(*rows: tuple[int, float, object], law: str | None = OBSERVED, name: str = "bias.csv") -> Path:
        head = HEAD if law is not None else HEAD.removesuffix(",rain_law")
        lines = [head]
        for minutes, hours, factor in rows:
            time = (HOUR + timedelta(minutes=minutes)).astimezone(UTC)
            cells = [f"{time:%Y-%m-%dT%H:%M:%SZ}", "", "all gauges", f"{hours:g}", "7", "18", "12", str(factor)]
            lines.append(",".join([*cells, *([f'"{law}"'] if law is not None else [])]))
        path = tmp_path / name
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")
        return path

    return write


@pytest.fixture
def place(rainy: Callable[..., Path]) -> Points:
    """Give a point in the middle of the window; its grid is that of every frame here."""
    del rainy
    lon, lat = grids()["kma-hb-1km"].lonlat([WINDOW[1] + 3.5], [WINDOW[0] + 4.5])
    return Points(("a",), ((float(lon[0]), float(lat[0])),))


def over(run: Run) -> list[str]:
    """Make a run happen, and return its statuses."""
    return [outcome.status for outcome in run]


def summed(source: Path, out: Path, **options: Any) -> tuple[Any, dict[str, str], list[str]]:
    """Return the depth [mm] of a sum's file, its tags, and the notes of its run."""
    run = accumulate(source, out, AccumulateOptions(jobs=1, window=WINDOW, **options))
    assert set(over(run)) == {"ok"}
    with rasterio.open(next(out.rglob("*.tif"))) as dataset:
        depth = np.where(dataset.read(1) == dataset.nodata, np.nan, dataset.read(1) * dataset.scales[0])
        return depth, dataset.tags(), run.notes


def exported(source: Path, out: Path, **options: Any) -> tuple[list[str], list[str]]:
    wanted = ExportOptions(**{"jobs": 1, "window": WINDOW, "quantity": "rain", "formats": "cog", **options})
    run = export(source, out, wanted)
    return over(run), run.notes


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def table(source: Path, out: Path, place: Points, **options: Any) -> list[dict[str, str]]:
    """Return the rows of a series."""
    assert set(over(series(source, out, SeriesOptions(points=place, jobs=1, **options)))) == {"ok"}
    return rows_of(out)


# --- by hand


def test_a_sum_by_hand(rainy: Callable[..., Path], save: Save, tmp_path: Path) -> None:
    """6 and 12 mm/h for 5 minutes each, times 1.5: 0.5 x 1.5 + 1 x 1.5 = 0.75 + 1.5 = 2.25 mm."""
    depth, tags, notes = summed(rainy(6, 12), tmp_path / "out", bias=save((0, 1, 1.5)))
    assert np.isnan(depth[0, 0])
    assert depth[0, 1] == 0
    assert np.allclose(depth[1:], 2.25, atol=1e-9)
    assert tags["BIAS_SOURCE"] == "bias.csv"
    assert (tags["BIAS_FACTOR"], tags["BIAS_PAIRS"], tags["RAIN_LAW"]) == ("1.5", "7", OBSERVED)
    assert "BIAS_FRAMES" not in tags
    assert not [note for note in notes if "factor" in note]


def test_a_frame_takes_the_factor_of_the_row_that_its_time_begins_in(
    rainy: Callable[..., Path], save: Save, tmp_path: Path
) -> None:
    """11:50 and 11:55 have 1.5 of the hour from 11:00; 12:00 begins the next, which has 2: 6 mm/h is 0.5 mm a frame.

    0.75 + 0.75 in the first hour, 1 + 1 in the second.
    """
    bias = save((60, 1, 2), (0, 1, 1.5))
    over(accumulate(rainy(6, 6, 6, 6, minutes=50), tmp_path / "out", AccumulateOptions(bias=bias, jobs=1)))
    found = {}
    for path in (tmp_path / "out").rglob("*.tif"):
        with rasterio.open(path) as dataset:
            found[path.stem[-4:]] = dataset.read(1)[WINDOW[1] + 3, WINDOW[0] + 3], dataset.tags()["BIAS_FACTOR"]
    assert found == {"1100": (150, "1.5"), "1200": (200, "2")}


def test_the_limit_comes_before_the_factor(rainy: Callable[..., Path], save: Save, tmp_path: Path) -> None:
    """120 mm/h counts as 90, and 60 as 60; times 1.5 and 5 minutes: 90 x 1.5 / 12 + 60 x 1.5 / 12 = 11.25 + 7.5."""
    bias = save((0, 1, 1.5), law="as observed, at most 90 mm/h")
    depth, tags, _notes = summed(rainy(120, 60), tmp_path / "out", bias=bias, max_rate=90)
    assert np.allclose(depth[1:], 18.75, atol=1e-9)
    assert tags["RAIN_LAW"] == "as observed, at most 90 mm/h"


def test_frames_without_a_factor_stay_as_they_are(rainy: Callable[..., Path], save: Save, tmp_path: Path) -> None:
    """Of four frames of 6 mm/h, 0.5 mm each, two have 1.5, one has a row without a factor, one has no row: 2.5 mm."""
    bias = save((0, 1 / 6, 1.5), (10, 1 / 12, ""))
    depth, tags, notes = summed(rainy(6, 6, 6, 6), tmp_path / "out", bias=bias)
    assert np.allclose(depth[1:], 2.5, atol=1e-9)
    assert (tags["BIAS_FACTOR"], tags["BIAS_FRAMES"]) == ("1.5", "2 of 4")
    assert "2 of 4 frames: bias.csv has no factor for their time, they stay as they are" in notes


def test_a_series_by_hand(rainy: Callable[..., Path], save: Save, tmp_path: Path, place: Points) -> None:
    """6 x 1.5 = 9 mm/h, 12 x 1.5 = 18 mm/h, and 6 mm/h without a factor; by the hour 0.75 + 1.5 + 0.5 = 2.75 mm."""
    source, bias = rainy(6, 12, 6), save((0, 1 / 6, 1.5))
    found = table(source, tmp_path / "a.csv", place, bias=bias)
    law = "as observed, adjusted by bias.csv"
    assert [(row["rain_mm_h"], row["bias_factor"], row["rain_law"]) for row in found] == [
        ("9", "1.5", law),
        ("18", "1.5", law),
        ("6", "", law),
    ]
    hour = timedelta(hours=1)
    by_hour = table(source, tmp_path / "b.csv", place, bias=bias, period=hour)
    assert [(row["depth_mm"], row["rain_law"]) for row in by_hour] == [("2.75", law)]
    series_by_period(tmp_path / "a.csv", tmp_path / "c.csv", hour)
    assert (tmp_path / "b.csv").read_bytes() == (tmp_path / "c.csv").read_bytes()


def test_a_series_of_a_basin_is_wet_by_the_adjusted_rain(
    rainy: Callable[..., Path], save: Save, tmp_path: Path, place: Points
) -> None:
    """A rate of 0.08 mm/h is dry by 0.1; times 1.5 it is 0.12, and wet. The volume is mean x 5 min x area."""
    (lon, lat), side = place.lonlat[0], 0.005
    ring = [[lon + x * side, lat + y * side] for x, y in ((-1, -1), (1, -1), (1, 1), (-1, 1), (-1, -1))]
    feature = {"type": "Feature", "properties": {"name": "b"}, "geometry": {"type": "Polygon", "coordinates": [ring]}}
    (tmp_path / "b.geojson").write_text(json.dumps({"type": "FeatureCollection", "features": [feature]}))
    rows = {}
    for name, bias in (("plain", None), ("adjusted", save((0, 1, 1.5)))):
        options = SeriesOptions(polygons=tmp_path / "b.geojson", bias=bias, jobs=1)
        over(series(rainy(0.08), tmp_path / f"{name}.csv", options))
        rows[name] = rows_of(tmp_path / f"{name}.csv")[0]
    assert rows["plain"]["wet_fraction"] == "0"
    assert rows["adjusted"]["wet_fraction"] == "1"
    assert rows["adjusted"]["mean_mm_h"] == rows["adjusted"]["max_mm_h"] == "0.12"
    ratio = float(rows["adjusted"]["volume_m3"]) / float(rows["plain"]["volume_m3"])
    assert ratio == pytest.approx(1.5, rel=1e-6)


def test_a_series_of_an_export_or_a_cube_is_that_of_its_frames(
    rainy: Callable[..., Path], save: Save, tmp_path: Path, place: Points
) -> None:
    source = rainy(30, 20, 35, code=1)
    bias = save((0, 1 / 12, 1.5), (10, 1, 2), law=HSR)
    expected = table(source, tmp_path / "frames.csv", place, bias=bias)
    assert [float(row["rain_mm_h"]) for row in expected] == pytest.approx(
        [1.5 * KMA_LAW.rate(30), KMA_LAW.rate(20), 2 * KMA_LAW.rate(35)], rel=1e-8
    )
    exported(source, tmp_path / "out", quantity="stored")
    frames = ExportOptions(jobs=1, window=WINDOW)
    over(make_cube(source, tmp_path / "cube.zarr", CubeOptions(frames=frames, layout="series")))
    for one in ("out", "cube.zarr"):
        assert table(tmp_path / one, tmp_path / "of.csv", place, bias=bias) == expected


# --- exports


def test_an_export_by_hand(rainy: Callable[..., Path], save: Save, tmp_path: Path) -> None:
    """120 mm/h counts as 100 and is 150 after 1.5; the frame without a factor keeps 60, and both tags say so."""
    bias = save((0, 1 / 12, 1.5), law="as observed, at most 100 mm/h")
    source, out = rainy(120, 60), tmp_path / "out"
    statuses, notes = exported(source, out, bias=bias, max_rate=100)
    assert statuses == ["ok", "ok"]
    assert "1 of 2 frames: bias.csv has no factor for their time, they stay as they are" in notes
    tags, cells = [], []
    for path in sorted(out.rglob("*.tif")):
        with rasterio.open(path) as dataset:
            tags.append(dataset.tags())
            cells.append(dataset.read(1))
    assert cells[0][0, :3].tolist() == [-30000, 0, 15000]
    assert cells[1][0, :3].tolist() == [-30000, 0, 6000]
    assert [one["BIAS_FACTOR"] for one in tags] == ["1.5", "none"]
    assert [one["BIAS_SOURCE"] for one in tags] == ["bias.csv"] * 2
    assert [one.get("BIAS_PAIRS") for one in tags] == ["7", None]
    assert [one["COUNT_AT_MAX_RATE"] for one in tags] == ["46", "0"]
    assert {one["RAIN_LAW"] for one in tags} == {"as observed, at most 100 mm/h"}
    assert list(verify(out, source, jobs=1)) == []
    write_catalog(out)
    item = json.loads(next((out / "items").glob("*0200Z.json")).read_text(encoding="utf-8"))["properties"]
    assert (item["hsrgeo:bias_source"], item["hsrgeo:bias_factor"]) == ("bias.csv", "1.5")


def test_an_export_goes_on_with_the_same_factors_only(rainy: Callable[..., Path], save: Save, tmp_path: Path) -> None:
    source, out = rainy(6, 12), tmp_path / "out"
    exported(source, out, bias=save((0, 1, 1.5)), end=HOUR + timedelta(minutes=5))
    assert exported(source, out, bias=save((0, 1, 1.5)))[0] == ["skipped", "ok"]
    kept = kept_recipe(out)
    assert kept is not None
    options = ExportOptions(window=WINDOW, quantity="rain", formats="cog", bias=save((0, 1, 1.5)))
    assert recipe_from_json(kept) == options.recipe
    for other in (save((0, 1, 1.6)), save((0, 1, 1.5), name="b.csv"), None):
        with pytest.raises(ManifestError, match=r"was exported with other options .bias: 1 of bias\.csv .CRC-32 "):
            exported(source, out, bias=other)
    with pytest.raises(ManifestError, match=r"other options .zr: 200, 1.6 there, 200, 1.6, 100 now; bias"):
        exported(source, out, bias=save((0, 1, 1.5), law=None), max_rate=100)


def test_rain_that_was_adjusted_is_not_adjusted_again(
    rainy: Callable[..., Path], save: Save, tmp_path: Path, place: Points
) -> None:
    out, bias = tmp_path / "out", save((0, 1, 1.5))
    exported(rainy(6, 12), out, bias=bias)
    given: dict[str, Any] = {"bias": bias, "max_rate": 100}
    for options in ({name: value} for name, value in given.items()):
        with pytest.raises(OptionsError, match=r"contains rain that was adjusted by bias\.csv already"):
            over(accumulate(out, tmp_path / "sums", AccumulateOptions(jobs=1, **options)))
        with pytest.raises(OptionsError, match=r"contains rain that was adjusted by bias\.csv already"):
            over(series(out, tmp_path / "a.csv", SeriesOptions(points=place, jobs=1, **options)))
    run = accumulate(out, tmp_path / "sums", AccumulateOptions(jobs=1))
    over(run)
    assert f"{out} contains rain that was adjusted by bias.csv" in run.notes
    path = next((tmp_path / "sums").rglob("*.tif"))
    with rasterio.open(path) as dataset:
        assert dataset.read(1)[3, 3] == 225
        assert dataset.tags()["BIAS_SOURCE"] == "bias.csv"
    found = table(out, tmp_path / "a.csv", place)
    assert [row["rain_mm_h"] for row in found] == ["9", "18"]
    assert found[0]["rain_law"] == "as observed, adjusted by bias.csv"
    with pytest.raises(OptionsError, match="contains sums of rain: bias is for frames"):
        series(tmp_path / "sums", tmp_path / "b.csv", SeriesOptions(points=place, bias=bias, jobs=1))
    assert table(tmp_path / "sums", tmp_path / "b.csv", place)[0]["rain_law"] == "as observed, adjusted by bias.csv"


def test_times_without_a_factor_are_marked(
    rainy: Callable[..., Path], save: Save, tmp_path: Path, place: Points
) -> None:
    """Frames of 6 mm/h at 11:00, 11:05, 11:10, 11:15 and 11:20; the first three have a factor of 1.5.

    Sums of ten minutes: 2 x 6 x 1.5 / 12 = 1.5 mm, both adjusted; (9 + 6) / 12 = 1.25 mm, one of two; 6 / 12 = 0.5 mm.
    """
    source, bias = rainy(6, 6, 6, 6, 6), save((0, 0.25, 1.5))

    def written(name: str, **options: Any) -> list[dict[str, str]]:
        over(series(source, tmp_path / name, SeriesOptions(points=place, bias=bias, jobs=1, **options)))
        return rows_of(tmp_path / name)

    wide = written("wide.csv", wide=True)
    assert list(wide[0]) == ["time_kst", "a", "bias_factor"]
    assert [row["a"] for row in wide] == ["9", "9", "9", "6", "6"]
    assert [row["bias_factor"] for row in wide] == ["1.5", "1.5", "1.5", "", ""]
    ten = timedelta(minutes=10)
    summed_up = written("ten.csv", wide=True, period=ten)
    assert [(row["a"], row["adjusted"]) for row in summed_up] == [("1.5", "1"), ("1.25", "0.5"), ("0.5", "0")]
    (event,) = written("event.csv", period="event")
    assert (event["depth_mm"], event["adjusted"]) == ("3.25", "0.6")
    assert "adjusted" in written("long.csv", period=ten)[0]
    over(series(source, tmp_path / "plain.csv", SeriesOptions(points=place, wide=True, period=ten, jobs=1)))
    assert list(rows_of(tmp_path / "plain.csv")[0]) == ["time_kst", "a"]


# --- one frame


def frame_of(make_file: MakeFile, stored: list[int], code: int = 5) -> Frame:
    pixels = np.full((NY, NX), -30000, np.int16)
    pixels[0, : len(stored)] = stored
    name = frame_name(HOUR, product="HSP" if code == 5 else "HSR")
    return decode(make_file(pixels, time=HOUR, data_codes=(code,)), name).crop(window=(0, 0, len(stored), 1))


STORED = [-30000, -25000, -27000, -20100, -5, 0, 1, 3333, 14999, 15000, 20000, 32767]


@pytest.mark.parametrize("code", [1, 5])
def test_a_factor_of_1_changes_no_cell(make_file: MakeFile, code: int) -> None:
    frame = frame_of(make_file, STORED, code)
    plain, adjusted = rain_frame(frame), rain_frame(frame, factor=1)
    assert adjusted.raw.tolist() == plain.raw.tolist()
    assert dict(adjusted.derived)["BIAS_FACTOR"] == "1"


@given(st.sampled_from((QUANTITIES[1], RAIN_RATE, RAIN)), st.floats(0.01, 100), st.none() | st.floats(0.1, 400))
def test_tables_are_multiplied(quantity: Any, factor: float, limit: float | None) -> None:
    """Each rate, cut first, is multiplied; a factor of 1 is none; what was not observed stays so."""
    law = Law(max_mm_h=limit)
    plain, once, adjusted = (rate_table(quantity, law, *of) for of in ((), (1.0,), (factor,)))
    assert np.array_equal(plain, once, equal_nan=True)
    assert np.array_equal(adjusted, plain * factor, equal_nan=True)
    assert limit is None or np.nanmax(plain) <= limit
    one, none = sum_table(quantity, law, 1 / 12, 1e-6, 1.0), sum_table(quantity, law, 1 / 12, 1e-6)
    assert np.array_equal(one, none)


def test_a_frame_by_hand(make_file: MakeFile) -> None:
    """33.33 mm/h x 1.5 = 49.995, to the nearest step 50.00; 150 and 200 mm/h x 2.5 are 375 and 500, cut at 327.67."""
    frame = frame_of(make_file, STORED)
    assert rain_frame(frame, factor=1.5).raw[0, 5:8].tolist() == [0, 2, 5000]
    much = rain_frame(frame, factor=2.5)
    assert much.raw[0, 8:].tolist() == [32767] * 4
    assert dict(much.derived)["COUNT_CLIPPED"] == "4"
    assert dict(much.derived)["COUNT_AT_MAX_RATE"] == "3"  # 150 mm/h, as high as KMA stores, and more
    limited = rain_frame(frame, Law(max_mm_h=33.33))
    assert limited.raw[0, 7:].tolist() == [3333] * 5
    assert dict(limited.derived)["COUNT_AT_MAX_RATE"] == "5"
    assert "BIAS_FACTOR" not in dict(limited.derived)
    with pytest.raises(FrameError, match="adjusted twice"):
        rain_frame(much, factor=1.5)
    for wrong in (0, -1, float("nan"), float("inf"), "1.5"):
        with pytest.raises(OptionsError, match="expected a number above 0"):
            rain_frame(frame, factor=wrong)  # type: ignore[arg-type] # a text too


def test_what_a_law_says_of_its_limit() -> None:
    law = Law(300, 1.4, 100)
    assert str(law) == "Z = 300 R^1.4, at most 100 mm/h"
    assert parse_law(str(law)) == law
    assert law_text(RAIN, str(law), Law(max_mm_h=120)) == str(law)
    assert law_text(RAIN, str(law), Law(max_mm_h=80)) == "Z = 300 R^1.4, at most 80 mm/h"
    assert law_text(RAIN, None, Law(max_mm_h=80)) == "as observed, at most 80 mm/h"
    assert law_text(QUANTITIES[1], None, law) == str(law)
    for wrong in (0, -5, float("inf"), float("nan")):
        with pytest.raises(OptionsError, match=r"max_rate .*: expected a rain rate above 0"):
            Law(max_mm_h=wrong)


def test_factors_by_time() -> None:
    start = int(HOUR.timestamp())
    factors = Factors("b", "", (Factor(start, start + 3600, 1.5, 7), Factor(start + 7200, start + 10800, 2.0)))
    wanted = {-1: None, 0: 1.5, 59: 1.5, 60: None, 119: None, 120: 2.0, 179: 2.0, 180: None}
    for minutes, value in wanted.items():
        one = factors.at(HOUR + timedelta(minutes=minutes))
        assert (one.value if one else None) == value
    assert factors_from_json(json.loads(json.dumps(factors.as_json()))) == factors
    tags = factors.tags([factors.rows[0], None, factors.rows[1]])
    assert tags == {"BIAS_SOURCE": "b", "BIAS_FACTOR": "1.5 to 2", "BIAS_FRAMES": "2 of 3", "BIAS_PAIRS": "7"}
    for bad in ([[0, 3600, 0, None]], [[0, 3600, 1, None], [1800, 7200, 1, None]], [[5, 5, 1, None]], [["x", 1, 1, 1]]):
        with pytest.raises(ValueError, match=r"no factors|invalid literal"):
            factors_from_json({"source": "b", "law": "", "rows": bad})


# --- tables


def test_the_table_of_gauges_bias_is_read_as_it_is_written(rainy: Callable[..., Path], tmp_path: Path) -> None:
    """Five gauges of 1.5 mm over a radar of 6 mm/h for an hour cut to 1 mm/h: a factor of 1.5 with any format."""
    source = rainy(*[6.0] * 12)
    lon, lat = grids()["kma-hb-1km"].lonlat([WINDOW[1] + 3.5] * 5, np.arange(5) + WINDOW[0] + 2.5)
    places = Points(tuple("abcde"), tuple(zip(lon.tolist(), lat.tolist(), strict=True)))
    readings = tmp_path / "readings.csv"
    readings.write_text("time,name,rain\n" + "".join(f"2022-06-09 12:00,{name},1.5\n" for name in "abcde"))
    rules = ReadingRules(step=timedelta(hours=1))
    for suffix in ("csv", "parquet"):
        radar, bias = tmp_path / f"radar.{suffix}", tmp_path / f"bias.{suffix}"
        over(series(source, radar, SeriesOptions(points=places, max_rate=1, jobs=1)))
        gauge_bias(readings, radar, bias, GaugeBiasOptions(readings=rules))
        factors = read_factors(bias)
        start = int(HOUR.timestamp())
        assert factors.law == "as observed, at most 1 mm/h"
        (row,) = factors.rows
        assert (row.start, row.end, row.pairs) == (start, start + 3600, 5)
        assert row.value == pytest.approx(1.5)
    depth, _tags, _notes = summed(source, tmp_path / "out", bias=tmp_path / "bias.csv", max_rate=1)
    assert depth[3, 3] == pytest.approx(1.5)
    with pytest.raises(OptionsError, match=r"factors are for rain by 'as observed, at most 1 mm/h', and"):
        summed(source, tmp_path / "out", bias=tmp_path / "bias.csv")
    over(series(source, tmp_path / "again.csv", SeriesOptions(points=places, max_rate=1, bias=bias, jobs=1)))
    left = gauge_bias(readings, tmp_path / "again.csv", tmp_path / "left.csv", GaugeBiasOptions(readings=rules))
    assert any("not for --bias" in note for note in left.notes)
    with pytest.raises(OptionsError, match=r"adjusted by bias\.parquet"):
        summed(source, tmp_path / "out", bias=tmp_path / "left.csv", max_rate=1)


GOOD = "2022-06-09T02:00:00Z,,all gauges,1,7,18,12,1.5,x"
BAD: dict[str, tuple[str, str]] = {
    "a factor of 0": (GOOD.replace("1.5", "0"), r"line 3: bias: expected a factor above 0, or nothing, found '0'"),
    "a factor below 0": (GOOD.replace("1.5", "-2"), r"line 3: bias: expected .* found '-2'"),
    "infinite": (GOOD.replace("1.5", "inf"), r"line 3: bias: expected .* found 'inf'"),
    "no number": (GOOD.replace("1.5", "1,5"), r"line 3: expected 9 columns, found 10"),
    "a word": (GOOD.replace("1.5", "nan"), r"line 3: bias: expected .* found 'nan'"),
    "no time": (GOOD.replace("2022-06-09T02", "noon"), r"line 3: time_utc: expected a time such as .*, found 'noon:"),
    "no zone": (GOOD.replace("00Z", "00"), r"line 3: time_utc: expected a time with a zone, .* '2022-06-09T02:00:00'"),
    "no length": (GOOD.replace("s,1,", "s,,"), r"line 3: hours: expected a length above 0, found nothing"),
    "a length below 0": (GOOD.replace("s,1,", "s,-1,"), r"line 3: hours: expected a length above 0, found '-1'"),
    "within another": (GOOD.replace("02:00", "01:30"), r"line 2: expected a time after that of line 3, found one"),
    "other rain": (GOOD.replace("02:00", "03:00")[:-1] + "y", r"line 3: expected rain by 'x', as line 2, found 'y'"),
    "cut off": ("2022-06-09T03:00:00Z,,all", r"line 3: expected 9 columns, found 3"),
}


@pytest.mark.parametrize(("line", "message"), BAD.values(), ids=BAD)
def test_a_table_that_is_damaged(tmp_path: Path, line: str, message: str) -> None:
    path = tmp_path / "b.csv"
    path.write_text(f"{HEAD}\n{GOOD}\n{line}\n", encoding="utf-8")
    with pytest.raises(SourceError, match=message):
        read_factors(path)


def test_a_table_that_is_none(tmp_path: Path, save: Save) -> None:
    (tmp_path / "other.csv").write_text("time_utc,name\n", encoding="utf-8")
    with pytest.raises(SourceError, match="is not a table from hsrgeo gauges bias: it has no column hours, bias"):
        read_factors(tmp_path / "other.csv")
    (tmp_path / "latin.csv").write_bytes(HEAD.encode() + b"\n\xff\xfe\n")
    with pytest.raises(SourceError, match="cannot be read as CSV in UTF-8"):
        read_factors(tmp_path / "latin.csv")
    (tmp_path / "no.parquet").write_bytes(b"PAR1")
    with pytest.raises(SourceError, match="cannot be read as Parquet"):
        read_factors(tmp_path / "no.parquet")
    with pytest.raises(SourceError, match="no such file"):
        read_factors(tmp_path / "none.csv")
    with pytest.raises(OptionsError, match=r"ends in \.csv or \.parquet, not in '\.xlsx'"):
        read_factors(tmp_path / "b.xlsx")
    with pytest.raises(OptionsError, match="no row has a factor"):
        read_factors(save((0, 1, "")))


def test_a_table_without_a_law_and_factors_that_are_hard_to_believe_are_reported(save: Save) -> None:
    notes = ExportOptions(quantity="rain", bias=save((0, 1, 1.5), (60, 1, 40), law=None)).notes
    assert notes == (
        "bias.csv does not say how its rain follows: is it by the same zr and max_rate?",
        "bias.csv: factors below 0.1 or above 10: 1",
    )


# --- refused


def test_options_that_do_not_go_together(save: Save, place: Points) -> None:
    bias = save((0, 1, 1.5))
    with pytest.raises(OptionsError, match="rolling does not go with bias"):
        AccumulateOptions(bias=bias, rolling=[timedelta(hours=1)])
    given: dict[str, Any] = {"bias": bias, "max_rate": 100}
    for name, value in given.items():
        with pytest.raises(OptionsError, match=f"{name} is .*give quantity rain too"):
            ExportOptions(**{name: value})
        with pytest.raises(OptionsError, match="are of rain, not of reflectivity"):
            SeriesOptions(points=place, quantity="reflectivity", **{name: value})
    with pytest.raises(OptionsError, match="bias is for exports, sums and series"):
        CubeOptions(frames=ExportOptions(quantity="rain", bias=bias))
    with pytest.raises(OptionsError, match=r"bias 1\.5: expected the table that hsrgeo gauges bias writes"):
        ExportOptions(quantity="rain", bias=1.5)  # type: ignore[arg-type] # that is the question


def test_factors_of_other_rain(rainy: Callable[..., Path], save: Save, tmp_path: Path, place: Points) -> None:
    """Of another law; or of the rain that KMA made, for frames of reflectivity."""
    source = rainy(30, code=1)
    other = save((0, 1, 1.5), law="Z = 300 R^1.4")
    message = r"bias\.csv: its factors are for rain by 'Z = 300 R\^1\.4', and this run makes it by 'Z = 200 R\^1\.6'"
    with pytest.raises(OptionsError, match=message):
        exported(source, tmp_path / "out", bias=other)
    with pytest.raises(OptionsError, match=message):
        summed(source, tmp_path / "out", bias=other)
    with pytest.raises(OptionsError, match=message):
        table(source, tmp_path / "a.csv", place, bias=other)
    assert exported(source, tmp_path / "out", bias=other, zr=(300, 1.4))[0] == ["ok"]
    run = export(source, tmp_path / "hsp", ExportOptions(quantity="rain", bias=save((0, 1, 1.5)), jobs=1))
    (outcome,) = run
    assert outcome.status == "failed"
    assert "expected rain by 'as observed', as bias.csv, found 'Z = 200 R^1.6'" in str(outcome.error)


def test_the_commands_take_a_bias(rainy: Callable[..., Path], save: Save, tmp_path: Path) -> None:
    source, bias = str(rainy(6, 12)), str(save((0, 1 / 12, 1.5)))
    app = typer.Typer()
    app.command("accumulate")(accumulate_command)
    app.command("series")(series_command)
    runner = CliRunner()
    words = ["accumulate", source, "--bias", bias, "--out", str(tmp_path / "out"), "--jobs", "1"]
    done = runner.invoke(app, words)
    assert done.exit_code == 0, done.output
    assert "note: 1 of 2 frames: bias.csv has no factor for their time, they stay as they are" in done.stderr
    refused = runner.invoke(app, [*words, "--rolling", "10min"])
    assert refused.exit_code == 2
    assert "rolling does not go with bias" in refused.stderr
    (tmp_path / "a.csv").write_text("time_utc,name,rain_mm_h,coverage\n", encoding="utf-8")
    words = ["series", str(tmp_path / "a.csv"), "--period", "1h", "--out", str(tmp_path / "b.csv")]
    for more in (["--bias", bias], ["--max-rate", "100"], ["--zr", "200", "1.6"], ["--frame-step", "10min"]):
        refused = runner.invoke(app, [*words, *more])
        assert refused.exit_code == 2
        assert f"{more[0]}: only for frames, not for a table" in refused.stderr
    refused = runner.invoke(app, [*words, "--method", "nearest", "--every", "1h", "--block", "2", "--jobs", "1"])
    assert "--method, --every, --block, --jobs: only for frames" in refused.stderr
