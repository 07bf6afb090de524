"""Folders of sums and gauge fields: styles, projects, stacks and catalogues of them."""

from __future__ import annotations

import csv
import json
import re
import shutil
import zipfile
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from PIL import Image
from pyarrow import parquet

from hsrgeo.engine.accumulate.sum_options import AccumulateOptions
from hsrgeo.engine.accumulate.sum_run import accumulate
from hsrgeo.engine.drawn_sums import DrawnSum, read_drawn, sums_of
from hsrgeo.engine.gauges.field import gauge_fields
from hsrgeo.engine.gauges.gauge_options import GaugeFieldOptions
from hsrgeo.engine.plot import plot_sum
from hsrgeo.engine.qgis import write_project
from hsrgeo.engine.render import render
from hsrgeo.engine.series.series_options import SeriesOptions
from hsrgeo.engine.series.series_run import series
from hsrgeo.engine.stac import write_catalog
from hsrgeo.engine.view.pages import INDEX_FILE, ViewOptions, make_page
from hsrgeo.engine.view.server import PageServer
from hsrgeo.engine.vrt import write_stacks
from hsrgeo.errors import ManifestError, OptionsError
from hsrgeo.formats.names import FrameName
from hsrgeo.gis.depth import TIMES, times_of
from hsrgeo.gis.legend import svg
from hsrgeo.gis.map import ATTRIBUTION
from hsrgeo.gis.styles import class_label
from hsrgeo.model.quantity import DEPTH, RAIN
from hsrgeo.model.times import KST
from hsrgeo.outputs.stacks import stacks_of
from hsrgeo.outputs.summed import is_summed
from hsrgeo.products.classes import DRY, NODATA, classes_for
from hsrgeo.reading import open_frame
from hsrgeo.sources.gauge_rules import ReadingRules
from hsrgeo.sources.select import Selection
from hsrgeo.writers.sum_cog import encode_sum_cog
from hsrgeo.writers.sum_readback import read_sum
from tests.browser import Shown, browser_test, serving
from tests.conftest import NX, NY, MakeFile, frame_name
from tests.qgis import needs_qgis, qgis

HOUR = datetime(2022, 6, 9, 11, 0, tzinfo=KST)
WINDOW = (500, 700, 40, 30)
FIRST, SECOND = "202206/09/rain_1h_202206091100.tif", "202206/09/rain_1h_202206091200.tif"
YELLOW = [255, 255, 0, 255]
"""Of 5 to 6 mm: KMA's colour of 5 mm/h."""


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory, make_file: MakeFile) -> Path:
    """Give 13 frames from 11:00 on: 34.5 dBZ in the window's rows above 10, no echo from there to 20, nothing below."""
    folder = tmp_path_factory.mktemp("frames")
    pixels = np.full((NY, NX), -30000, np.int16)
    pixels[700:710, 500:540], pixels[710:720, 500:540] = 3450, -25000
    for number in range(13):
        time = HOUR + number * timedelta(minutes=5)
        (folder / frame_name(time)).write_bytes(make_file(pixels, time=time))
    return folder


@pytest.fixture(scope="module")
def made(source: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("made") / "sums"
    options = AccumulateOptions(window=WINDOW, rolling=[timedelta(minutes=30)], jobs=1)
    for _outcome in accumulate(source, out, options):
        pass
    return out


@pytest.fixture
def sums(made: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made, tmp_path / "sums"))


@pytest.fixture(scope="module")
def made_fields(tmp_path_factory: pytest.TempPathFactory) -> Path:
    tmp_path = tmp_path_factory.mktemp("made_fields")
    (tmp_path / "g.csv").write_text("name,lon,lat\na,126.5,37.5\nb,127.5,36.5\n")
    (tmp_path / "r.csv").write_text("time,name,rain_mm\n2022-06-09 11:00,a,5.5\n2022-06-09 11:00,b,5.5\n")
    options = GaugeFieldOptions(
        gauges=tmp_path / "g.csv", readings=ReadingRules(step=timedelta(hours=1)), method="thiessen", jobs=1
    )
    for _field in gauge_fields(tmp_path / "r.csv", tmp_path / "fields", options):
        pass
    return tmp_path / "fields"


@pytest.fixture
def fields(made_fields: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made_fields, tmp_path / "fields"))


def test_a_folder_of_sums_is_reported_by_its_names(sums: Path, source: Path) -> None:
    held = stacks_of(sums)
    assert [(stack.product, stack.length, times_of(stack.duration)) for stack in held.stacks] == [
        ("HSR-rain_1h", timedelta(hours=1), 1),
        ("HSR-rain_max_30min", timedelta(minutes=65), 1),
    ]
    assert held.stacks[0].frames == ((HOUR, FIRST), (HOUR + timedelta(hours=1), SECOND))
    assert held.stacks[0].quantity == DEPTH
    assert is_summed(sums)
    assert not is_summed(source)
    (sums / SECOND).write_bytes(b"II*\0")
    held = stacks_of(sums)
    assert [error.problem[:12] for error in held.damaged] == ["is not a COG"]
    assert len(held.stacks[0].frames) == 1
    with pytest.raises(OptionsError, match=r"no region 'x' in .*: it has no regions"):
        stacks_of(sums, "x")
    with pytest.raises(ManifestError, match="is it the OUT of an export, or of accumulate"):
        stacks_of(source)


def test_bounds_of_depth_are_kmas_numbers_times_what_goes_with_the_length() -> None:
    assert [times_of(timedelta(hours=hours)) for hours in (1, 3, 6, 24, 72, 168, 720)] == [1, 1, 2, 2, 5, 5, 10]
    one, two = classes_for(DEPTH), classes_for(DEPTH, times=2)
    assert [low.lower for low in one[:4]] == [0, 0.01, 0.1, 0.5]
    assert [low.lower for low in two[:4]] == [0, 0.01, 0.2, 1]
    assert (one[8].rgb, one[8].first, one[8].last) == ((255, 255, 0), 500, 599)  # 5 mm in steps of 0.01 mm
    assert (two[8].rgb, two[8].first, two[8].last) == ((255, 255, 0), 1000, 1199)
    assert class_label(two[-1], DEPTH, times=2) == "300 – 400 mm and above"  # noqa: RUF001 - as in legends
    assert two[-1].last == 2**31 - 1  # a month may have more than int16 holds
    assert "<title>Rain depth [mm]</title>" in svg(DEPTH, times=2)


OPENED = """
layer = QgsRasterLayer(args[0], "x")
answer = layer.renderer().type(), [item.label for item in layer.renderer().shader().rasterShaderFunction()
    .colorRampItemList()][:2] if layer.renderer().type() == "singlebandpseudocolor" else []
settings = QgsMapSettings()
settings.setLayers([layer])
settings.setDestinationCrs(layer.crs())
settings.setExtent(layer.extent())
settings.setOutputSize(QSize(layer.width(), layer.height()))
settings.setBackgroundColor(QColor(0, 0, 0, 0))
job = QgsMapRendererSequentialJob(settings)
job.start()
job.waitForFinished()
image = job.renderedImage()
answer = answer + ([list(image.pixelColor(20, row).getRgb()) for row in args[1]],)
"""


@needs_qgis
def test_qgis_draws_a_sum_in_classes_of_depth(sums: Path, tmp_path: Path) -> None:
    # 34.5 dBZ is (10^3.45 / 200)^(1/1.6) = 5.22 mm/h, for twelve frames of five minutes: 5.22 mm.
    renderer, labels, pixels = qgis(OPENED, tmp_path, str(sums / FIRST), [5, 15, 25])
    assert renderer == "singlebandpseudocolor"
    assert labels[0] == "no rain"
    assert labels[1].startswith("0.01")
    assert pixels == [YELLOW, [0, 0, 0, 0], [0, 0, 0, 0]]


@pytest.mark.slow
@needs_qgis
def test_qgis_draws_a_gauge_field_in_classes_of_depth(fields: Path, tmp_path: Path) -> None:
    path = next(fields.rglob("*.tif"))
    assert qgis(OPENED, tmp_path, str(path), [5])[::2] == ["singlebandpseudocolor", [YELLOW]]
    found = [(stack.product, times_of(stack.duration)) for stack in stacks_of(fields).stacks]
    assert found == [("gauges_thiessen_1h", 1)]


SPANS = """
p = QgsProject.instance()
assert p.read(args[0])
answer = {l.source().split("/")[-1]: [l.isValid(), l.renderer().type(), l.name(),
    p.layerTreeRoot().findLayer(l).isVisible(),
    l.temporalProperties().fixedTemporalRange().begin().toUTC().toString(Qt.ISODate),
    l.temporalProperties().fixedTemporalRange().end().toUTC().toString(Qt.ISODate)] for l in p.mapLayers().values()
    if l.type() == QgsMapLayerType.RasterLayer}
"""


@pytest.mark.slow
@needs_qgis
def test_a_project_of_sums_shows_each_for_its_period(sums: Path, tmp_path: Path) -> None:
    record = qgis(SPANS, tmp_path, str(write_project(sums)))
    pseudo = [True, "singlebandpseudocolor"]
    first, second = (f"2022-06-09 {hour}:00 - {hour + 1}:00 KST" for hour in (11, 12))
    assert record["rain_1h_202206091100.tif"] == [*pseudo, first, True, "2022-06-09T02:00:01Z", "2022-06-09T02:59:59Z"]
    second += " (1 of 12 frames)"
    assert record["rain_1h_202206091200.tif"] == [*pseudo, second, True, "2022-06-09T03:00:01Z", "2022-06-09T03:59:59Z"]
    (maxima,) = [layer for name, layer in record.items() if name.startswith("rain_max_30min")]
    assert maxima[2:4] == ["2022-06-09 11:00 - 12:05 KST", False]  # of the whole run: it would hide the sums
    assert len(record) == 3


def test_a_project_of_sums_says_which_lack_frames(sums: Path) -> None:
    with zipfile.ZipFile(write_project(sums)) as archive:
        text = archive.read("hsrgeo.qgs").decode()
    assert re.findall(r"<layername>2022-06-09 1[12]:00 - 1[23]:00 KST(.*)</layername>", text) == [
        "",
        " (1 of 12 frames)",
    ]
    assert re.findall(r' name="2022-06-09 1[12]:00 - 1[23]:00 KST([^"]*)"', text) == ["", " (1 of 12 frames)"]


@pytest.mark.slow
@browser_test
def test_the_page_of_sums_says_which_lack_frames(sums: Path, browser: Any) -> None:
    with PageServer(make_page(sums, ViewOptions()), 0) as server, serving(server) as url:
        one = Shown(browser, url, "lang=en&t=2022-06-09T12:00")
        assert one.text("note") == "Sum of 1 of 12 frames: rain of the others is missing."
        one.page.keyboard.press("ArrowLeft")
        one.until("document.getElementById('note').textContent === ''")
        one.page.keyboard.press("ArrowRight")
        one.until("hsrgeo.state.at === 1")
        one.page.evaluate("document.getElementById('lang').click()")
        one.until("document.documentElement.lang === 'ko'")
        one.until(
            "hsrgeo.state.at === 1 && document.getElementById('note').textContent.startsWith('프레임 12개 중 1개의 합')"
        )
        assert one.complaints == []
        one.close()


def test_a_project_of_gauge_fields_does_not_say_that_they_are_kmas(fields: Path) -> None:
    with zipfile.ZipFile(write_project(fields)) as archive:
        text = archive.read("hsrgeo.qgs").decode()
    assert "<title>gauges_thiessen_1h 2022-06-09" in text
    assert "Korea Meteorological" not in text


def test_a_stack_of_sums_has_their_depths(sums: Path) -> None:
    paths = write_stacks(sums)
    assert [path.name for path in paths] == ["stack-HSR-rain_1h.vrt", "stack-HSR-rain_max_30min.vrt"]
    assert all(path.with_suffix(".qml").is_file() for path in paths)
    with rasterio.open(paths[0]) as stack, rasterio.open(sums / SECOND) as sum_:
        assert stack.dtypes == ("int32", "int32")
        assert stack.descriptions == ("2022-06-09T02:00:00Z", "2022-06-09T03:00:00Z")
        assert (stack.scales[1], stack.units[1], stack.nodata) == (0.01, "mm", -30000)
        assert np.array_equal(stack.read(2), sum_.read(1))


def test_a_catalogue_of_sums_tells_periods_and_bands(sums: Path) -> None:
    collection = json.loads(write_catalog(sums).read_text())
    item = json.loads((sums / "items/HSR-rain_1h-20220609T0200Z.json").read_text())
    record, asset = item["properties"], item["assets"]["data"]
    assert (record["start_datetime"], record["end_datetime"]) == ("2022-06-09T02:00:00Z", "2022-06-09T02:59:59Z")
    assert (record["hsrgeo:period"], record["hsrgeo:frames_used"], record["hsrgeo:frames_expected"]) == ("1h", 12, 12)
    assert not [name for name in record if "observed" in name or "count_" in name]  # a sum does not count its cells
    assert [(band["name"], band["data_type"], band.get("unit")) for band in asset["bands"]] == [
        ("rain_depth", "int32", "mm"),
        ("frames", "int32", None),
    ]
    assert collection["extent"]["temporal"]["interval"] == [["2022-06-09T02:00:00Z", "2022-06-09T03:59:59Z"]]
    assert collection["title"].endswith(" 2022-06-09 11:00 - 2022-06-09 13:00 KST")  # the two hours from 02:00 UTC on
    assert {"style-rain_depth-qml", "style-rain_depth-sld", "legend-rain_depth"} <= set(collection["assets"])
    write_catalog(sums, items="parquet")
    rows = {row["id"]: row for row in parquet.read_table(sums / "items.parquet").to_pylist()}
    row = rows[item["id"]]
    assert {name: row[name] for name in record if name.startswith("hsrgeo:")} == {
        name: value for name, value in record.items() if name.startswith("hsrgeo:")
    }


@pytest.mark.slow
def test_a_catalogue_of_gauge_fields_is_not_kmas(fields: Path) -> None:
    record = json.loads(write_catalog(fields).read_text())
    assert "Korea Meteorological" not in json.dumps(record)
    assert record["id"] == "gauges_thiessen_1h-rain_depth"
    assert replace(DEPTH, name="rain_depth").nothing == 0


def test_a_series_of_sums_has_what_fell(tmp_path: Path, make_file: MakeFile) -> None:
    # Six frames of an hour, 34.5 dBZ = 5.225 mm/h: 2.61 mm in half of the time, stored to half a step of 0.01 mm.
    pixels = np.full((NY, NX), 3450, np.int16)
    (tmp_path / "src").mkdir()
    for number in range(6):
        time = HOUR + number * timedelta(minutes=5)
        (tmp_path / "src" / frame_name(time)).write_bytes(make_file(pixels, time=time))
    options = AccumulateOptions(window=WINDOW, rolling=[timedelta(minutes=30)], jobs=1)
    for _outcome in accumulate(tmp_path / "src", tmp_path / "sums", options):
        pass
    lon, lat = open_frame(tmp_path / "src" / frame_name(HOUR)).crop(window=WINDOW).grid.lonlat([14.5], [19.5])
    corners = [(-0.02, -0.02), (0.02, -0.02), (0.02, 0.02), (-0.02, 0.02), (-0.02, -0.02)]
    ring = [[lon[0] + x, lat[0] + y] for x, y in corners]
    feature = {"type": "Feature", "properties": {"name": "b"}, "geometry": {"type": "Polygon", "coordinates": [ring]}}
    (tmp_path / "b.geojson").write_text(json.dumps({"type": "FeatureCollection", "features": [feature]}))
    tables = {}
    for source, period in (("src", "1h"), ("sums", None)):
        out = tmp_path / f"{source}.csv"
        length = timedelta(hours=1) if period else None
        run = series(tmp_path / source, out, SeriesOptions(polygons=tmp_path / "b.geojson", period=length, jobs=1))
        assert [outcome.status for outcome in run] == ["ok"] * (6 if period else 1)
        tables[source] = next(csv.DictReader(out.read_text(encoding="utf-8").splitlines()))
    assert any("rolling maxima" in note for note in run.notes)
    record = tables["sums"]
    assert record["mean_mm_h"] == "5.22"  # 2.61 / 0.5
    assert float(record["coverage"]) == pytest.approx(0.5)
    assert record["minutes"] in ("60", "60.0")
    assert float(record["volume_m3"]) == pytest.approx(float(tables["src"]["volume_m3"]), rel=0.005 / 2.61)
    with pytest.raises(OptionsError, match="quantity, zr, max_rate and frame_step are for frames"):
        series(tmp_path / "sums", out, SeriesOptions(polygons=tmp_path / "b.geojson", zr=(300, 1.4)))


def test_sums_are_drawn_in_classes_of_depth(sums: Path, tmp_path: Path) -> None:
    # 5.22 mm in the first hour; one frame of the second, 5.22 / 12 = 0.435 mm.
    drawn = render(sums, tmp_path / "a.png", end=HOUR + timedelta(hours=1))
    assert drawn.notes == ["rolling maxima are not sums of a period and are ignored: 1"]
    with Image.open(tmp_path / "a.png") as picture:
        colours = {rgb for _count, rgb in picture.convert("RGB").getcolors(1 << 16) or ()}
        assert picture.convert("RGB").getpixel((picture.width // 2, picture.height // 4)) == tuple(YELLOW[:3])
    assert {DRY, NODATA} < colours
    played = render(sums, tmp_path / "a.gif")
    assert (played.frames, played.missing, played.broken) == (2, [], [])
    assert "sums that lack frames: 1; hsrgeo plot sum hatches where" in played.notes
    with Image.open(tmp_path / "a.gif") as film:
        film.seek(1)
        assert film.convert("RGB").getpixel((film.width // 2, film.height // 4)) == (0, 155, 245)  # 0.1 to 0.5 mm
    for options in ({"quantity": "reflectivity"}, {"zr": (300, 1.4)}):
        with pytest.raises(OptionsError, match="quantity and zr are for frames"):
            render(sums, tmp_path / "b.gif", **options)
    with pytest.raises(OptionsError, match="give no other source"):
        render([sums, sums], tmp_path / "b.gif")
    shutil.copytree(sums / "202206", sums / "서울/202206")
    with pytest.raises(OptionsError, match="several regions"):
        render(sums, tmp_path / "b.gif")


def test_sums_are_drawn_in_a_users_classes(sums: Path, tmp_path: Path) -> None:
    """(10^3.45 / 200)^(1/1.6) = 5.2252 mm in the first hour, stored as 5.23; in the second a twelfth, 0.44."""
    own = tmp_path / "own.txt"
    own.write_text("undetect 9 90 9\n-inf 1 2 3\n0.44 4 5 60\n5.23 7 80 9\n5.24 10 11 120\n400 13 14 15\n")
    render(sums, tmp_path / "a.gif", palette=own)
    with Image.open(tmp_path / "a.gif") as film:
        for number, rgb in enumerate([(7, 80, 9), (4, 5, 60)]):
            film.seek(number)
            picture = film.convert("RGB")
            assert picture.getpixel((picture.width // 2, picture.height // 4)) == rgb
            found = {rgb for _count, rgb in picture.getcolors(1 << 16) or ()}
            assert {(9, 90, 9), NODATA, (13, 14, 15)} < found  # dry, not observed, and the legend's highest class
    own.write_text("0.45 1 2 3\n")
    render(sums, tmp_path / "b.png", palette=own, start=HOUR + timedelta(hours=1))
    with Image.open(tmp_path / "b.png") as picture:
        assert picture.convert("RGB").getpixel((picture.width // 2, picture.height // 4)) == DRY
    with pytest.raises(OptionsError, match="palette rain is in mm/h, and rain_depth is in mm"):
        render(sums, tmp_path / "c.png", palette="rain")


@pytest.mark.parametrize("times", TIMES)
def test_a_drawn_sum_has_the_class_of_its_depth(times: int, source: Path, tmp_path: Path) -> None:
    grid = open_frame(next(source.iterdir())).crop(window=(500, 700, 40, 30)).grid
    bounds = [one.first for one in classes_for(DEPTH, times=times)[1:]]
    steps = [step for bound in bounds for step in (bound - 1, bound)]  # of 0.01 mm, on both sides of each bound
    depth = np.resize(np.array([*steps, 400_000, -30000], np.int32), (grid.height, grid.width))
    (tmp_path / "a.tif").write_bytes(encode_sum_cog(grid, depth, np.ones_like(depth), {}, "2022-06-09T02:00:00Z"))
    entry = DrawnSum(tmp_path / "a.tif", FrameName("HSR", "", HOUR), "a.tif", times=times)
    stored = read_drawn(entry).stored
    lower = [one.first for one in classes_for(RAIN)]
    assert np.array_equal(np.digitize(stored, lower[1:]), np.digitize(depth, bounds))
    assert np.array_equal(stored == -30000, depth == -30000)


def test_a_drawn_gauge_field_is_not_kmas(fields: Path) -> None:
    sums = sums_of(fields, Selection(), "")
    assert (sums.title, sums.credit, sums.length) == ("Rain gauges by thiessen, rain depth", "", timedelta(hours=1))
    assert attribution(fields) == ""


def test_a_sum_of_frames_is_kmas(sums: Path) -> None:
    assert attribution(sums) == ATTRIBUTION


def attribution(out: Path) -> str:
    text: str = json.loads(make_page(out, ViewOptions()).files[INDEX_FILE])["attribution"]
    return text


@pytest.mark.slow
def test_a_gauge_field_has_a_picture(fields: Path, tmp_path: Path) -> None:
    path = next(fields.rglob("*.tif"))
    plot_sum(path, tmp_path / "a.svg")
    text = (tmp_path / "a.svg").read_text()
    assert "Korea Meteorological Administration" not in text
    assert text.startswith("<?xml")
    assert read_sum(path).counts.max() == 1
