"""Plots: what a table or a sum is read as, what a picture shows, and what is said where there is nothing to draw."""

from __future__ import annotations

import builtins
import io
import re
import xml.etree.ElementTree as ET
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import typer
from PIL import Image
from typer.testing import CliRunner

from hsrgeo.cli.plot import plot
from hsrgeo.engine.accumulate.sums import write_sum
from hsrgeo.engine.plot import PlotSeriesOptions, PlotSumOptions, plot_series, plot_sum
from hsrgeo.engine.series.series_table import MOST_PLACES, read_series
from hsrgeo.errors import HsrGeoError, MissingExtraError, OptionsError, SourceError
from hsrgeo.gis import fonts, plots
from hsrgeo.gis.depth import depth_classes, depth_colours
from hsrgeo.gis.hyetograph import PlaceSeries, _bars, bar_step
from hsrgeo.gis.sum_map import SumMap
from hsrgeo.model.grid_catalog import grids
from hsrgeo.model.times import FRAME_STEP, KST, utc_text
from hsrgeo.model.window import Window
from hsrgeo.writers.sum_cog import Band, encode_bands, encode_sum_cog
from hsrgeo.writers.sum_readback import read_sum
from hsrgeo.writers.table_files import write_table

NOON = datetime(2022, 6, 9, 12, 0, tzinfo=KST)
NAN = float("nan")
GRID = next(iter(grids().values())).crop(Window(1000, 1200, 60, 40))
TAGS = {
    "PRODUCT": "HSR",
    "QUANTITY": "rain_depth",
    "TIME_START_UTC": utc_text(NOON),
    "TIME_END_UTC": utc_text(NOON + timedelta(hours=1)),
    "FRAMES_USED": "9",
    "FRAMES_EXPECTED": "12",
}


def table(path: Path, rows: dict[int, list[tuple[float, float]]], names: list[str]) -> Path:
    """Write rates and coverages of places, by minutes after noon."""
    columns = ("rain_mm_h", "coverage")
    write_table(path, names, columns, ((NOON + timedelta(minutes=m), np.array(v)) for m, v in rows.items()))
    return path


@pytest.fixture
def rain(tmp_path: Path) -> Path:
    """Give a table of two places: a gap at 12:10 that has a row, one at 12:15 that has none, half of b at 12:20."""
    rows = {0: [(12.0, 1.0), (0.0, 1.0)], 5: [(6.0, 1.0), (1.0, 1.0)], 10: [(NAN, 0.0), (NAN, 0.0)]}
    rows[20] = [(0.0, 1.0), (24.0, 0.5)]
    return table(tmp_path / "rain.csv", rows, ["a", "b"])


def sum_file(path: Path, **tags: str) -> Path:
    depth = np.tile(np.array([0, 10, 100, 1234, 15000, -30000], np.int32), (40, 10))
    frames = np.full((40, 60), 12, np.int32)
    frames[depth == -30000] = 0
    frames[:20, :30] = 6
    path.write_bytes(encode_sum_cog(GRID, depth, frames, {**TAGS, **tags}, utc_text(NOON)))
    return path


def pixels(path: Path) -> Any:
    return np.asarray(Image.open(path).convert("RGB"))


def has(picture: Any, rgb: tuple[int, int, int]) -> bool:
    return bool((picture == rgb).all(axis=-1).any())


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_a_table_becomes_one_axis_without_a_slot_left_out(rain: Path, tmp_path: Path, suffix: str) -> None:
    path = rain
    if suffix == ".parquet":
        rows = {0: [(12.0, 1.0), (0.0, 1.0)], 5: [(6.0, 1.0), (1.0, 1.0)], 10: [(NAN, 0.0)] * 2}
        path = table(tmp_path / "rain.parquet", rows | {20: [(0.0, 1.0), (24.0, 0.5)]}, ["a", "b"])
    (a, b), notes = read_series(path)
    assert (a.name, a.start, a.step, notes) == ("a", NOON, FRAME_STEP, [])
    np.testing.assert_array_equal(a.rates, [12, 6, NAN, NAN, 0])
    np.testing.assert_array_equal(b.coverage, [1, 1, 0, 0, 0.5])
    np.testing.assert_allclose(a.depths_mm, [1, 0.5, 0, 0, 0])
    (only,), _notes = read_series(path, ["b"], NOON - timedelta(minutes=5), NOON + timedelta(minutes=10))
    np.testing.assert_array_equal(only.rates, [NAN, 0, 1])
    assert only.start == NOON - FRAME_STEP


def test_times_between_steps_are_left_out_and_reported(tmp_path: Path) -> None:
    path = table(tmp_path / "t.csv", {m: [(1.0, 1.0)] for m in (0, 5, 7, 10, 15)}, ["a"])
    (a,), notes = read_series(path)
    assert len(a.rates) == 4
    assert notes == ["1 of 5 times lie between steps of 5min, and are left out of sums"]


def test_bars_of_half_an_hour_hold_depth_and_how_much_was_observed() -> None:
    rates = np.array([12.0, NAN, 6.0, 6.0, NAN, NAN, NAN, NAN])
    one = PlaceSeries("a", NOON + timedelta(minutes=20), FRAME_STEP, rates, (~np.isnan(rates)).astype(float))
    bars = _bars(one, timedelta(minutes=30))  # 12:00 to 12:30 has two slots of the series, 12:30 to 13:00 six
    np.testing.assert_allclose(bars.heights, [1, 1])
    np.testing.assert_allclose(bars.coverage, [0.5, 2 / 6])
    np.testing.assert_allclose(np.diff(bars.edges) * 24, 0.5, atol=1e-6)
    month = PlaceSeries("m", NOON, FRAME_STEP, np.zeros(8928), np.ones(8928))
    assert (bar_step(one), bar_step(month)) == (FRAME_STEP, timedelta(hours=3))


@pytest.mark.slow
def test_a_gap_is_hatched_and_a_part_is_shaded(rain: Path, tmp_path: Path) -> None:
    plotted = plot_series(rain, tmp_path / "a.png", PlotSeriesOptions(names=["a"]))
    assert (plotted.places, plotted.notes) == (["a"], [])
    grey, shade = (0xD3, 0xD7, 0xDC), (0xF7, 0xE6, 0xBD)
    picture = pixels(tmp_path / "a.png")
    assert picture.shape[1] == 1200
    panel = picture[80:-110]  # without the key
    assert has(panel, grey)
    assert not has(panel, shade)
    gap = (panel == grey).all(axis=-1).any(axis=0)
    assert 0.35 < gap.sum() / (1200 - 2 * 76) < 0.45  # two of five slots
    plot_series(rain, tmp_path / "b.png", PlotSeriesOptions(names=["b"]))
    assert has(pixels(tmp_path / "b.png")[80:-110], shade)


@pytest.mark.parametrize("width", [plots.LEAST_WIDTH, 919, 920])
def test_the_key_fits_the_picture(rain: Path, tmp_path: Path, width: int) -> None:
    # the longest words that it can have: "rain in 10 min"
    plot_series(rain, tmp_path / "p.png", PlotSeriesOptions(bar=timedelta(minutes=10), width=width))
    foot = pixels(tmp_path / "p.png")[-70:]
    assert (foot[:, :10] == 255).all()
    assert (foot[:, -10:] == 255).all()
    assert has(foot, (0xF7, 0xE6, 0xBD))  # and it is there


def test_the_same_table_gives_the_same_bytes(rain: Path, tmp_path: Path) -> None:
    for suffix in plots.SUFFIXES:
        one, two = tmp_path / f"1{suffix}", tmp_path / f"2{suffix}"
        plot_series(rain, one)
        plot_series(rain, two)
        assert one.read_bytes() == two.read_bytes()
    assert ET.parse(tmp_path / "1.svg").getroot().tag.endswith("svg")  # noqa: S314 - made here
    assert b"<dc:date>" not in (tmp_path / "1.svg").read_bytes()


def test_a_name_that_no_font_has_is_numbered_and_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = table(tmp_path / "k.csv", {0: [(1.0, 1.0)] * 3}, ["가평", "$x_1$ & <b>", "n" * 90])
    monkeypatch.setattr(fonts, "system_fonts", tuple)
    plots.letters.cache_clear()
    plotted = plot_series(path, tmp_path / "k.svg", PlotSeriesOptions(title="한강"))
    assert plotted.places[0] == "가평"
    assert len(plotted.notes) == 2
    assert "the title '한강'" in plotted.notes[0]
    assert "'가평' (for Korean: apt-get install fonts-nanum); it is called 'place 1' in the plot" in plotted.notes[1]
    plots.letters.cache_clear()


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "no column time_utc, name, coverage, mean_mm_h or rain_mm_h"),
        ("name,lon,lat\na,127,37\n", "is not a table from hsrgeo series"),
        ("time_utc,time_kst,name,rain_mm_h,coverage\n", "is empty"),
        ("time_utc,time_kst,name,reflectivity_dbz,coverage\n", "--quantity rain"),
        ("time_utc,name,rain_mm_h,coverage\n2022-06-09T03:00:00Z,a,x,1\n", "line 2: could not convert"),
        ("time_utc,name,rain_mm_h,coverage\n2022-06-09T03:00:00Z,a,-1,1\n", "line 2: -1 is out of range"),
        ("time_utc,name,rain_mm_h,coverage\n2022-06-09T03:00:00Z,a,1e308,1\n", r"line 2: 1e\+308 is out of range"),
        ("time_utc,name,rain_mm_h,coverage\n2022-06-09T03:00:00Z,a,1,1.5\n", "line 2: 1.5 is out of range"),
        ("time_utc,name,rain_mm_h,coverage\n2022-06-09T03:00:00,a,1,1\n", "line 2: time .* has no zone"),
        ("time_utc,name,rain_mm_h,coverage\n2022-06-09T03:00:00Z,a\n", "line 2"),
        ("time_utc,name,rain_mm_h,coverage\n" + "2022-06-09T03:00:00Z,a,1,1\n" * 2, "two rows of 'a'"),
        (
            "time_utc,name,rain_mm_h,coverage\n2022-06-09T03:00:00Z,a,1,1\n2022-06-09T03:07:00Z,a,1,1\n",
            "does not divide a day",
        ),
        ("time_utc,name,rain_mm_h,coverage\n\ud800", "UTF-8"),
    ],
)
def test_a_table_that_is_no_series_is_reported(tmp_path: Path, text: str, problem: str) -> None:
    path = tmp_path / "bad.csv"
    path.write_bytes(text.encode("utf-8", "surrogatepass"))
    with pytest.raises(SourceError, match=problem):
        plot_series(path, tmp_path / "x.png")
    assert not (tmp_path / "x.png").exists()


def test_what_cannot_be_asked_of_a_table(rain: Path, tmp_path: Path) -> None:
    out = tmp_path / "x.png"
    asked: list[tuple[Any, Any, dict[str, Any], type[HsrGeoError], str]] = [
        (rain, "x.jpg", {}, OptionsError, "ends in .png or .svg, not in '.jpg'"),
        (rain, out, {"names": ["a", "c"]}, OptionsError, "no place 'c'; there are 'a', 'b'"),
        (rain, out, {"start": NOON + timedelta(days=1)}, OptionsError, "no row in the requested times"),
        (rain, out, {"bar": timedelta(minutes=2)}, OptionsError, "multiple of the table's step"),
        (rain, out, {"end": NOON + timedelta(days=99_999)}, OptionsError, "too long"),
        (tmp_path / "no.csv", out, {}, SourceError, "no such file"),
        (tmp_path / "a.txt", out, {}, OptionsError, "is read from .csv or .parquet"),
        (tmp_path / "a.parquet", out, {}, SourceError, "cannot be read as a series"),
    ]
    for name in ("a.txt", "a.parquet"):
        (tmp_path / name).write_text("no table")
    for source, target, options, error, problem in asked:
        with pytest.raises(error, match=problem):
            plot_series(source, target, PlotSeriesOptions(**options))
    for options, problem in (
        ({"width": 100}, "width"),
        ({"bar": timedelta(minutes=7)}, "divide a day"),
        ({"start": NOON, "end": NOON}, "later than start"),
    ):
        with pytest.raises(OptionsError, match=problem):
            PlotSeriesOptions(**options)
    many = table(tmp_path / "many.csv", {0: [(1.0, 1.0)] * 30}, [f"p{n}" for n in range(30)])
    with pytest.raises(OptionsError, match="more than 12 places: choose with --name, of 'p0', 'p1'"):
        plot_series(many, out)
    with pytest.raises(OptionsError, match="at most 12 in one plot"):
        plot_series(many, out, PlotSeriesOptions(names=[f"p{n}" for n in range(MOST_PLACES + 1)]))


@pytest.mark.slow
def test_a_map_has_the_colours_of_its_legend(tmp_path: Path) -> None:
    source = sum_file(tmp_path / "s.tif")
    read = read_sum(source)
    assert read.grid.width == 60
    np.testing.assert_allclose(read.depth_mm[0, :5], [0, 0.1, 1, 12.34, 150], rtol=1e-6)
    assert np.isnan(read.depth_mm[0, 5])
    assert read.counts[0, 0] == 6
    assert plot_sum(source, tmp_path / "s.png", PlotSumOptions(times=1)).notes == []
    panel = pixels(tmp_path / "s.png")[80:-110, 72:880]
    by_hand = [(246, 248, 250), (0, 155, 245), (0, 255, 0), (255, 102, 0), (51, 51, 51), (211, 215, 220)]
    for rgb in by_hand:  # no rain; 0.1, 1, 10 and 150 mm; not known
        assert has(panel, rgb), rgb
    assert has(panel, (105, 105, 105))  # hatched: 6 of 12 frames
    plot_sum(source, tmp_path / "n.png", PlotSumOptions(coverage=0.5))
    assert not has(pixels(tmp_path / "n.png")[80:-110, 72:880], (105, 105, 105))
    one, two = (plot_sum(source, tmp_path / name).path.read_bytes() for name in ("1.svg", "2.svg"))
    assert one == two
    own = tmp_path / "own.txt"
    own.write_text("# unit: mm\nnodata 90 9 9\nundetect 9 90 9\n0.5 9 9 90\n12.34 200 100 50 255 much\n")
    plot_sum(source, tmp_path / "p.png", PlotSumOptions(palette=own))
    panel = pixels(tmp_path / "p.png")[80:-110, 72:880]
    # 0 and 0.1 mm; 1 mm; 12.34 and 150 mm; not known
    assert all(has(panel, rgb) for rgb in [(9, 90, 9), (9, 9, 90), (200, 100, 50), (90, 9, 9)])
    assert not any(has(panel, rgb) for rgb in by_hand)
    with pytest.raises(OptionsError, match="palette rain is in mm/h, and rain_depth is in mm"):
        PlotSumOptions(palette="rain")
    with pytest.raises(OptionsError, match="give one of them"):
        PlotSumOptions(palette=own, times=2)


def test_classes_of_depth() -> None:
    assert [(one.lower, one.label) for one in depth_classes(1)[:3]] == [(0.01, "0.01"), (0.1, "0.1"), (0.5, "0.5")]
    assert (depth_classes(5)[-1].lower, depth_classes(5)[-1].label) == (750, "750")
    depth = np.array([NAN, 0, 0.01, 0.1, 0.09, 150], np.float32)
    made = depth_colours(depth, depth_classes(1), dry=(1, 1, 1), nodata=(2, 2, 2))
    expected = [(2, 2, 2), (1, 1, 1), (0, 200, 255), (0, 155, 245), (0, 200, 255), (51, 51, 51)]
    assert made.tolist() == [list(rgb) for rgb in expected]
    with pytest.raises(OptionsError, match="one of 1, 2, 5, 10"):
        depth_classes(3)


def test_a_map_has_the_classes_of_its_style(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """KMA's highest bound is 150: times 1 up to 3 hours, 2 up to a day, 5 up to a week; of maxima the window counts."""
    drawn: list[SumMap] = []

    def draw(shown: SumMap, _suffix: str, *, width: int) -> tuple[bytes, list[str]]:
        drawn.append(shown)
        return bytes(width), []

    monkeypatch.setattr("hsrgeo.engine.plot.draw_sum", draw)
    week = {"DURATION": "1h", "DURATION_MINUTES": "60"}
    for hours, tags, top in ((3, {}, 150), (24, {}, 300), (168, {}, 750), (168, week, 150)):
        ends = {"TIME_END_UTC": utc_text(NOON + timedelta(hours=hours))}
        source = sum_file(tmp_path / "s.tif", TIME_START_UTC=utc_text(NOON), **ends, **tags)
        plot_sum(source, tmp_path / "s.png")
        assert drawn[-1].classes[-1].lower == top
        if not tags:
            write_sum(source, source.read_bytes(), timedelta(hours=hours))
            assert re.search(rf'label="{top} \S \d+ mm and above"', source.with_suffix(".qml").read_text("utf-8"))
    plot_sum(source, tmp_path / "s.png", times=10)
    assert drawn[-1].classes[-1].lower == 1500


def test_rolling_maxima_and_made_up_frames_are_drawn_too(tmp_path: Path) -> None:
    names = ("rain_depth_max", "end_minutes", "windows")
    bands = [Band(name, np.full((40, 60), 9, np.int32), 0.01) for name in names]
    tags = {**TAGS, "DURATION": "10min", "WINDOWS_EXPECTED": "11", "SYNTHETIC": "yes"}
    (tmp_path / "r.tif").write_bytes(encode_bands(GRID, bands, tags, utc_text(NOON)))
    plot_sum(tmp_path / "r.tif", tmp_path / "r.png", PlotSumOptions(title="Ein Titel " * 30))
    assert has(pixels(tmp_path / "r.png")[:80], (196, 0, 26))


def test_what_is_no_sum_is_reported(tmp_path: Path) -> None:
    out = tmp_path / "x.png"
    (tmp_path / "t.tif").write_text("no picture")
    (tmp_path / "t.csv").write_text("time,name")
    (tmp_path / "o.tif").write_bytes(
        encode_bands(GRID, [Band("reflectivity", np.zeros((40, 60), np.int32))], {}, utc_text(NOON))
    )
    (tmp_path / "u.tif").write_bytes(sum_file(tmp_path / "v.tif", FRAMES_EXPECTED="many").read_bytes())
    for name, problem in (
        ("no.tif", "no such file"),
        ("t.tif", "GDAL cannot read it"),
        ("t.csv", "is a table: expected a COG of hsrgeo accumulate; hsrgeo plot series draws tables"),
        ("o.tif", "is not a sum written by hsrgeo accumulate: its bands are reflectivity"),
        ("u.tif", "is not a sum written by hsrgeo accumulate: .*many"),
    ):
        with pytest.raises(SourceError, match=problem):
            plot_sum(tmp_path / name, out)
    with pytest.raises(OptionsError, match=r"not in '\.tif'"):
        plot_sum(tmp_path / "v.tif", "x.tif")
    bad: list[dict[str, Any]] = [{"coverage": 1.5}, {"times": 3}, {"width": 9999}]
    for options in bad:
        with pytest.raises(OptionsError, match="expected"):
            PlotSumOptions(**options)


def test_a_missing_extra_is_reported(rain: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def without(name: str, *rest: Any, **named: Any) -> Any:
        if name.partition(".")[0] == "matplotlib":
            raise ImportError(name)
        return real(name, *rest, **named)

    source = sum_file(tmp_path / "s.tif")
    monkeypatch.setattr(builtins, "__import__", without)
    words = r"needs matplotlib: pip install 'hsrgeo\[plot\]'"
    with pytest.raises(MissingExtraError, match=words):
        plot_series(rain, tmp_path / "x.png")
    with pytest.raises(MissingExtraError, match=words):
        plot_sum(source, tmp_path / "x.png")
    assert not (tmp_path / "x.png").exists()


def test_a_users_own_settings_change_nothing(rain: Path, tmp_path: Path) -> None:
    import matplotlib as mpl  # noqa: PLC0415

    plot_series(rain, tmp_path / "a.png")
    with mpl.rc_context({"font.size": 30, "axes.facecolor": "red"}):
        plot_series(rain, tmp_path / "b.png")
        assert mpl.rcParams["font.size"] == 30
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()


def test_the_command(rain: Path, tmp_path: Path) -> None:
    app = typer.Typer()
    app.add_typer(plot)
    app.callback()(lambda: None)

    def cli(*words: object) -> Any:
        return CliRunner().invoke(app, ["plot", *map(str, words)])

    out = tmp_path / "x.svg"
    done = cli("series", rain, "--out", out, "--name", "b", "--name", "a", "--start", "2022-06-09T12:00", "--bar", "1h")
    assert (done.exit_code, done.stdout) == (0, f"{out}: b, a\n"), done.stderr
    done = cli("sum", sum_file(tmp_path / "s.tif"), "--out", tmp_path / "m.png", "--width", 700)
    assert (done.exit_code, Image.open(io.BytesIO((tmp_path / "m.png").read_bytes())).size[0]) == (0, 700)
    for words in (
        ("series", rain, "-o", "x.gif"),
        ("series", rain, "-o", out, "--name", "z"),
        ("sum", rain, "-o", out),
    ):
        assert cli(*words).exit_code == 2
