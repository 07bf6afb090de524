"""Series: what is in the table, worked by hand; gaps, broken frames, places that cannot be read."""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import typer
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from hsrgeo.cli.series import series as command
from hsrgeo.engine.axis import ceil_step, floor_step, slots
from hsrgeo.engine.series.series_options import SeriesOptions
from hsrgeo.engine.series.series_run import Series, series
from hsrgeo.engine.series.series_table import read_series
from hsrgeo.errors import MissingExtraError, OptionsError
from hsrgeo.model.grid_catalog import grids
from hsrgeo.model.times import FRAME_STEP, KST
from hsrgeo.places.places import Points, Polygons, read_points
from hsrgeo.places.polygons import read_polygons
from hsrgeo.products.rain import KMA_LAW
from hsrgeo.writers import sheets
from hsrgeo.writers.table_files import write_table
from tests.conftest import NX, NY, TIME, MakeFile, frame_name, make_tar

GRID = grids()["kma-hb-1km"]
RATE = KMA_LAW.rate
CELL = (700, 500)
"""Row and column of the cell that the tests rain on."""


def field(*cells: tuple[int, int, int]) -> Any:
    """Return a frame without rain but for some cells (row, column, stored value), its west not observed."""
    pixels = np.full((NY, NX), -25000, np.int16)
    pixels[:, :200] = -30000
    for row, col, value in cells:
        pixels[row, col] = value
    return pixels


@pytest.fixture
def folder(tmp_path: Path, make_file: MakeFile) -> Path:
    """Give an hour's start: 11:15 rain, 11:20 nothing there, 11:25 broken, 11:30 no rain, 11:35 not observed."""
    source = tmp_path / "in"
    source.mkdir()
    row, col = CELL
    frames = {
        0: make_file(field((row, col, 3000), (row, col + 1, 2000))),
        10: make_file()[:-500],
        15: make_file(field(), time=TIME + timedelta(minutes=15)),
        20: make_file(field((row, col, -30000)), time=TIME + timedelta(minutes=20)),
    }
    for minutes, data in frames.items():
        (source / frame_name(TIME + timedelta(minutes=minutes))).write_bytes(data)
    return source


def lonlat(row: float, col: float) -> tuple[float, float]:
    lon, lat = GRID.lonlat(row, col)
    return float(lon), float(lat)


def gauges(path: Path, *places: tuple[str, float, float]) -> Path:
    lines = [f'"{name}",{lon!r},{lat!r}' for name, lon, lat in places]
    path.write_text("\n".join(["name,lon,lat", *lines]) + "\n", encoding="utf-8")
    return path


def cells_box(row: float, col: float, height: float, width: float) -> Any:
    """Return a closed ring in metres around cells of the 1 km grid."""
    left, bottom, _right, top = GRID.bounds
    del bottom
    x, y = left + 1000 * col, top - 1000 * row
    return [
        [x, y - 1000 * height],
        [x + 1000 * width, y - 1000 * height],
        [x + 1000 * width, y],
        [x, y],
        [x, y - 1000 * height],
    ]


def basins(path: Path, **rings: Any) -> Path:
    """Write rings in metres of the grid as a GeoJSON file in degrees, edges cut into pieces."""
    features = []
    for name, ring in rings.items():
        corners = np.array(ring)
        fine = np.concatenate([np.linspace(a, b, 50)[:-1] for a, b in pairwise(corners)])
        cols, rows = (fine[:, 0] - GRID.bounds[0]) / 1000 - 0.5, (GRID.bounds[3] - fine[:, 1]) / 1000 - 0.5
        lon, lat = GRID.lonlat(rows, cols)
        outline = [*np.column_stack([lon, lat]).tolist(), [float(lon[0]), float(lat[0])]]
        geometry = {"type": "Polygon", "coordinates": [outline]}
        features.append({"type": "Feature", "properties": {"name": name}, "geometry": geometry})
    path.write_text(json.dumps({"type": "FeatureCollection", "features": features}, ensure_ascii=False), "utf-8")
    return path


def run(sources: Any, out: Path, **options: Any) -> tuple[Series, list[dict[str, str]]]:
    made = series(sources, out, SeriesOptions(jobs=1, **options))
    for _outcome in made:
        pass
    if not out.exists():
        return made, []
    with out.open(encoding="utf-8", newline="") as file:
        return made, list(csv.DictReader(file))


@pytest.mark.parametrize("minutes", [-5, 25])
def test_a_broken_frame_at_an_end_has_its_row(folder: Path, tmp_path: Path, make_file: MakeFile, minutes: int) -> None:
    time = TIME + timedelta(minutes=minutes)
    (folder / frame_name(time)).write_bytes(make_file(time=time)[:-500])
    points = read_points(gauges(tmp_path / "g.csv", ("a", *lonlat(*CELL))))
    made, rows = run(folder, tmp_path / "o.csv", points=points)
    assert (made.times, made.missing) == (6, 3)
    row = rows[0 if minutes < 0 else -1]
    assert (row["time_kst"][:16], row["rain_mm_h"], row["coverage"]) == (f"{time:%Y-%m-%dT%H:%M}", "", "0")


def test_a_gauge_every_five_minutes(folder: Path, tmp_path: Path) -> None:
    points = gauges(tmp_path / "g.csv", ("서울 관악", *lonlat(*CELL)), ("dry", *lonlat(700, 600)))
    made, rows = run(folder, tmp_path / "rain.csv", points=points)
    assert [row["time_kst"][11:16] for row in rows[::2]] == ["11:15", "11:20", "11:25", "11:30", "11:35"]
    assert [row["time_utc"] for row in rows[:2]] == ["2022-06-09T02:15:00Z"] * 2
    assert [row["name"] for row in rows[:2]] == ["서울 관악", "dry"]
    # 30 dBZ is 1000 mm6/m3, (1000 / 200) ** (1 / 1.6) = 2.734 mm/h; no packing in steps of 0.01
    assert float(rows[0]["rain_mm_h"]) == pytest.approx((1000 / 200) ** (1 / 1.6), rel=1e-8)
    found = [(row["rain_mm_h"], row["coverage"]) for row in rows[::2]]
    assert found[1:] == [("", "0"), ("", "0"), ("0", "1"), ("", "0")]
    assert [(row["rain_mm_h"], row["coverage"]) for row in rows[1::2]] == [
        ("0", "1"),
        *[("", "0")] * 2,
        *[("0", "1")] * 2,
    ]
    assert (made.counts["ok"], made.counts["failed"], made.times, made.missing) == (3, 1, 5, 2)


def test_a_basin_by_hand(folder: Path, tmp_path: Path) -> None:
    pytest.importorskip("pyogrio")
    row, col = CELL
    # From the middle of the cell with 30 dBZ 1.5 cells east: half of 30 dBZ, all of 20 dBZ.
    polygons = basins(
        tmp_path / "b.geojson",
        rain=cells_box(row, col + 0.5, 1, 1.5),
        half=cells_box(300, 199, 1, 2),
        outside=cells_box(-5, 600, 10, 1),
    )
    made, rows = run(folder, tmp_path / "rain.csv", polygons=polygons)
    first = {line["name"]: line for line in rows[:3]}
    rain = first["rain"]
    mean = (0.5 * RATE(30) + RATE(20)) / 1.5
    assert float(rain["mean_mm_h"]) == pytest.approx(mean, rel=1e-5)
    assert float(rain["max_mm_h"]) == pytest.approx(RATE(30), rel=1e-8)
    assert float(rain["coverage"]) == pytest.approx(1, abs=1e-9)
    assert float(rain["wet_fraction"]) == pytest.approx(1)
    # On the ground a square km of this map is larger: Lambert's scale at this latitude is below 1.
    ground_m2 = 1.5e6 / _areal_scale(row, col)
    assert ground_m2 > 1.55e6
    assert float(rain["volume_m3"]) == pytest.approx(mean / 1000 / 12 * ground_m2, rel=0.01)
    assert float(first["half"]["coverage"]) == pytest.approx(0.5, abs=1e-6)
    assert first["half"]["mean_mm_h"] == "0"
    assert float(first["outside"]["coverage"]) == pytest.approx(0.5, abs=1e-6)
    assert any("'outside'" in note for note in made.notes)


def _areal_scale(row: int, col: int) -> float:
    import pyproj  # noqa: PLC0415

    return float(pyproj.Proj(GRID.crs).get_factors(*lonlat(row, col)).areal_scale)


def test_points_by_other_methods(folder: Path, tmp_path: Path) -> None:
    row, col = CELL
    points = gauges(tmp_path / "g.csv", ("between", *lonlat(row, col + 0.25)))
    _made, rows = run(folder, tmp_path / "a.csv", points=points, method="bilinear")
    assert float(rows[0]["rain_mm_h"]) == pytest.approx(0.75 * RATE(30) + 0.25 * RATE(20), rel=1e-5)
    assert float(rows[4]["coverage"]) == pytest.approx(0.25, abs=1e-5)  # 11:35: the nearer cell is not observed
    _made, rows = run(folder, tmp_path / "b.csv", points=points, method="nearest-9")
    assert float(rows[0]["rain_mm_h"]) == pytest.approx((RATE(30) + RATE(20)) / 9)
    _made, rows = run(folder, tmp_path / "c.csv", points=points, quantity="reflectivity")
    assert [line["reflectivity_dbz"] for line in rows] == ["30", "", "", "-inf", ""]


def test_the_axis_reaches_as_far_as_asked(folder: Path, tmp_path: Path) -> None:
    points = gauges(tmp_path / "g.csv", ("a", *lonlat(*CELL)))
    start, end = TIME - timedelta(minutes=7), TIME + timedelta(minutes=31)
    made, rows = run(folder, tmp_path / "o.csv", points=points, start=start, end=end)
    assert [row["time_kst"][11:16] for row in rows] == [f"11:{minute}" for minute in ("10", *range(15, 50, 5))]
    assert made.missing == 5
    made, rows = run(folder, tmp_path / "o.csv", points=points, every=timedelta(minutes=15))
    assert [row["time_kst"][11:16] for row in rows] == ["11:15", "11:30"]


def test_two_processes_an_archive_and_parquet_say_the_same(folder: Path, tmp_path: Path) -> None:
    points = gauges(tmp_path / "g.csv", ("a", *lonlat(*CELL)), ("b,c", *lonlat(600, 600)))
    run(folder, tmp_path / "one.csv", points=points)
    members = [(f"x/{path.name}", path.read_bytes()) for path in sorted(folder.iterdir(), reverse=True)]
    (tmp_path / "all.tar.gz").write_bytes(make_tar(members))
    options = SeriesOptions(points=points, jobs=2)
    outcomes = list(series(tmp_path / "all.tar.gz", tmp_path / "two.csv", options))
    assert sorted(outcome.status for outcome in outcomes) == ["failed", "ok", "ok", "ok"]
    assert (tmp_path / "one.csv").read_bytes() == (tmp_path / "two.csv").read_bytes()
    parquet = pytest.importorskip("pyarrow.parquet")
    list(series(folder, tmp_path / "a.parquet", SeriesOptions(points=points, jobs=1)))
    table = parquet.read_table(tmp_path / "a.parquet")
    assert table.column_names == ["time_utc", "time_kst", "name", "rain_mm_h", "coverage", "minutes"]
    assert table["rain_mm_h"].null_count == 6 - 1
    assert table["time_utc"][0].as_py() == TIME.astimezone(UTC)
    assert table["time_kst"][0].as_py() == TIME
    assert table["name"].to_pylist()[:2] == ["a", "b,c"]
    list(series(folder, tmp_path / "b.parquet", SeriesOptions(points=points, jobs=1)))
    assert (tmp_path / "a.parquet").read_bytes() == (tmp_path / "b.parquet").read_bytes()


def test_the_better_frame_of_a_time_counts(tmp_path: Path, make_file: MakeFile) -> None:
    row, col = CELL
    points = gauges(tmp_path / "g.csv", ("a", *lonlat(row, col)))
    few = [(b"KWK", (2022, 6, 9, 11, 15, 0), (2022, 6, 9, 11, 20, 0))]
    good, poor = make_file(field((row, col, 3000))), make_file(field((row, col, 5000)), stations=few)
    for order, (first, second) in enumerate(((good, poor), (poor, good))):
        for name, data in (("a", first), ("b", second)):
            path = tmp_path / str(order) / name / frame_name()
            path.parent.mkdir(parents=True)
            path.write_bytes(data)
        made, rows = run(tmp_path / str(order), tmp_path / "o.csv", points=points)
        assert float(rows[0]["rain_mm_h"]) == pytest.approx(RATE(30))
        assert (made.counts["ok"], made.counts["duplicate"]) == (1, 1)


def test_frames_of_another_grid_and_product(folder: Path, tmp_path: Path, make_file: MakeFile) -> None:
    points = gauges(tmp_path / "g.csv", ("a", *lonlat(*CELL)))
    large = make_file(np.full((2881, 2305), -25000, np.int16), time=TIME + timedelta(minutes=25), dxy=500)
    (folder / frame_name(TIME + timedelta(minutes=25))).write_bytes(large)
    made = series(folder, tmp_path / "o.csv", SeriesOptions(points=points, jobs=1))
    errors = [str(outcome.error) for outcome in made if outcome.error]
    assert any("another grid: expected 1153 x 1441 of kma-hb-1km" in error for error in errors)
    (folder / frame_name(product="CPP")).write_bytes(make_file())
    with pytest.raises(OptionsError, match="CPP and HSR: choose one with --product"):
        run(folder, tmp_path / "p.csv", points=points)
    assert not (tmp_path / "p.csv").exists()


def test_places_outside_are_named(folder: Path, tmp_path: Path) -> None:
    points = gauges(tmp_path / "g.csv", ("in", *lonlat(*CELL)), ("런던", -0.1, 51.5), ("Tokyo", 139.7, 35.7))
    with pytest.raises(OptionsError, match="points '런던', 'Tokyo' lie entirely outside"):
        run(folder, tmp_path / "o.csv", points=points)
    pytest.importorskip("pyogrio")
    polygons = basins(tmp_path / "b.geojson", a=cells_box(700, 500, 2, 2), away=cells_box(-20, 500, 10, 10))
    with pytest.raises(OptionsError, match="polygon 'away' lies entirely outside"):
        run(folder, tmp_path / "o.csv", polygons=polygons)


def test_bad_rows_of_a_gauge_file_are_named(tmp_path: Path) -> None:
    rows = [
        "Name, lon, lat, height",
        "a,127,37,1",
        "b,x,37,",
        "",
        ",127,37,",
        "c,37,127,",
        "d,127",
        "a,126,36,",
        "e,127,3,7,5",
    ]
    path = tmp_path / "g.csv"
    path.write_text("\n".join(rows), "utf-8")
    with pytest.raises(OptionsError) as caught:
        read_points(path)
    message = str(caught.value)
    for part in (
        "line 3: lon 'x'",
        "line 5: no name",
        "line 6: lat 127",
        "line 7: lat ''",
        "line 8: a second 'a'",
        "line 9: more",
    ):
        assert part in message
    path.write_bytes("name,lon,lat\n서울,127,37\n".encode("cp949"))
    with pytest.raises(OptionsError, match="UTF-8"):
        read_points(path)
    for text, problem in (
        ("", "missing name,lon,lat; found nothing"),
        ("지점,X\n", r"must name .* \(or 지점명,경도,위도\); missing name,lon,lat; found 지점, x$"),
        ("name,lon,lat\n", "contains no point"),
        ("name,lon\n", "missing lat"),
        (
            "우량계\n지점명;경도;위도\n",
            "line 1: .*; line 2 has the columns 지점명, 경도, 위도: delete the lines above it$",
        ),
        ("sep=;\nname;lon;lat\na;x;37\n", "line 3: lon 'x'"),
    ):
        path.write_text(text, "utf-8")
        with pytest.raises(OptionsError, match=problem):
            read_points(path)
    with pytest.raises(OptionsError, match="cannot be read"):
        read_points(tmp_path / "none.csv")


@pytest.mark.parametrize("suffix", [".gpkg", ".shp", ".geojson"])
def test_polygons_of_every_format_and_crs(tmp_path: Path, suffix: str) -> None:
    raw = pytest.importorskip("pyogrio.raw")
    shapely = pytest.importorskip("shapely")
    import pyproj  # noqa: PLC0415

    crs = "EPSG:4326" if suffix == ".geojson" else "EPSG:5179"
    lon, lat = lonlat(700, 500)
    x, y = pyproj.Transformer.from_crs("EPSG:4326", crs, always_xy=True).transform(lon, lat)
    reach = 0.05 if suffix == ".geojson" else 5000
    shape = shapely.difference(
        shapely.box(x - reach, y - reach, x + reach, y + reach), shapely.Point(x, y).buffer(reach / 3)
    )
    path = tmp_path / f"b{suffix}"
    raw.write(
        path,
        np.array([shapely.to_wkb(shape)]),
        field_data=[np.array(["한강"], object)],
        fields=["NAME"],
        crs=crs,
        geometry_type="Polygon",
        driver={".gpkg": "GPKG", ".shp": "ESRI Shapefile", ".geojson": "GeoJSON"}[suffix],
        encoding="UTF-8",
    )
    polygons = read_polygons(path)
    assert polygons.names == ("한강",)
    if suffix == ".shp":
        path.with_suffix(".cpg").unlink()
        with pytest.raises(OptionsError, match="encoding of its names"):  # and no letters that nobody wrote
            read_polygons(path)
        assert read_polygons(path, encoding="UTF-8").names == ("한강",)
        for wrong, problem in (("nonsense", "encoding 'nonsense' is not known"), ("ascii", "not in ascii")):
            with pytest.raises(OptionsError, match=problem):
                read_polygons(path, encoding=wrong)
    weights = polygons.weights(GRID)
    assert weights.within[0] == pytest.approx(1)
    truth = abs(pyproj.Geod(ellps="WGS84").geometry_area_perimeter(shapely.transform(shape, _to_degrees(crs)))[0])
    assert weights.areas_m2[0] == pytest.approx(truth, rel=1e-5)
    assert weights.totals[0] * 1e6 == pytest.approx(truth * _areal_scale(700, 500), rel=0.01)


def _to_degrees(crs: str) -> Callable[[Any], Any]:
    import pyproj  # noqa: PLC0415

    transformer = pyproj.Transformer.from_crs(crs, "EPSG:4326", always_xy=True)
    return lambda corners: np.column_stack(transformer.transform(*corners.T))


def test_points_of_a_survey(tmp_path: Path) -> None:
    """EPSG:5186, by its definition: transverse Mercator at 127 E 38 N, there x 200,000 m and y 600,000 m."""
    path = tmp_path / "g.csv"
    path.write_text("name,x,y\n관측소,200000,600000\n", "utf-8")
    assert np.allclose(read_points(path, crs="EPSG:5186").lonlat, [(127, 38)], rtol=0, atol=1e-9)
    path.write_text("name,x,y\n관측소,550000,200000\n", "utf-8")  # x is the north, as surveys have it
    with pytest.raises(OptionsError, match="line 2: x 550000 and y 200000 are the wrong way round"):
        read_points(path, crs="EPSG:5186")
    with pytest.raises(
        OptionsError, match=r"missing lon,lat; found name, x, y; for x and y give their CRS, as --crs EPSG:5186"
    ):
        read_points(path)
    path.write_text("name,lon,lat\n관측소,200000,600000\n", "utf-8")
    with pytest.raises(OptionsError, match=r"line 2: lon 200000, lat 600000 are not degrees; .* as --crs EPSG:5186"):
        read_points(path)
    path.write_text("name,x,y\n관측소,550000,200000\n", "utf-8")
    with pytest.raises(OptionsError, match="its CRS is not understood"):
        read_points(path, crs="EPSG:nothing")


def test_points_of_a_geopackage(tmp_path: Path) -> None:
    raw = pytest.importorskip("pyogrio.raw")
    shapely = pytest.importorskip("shapely")
    path = tmp_path / "g.gpkg"
    data = np.array([shapely.to_wkb(shapely.Point(200_000, 600_000))])
    fields = [np.array(["한강"], object)]
    raw.write(path, data, fields, ["지점"], crs="EPSG:5186", geometry_type="Point", driver="GPKG", encoding="UTF-8")
    points = read_points(path, name_field="지점")
    assert points.names == ("한강",)
    assert np.allclose(points.lonlat, [(127, 38)], rtol=0, atol=1e-9)
    with pytest.raises(OptionsError, match="choose one of 지점"):
        read_points(path)
    with pytest.raises(OptionsError, match="already has a CRS"):
        read_points(path, crs="EPSG:5179")
    with pytest.raises(OptionsError, match="'a': expected a point, found Polygon; polygons go with --polygons"):
        read_points(basins(tmp_path / "b.geojson", a=cells_box(700, 500, 2, 2)))


def test_a_table_for_excel(folder: Path, tmp_path: Path) -> None:
    points = Points(("=서울", "dry"), (lonlat(*CELL), lonlat(700, 600)))
    run(folder, tmp_path / "o.csv", points=points, excel=True)
    data = (tmp_path / "o.csv").read_bytes()
    assert data.startswith("\ufefftime_utc,time_kst,name,rain_mm_h,coverage,minutes\n".encode())
    assert data.splitlines()[2].decode() == "2022-06-09T02:15:00Z,2022-06-09 11:15:00,dry,0,1,5"
    assert len(read_series(tmp_path / "o.csv", [], None, None)[0]) == 2  # hsrgeo reads it too
    run(folder, tmp_path / "w.csv", points=points, excel=True, wide=True)
    lines = (tmp_path / "w.csv").read_text("utf-8-sig").splitlines()
    # 30 dBZ is (1000 / 200) ** (1 / 1.6) mm/h, see above; 11:20 has no frame
    assert lines[:3] == [
        "time_kst,'=서울,dry",
        f"2022-06-09 11:15:00,{5 ** (1 / 1.6):.9g},0",
        "2022-06-09 11:20:00,,",
    ]


@pytest.mark.parametrize("wide", [False, True])
def test_a_workbook_opened_by_another_program(folder: Path, tmp_path: Path, *, wide: bool) -> None:
    openpyxl = pytest.importorskip("openpyxl")
    pytest.importorskip("xlsxwriter")
    points = Points(("=1+1", "dry"), (lonlat(*CELL), lonlat(700, 600)))
    files = [tmp_path / "a.xlsx", tmp_path / "b.xlsx"]
    for path in files:
        for _outcome in series(folder, path, SeriesOptions(points=points, jobs=1, wide=wide)):
            pass
    assert files[0].read_bytes() == files[1].read_bytes()
    book = openpyxl.load_workbook(files[0])
    rain = pytest.approx(5 ** (1 / 1.6), rel=1e-8)
    local = TIME.replace(tzinfo=None)
    if wide:
        assert book.sheetnames == ["rain_mm_h", "coverage", "minutes"]
        rows = list(book["rain_mm_h"].values)
        assert rows[0] == ("time_kst", "=1+1", "dry")
        assert rows[1] == (local, rain, 0)
        assert rows[2] == (local + FRAME_STEP, None, None)
    else:
        rows = list(book["hsrgeo"].values)
        assert rows[0] == ("time_kst", "name", "rain_mm_h", "coverage", "minutes")
        assert rows[1] == (local, "=1+1", rain, 1, 5)
        assert rows[3] == (local + FRAME_STEP, "=1+1", None, 0, 5)
    assert book.worksheets[0].cell(2, 1).is_date
    assert book.worksheets[0].cell(1 if wide else 2, 2).data_type == "s"  # a text, no formula


def test_a_sheet_that_is_full_goes_on_on_the_next(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    openpyxl = pytest.importorskip("openpyxl")
    pytest.importorskip("xlsxwriter")
    monkeypatch.setattr(sheets, "_MOST_ROWS", 3)
    rows = [(TIME + number * FRAME_STEP, np.array([[float(number)]])) for number in range(3)]
    write_table(tmp_path / "o.xlsx", ["a"], ["mm"], rows)
    book = openpyxl.load_workbook(tmp_path / "o.xlsx")
    assert [[row[2] for row in sheet.values] for sheet in book] == [["mm", 0, 1], ["mm", 2]]


def test_polygons_that_cannot_be_used(tmp_path: Path) -> None:
    pytest.importorskip("pyogrio")
    square = [[127, 37], [128, 37], [128, 38], [127, 38], [127, 37]]
    path = tmp_path / "b.geojson"

    def refused(*features: tuple[Any, Any]) -> str:
        listed = [{"type": "Feature", "properties": p, "geometry": g} for p, g in features]
        path.write_text(json.dumps({"type": "FeatureCollection", "features": listed}), "utf-8")
        with pytest.raises(OptionsError) as caught:
            read_polygons(path)
        return str(caught.value)

    polygon = {"type": "Polygon", "coordinates": [square]}
    assert "several polygons are called 'a'" in refused(({"name": "a"}, polygon), ({"name": "a"}, polygon))
    assert "expected a polygon, found Point" in refused(({"name": "a"}, {"type": "Point", "coordinates": [127, 37]}))
    assert "expected a polygon, found nothing" in refused(({"name": "a"}, None), ({"name": "b"}, polygon))
    assert "choose one of basin" in refused(({"basin": "a"}, polygon))
    assert "has no name" in refused(({"name": "a"}, polygon), ({"name": None}, polygon))
    bow = {"type": "Polygon", "coordinates": [[[127, 37], [128, 38], [128, 37], [127, 38], [127, 37]]]}
    path.write_text(json.dumps({"type": "Feature", "properties": {"name": "bow"}, "geometry": bow}), "utf-8")
    assert read_polygons(path).notes == ("polygons that cross themselves, corrected: 1 (bow)",)
    path.write_text("nothing")
    with pytest.raises(OptionsError, match="cannot be read as polygons"):
        read_polygons(path)


def test_a_missing_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "shapely", None)
    with pytest.raises(MissingExtraError, match=r"hsrgeo\[series\]"):
        read_polygons(tmp_path / "b.geojson")
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    monkeypatch.setitem(sys.modules, "xlsxwriter", None)
    points = Points(("a",), ((127.0, 37.0),))
    with pytest.raises(MissingExtraError, match=r"hsrgeo\[series\]"):
        series(tmp_path, tmp_path / "o.parquet", SeriesOptions(points=points))
    with pytest.raises(MissingExtraError, match=r"hsrgeo\[excel\]"):
        series(tmp_path, tmp_path / "o.xlsx", SeriesOptions(points=points))


def test_options_that_cannot_be(tmp_path: Path) -> None:
    points = Points(("a",), ((127.0, 37.0),))
    polygons = Polygons((), ())
    bad: list[tuple[dict[str, Any], str]] = [
        ({}, "points or for polygons"),
        ({"points": points, "polygons": polygons}, "points or for polygons"),
        ({"points": points, "method": "cubic"}, "method 'cubic'"),
        ({"polygons": polygons, "method": "bilinear"}, "exact area"),
        ({"points": points, "method": "bilinear", "quantity": "reflectivity"}, "not averaged"),
        ({"polygons": polygons, "quantity": "reflectivity"}, "not averaged"),
        ({"points": points, "wet_from": 0.0}, "above 0"),
        ({"points": points, "wet_from": 5}, "wet_from is for polygons without period"),
        ({"polygons": polygons, "wet_from": 5, "period": "1h"}, "wet_from is for polygons without period"),
        ({"polygons": polygons, "max_rate": 0.05}, r"max_rate 0\.05 is below wet_from 0\.1"),
        ({"points": points, "quantity": "reflectivity", "zr": (300, 1.4)}, "bias, max_rate and zr are of rain"),
        ({"points": points, "quantity": "reflectivity", "wet_from": 5}, "wet_from is for polygons"),
        ({"points": points, "every": timedelta(minutes=7)}, "divide a day"),
        ({"points": points, "block": 0}, "counted from 1"),
        ({"points": points, "crs": "EPSG:5186"}, "crs is for points from a CSV"),
    ]
    for options, problem in bad:
        with pytest.raises(OptionsError, match=problem):
            SeriesOptions(**options)
    with pytest.raises(OptionsError, match=r"wide and excel are for \.csv and \.xlsx"):
        series(tmp_path, tmp_path / "o.parquet", SeriesOptions(points=points, wide=True))
    with pytest.raises(OptionsError, match=r"\.csv, \.xlsx or \.parquet"):
        series(tmp_path, tmp_path / "o.txt", SeriesOptions(points=points))


times = st.integers(0, 1440).map(lambda minutes: datetime(2022, 6, 9, tzinfo=KST) + timedelta(minutes=minutes))


@given(st.lists(times, min_size=1, max_size=6), st.none() | times, st.none() | times)
def test_slots_hold_every_step_and_every_time(
    given_: list[datetime], start: datetime | None, end: datetime | None
) -> None:
    inside = [t for t in given_ if (start is None or t >= start) and (end is None or t < end)]
    if not inside:
        return
    listed = list(slots(inside, start, end, FRAME_STEP))
    assert listed == sorted(set(listed))
    assert set(inside) <= set(listed)
    first = ceil_step(start or min(inside), FRAME_STEP)
    after = end or max(inside) + timedelta(minutes=1)
    steps = {first + n * FRAME_STEP for n in range((after - first) // FRAME_STEP + 1) if first + n * FRAME_STEP < after}
    assert set(listed) == steps | set(inside)
    assert all(floor_step(t, FRAME_STEP) <= t <= ceil_step(t, FRAME_STEP) for t in listed)


@pytest.fixture
def cli() -> Callable[..., Any]:
    app = typer.Typer()
    app.command()(command)
    return lambda *words: CliRunner().invoke(app, [str(word) for word in words])


def test_the_command(cli: Callable[..., Any], folder: Path, tmp_path: Path) -> None:
    points = gauges(tmp_path / "g.csv", ("a", *lonlat(*CELL)))
    done = cli(folder, "--points", points, "--out", tmp_path / "o.csv", "--jobs", 1)
    assert done.exit_code == 1  # one frame is broken
    assert "failed: " in done.stderr
    assert "1 place, 5 times, 2 without a frame: 4 frames, 3 used, 1 failed" in done.stderr
    hours = cli(folder, "--points", points, "--out", tmp_path / "h.csv", "--jobs", 1, "--period", "1h")
    assert "1 place, 2 times without a frame: 4 frames, 3 used, 1 failed" in hours.stderr  # times, not places
    whole = cli(folder, "--points", points, "-o", tmp_path / "o.csv", "-j", 1, "--start", "2022-06-09T11:30", "--json")
    assert whole.exit_code == 0
    assert json.loads(whole.stdout)["times"] == 2
    points.write_text("name,lon,lat\na,b,c\n")
    bad = cli(folder, "--points", points, "--out", tmp_path / "o.csv")
    assert bad.exit_code == 2
    assert "line 2: lon 'b' is no number" in bad.stderr
    empty = tmp_path / "empty"
    empty.mkdir()
    gauges(points, ("a", *lonlat(*CELL)))
    nothing = cli(empty, "--points", points, "--out", tmp_path / "n.csv")
    assert nothing.exit_code == 1
    assert "no frame found" in nothing.stderr
    assert not (tmp_path / "n.csv").exists()


def test_an_early_end_writes_nothing(folder: Path, tmp_path: Path) -> None:
    made = series(folder, tmp_path / "o.csv", SeriesOptions(points=Points(("a",), (lonlat(*CELL),)), jobs=1))
    next(made)
    made.close()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in"]


@pytest.mark.parametrize(("every", "volume"), [(None, 3), (timedelta(hours=1), 1)])
def test_thinning_changes_no_frame_length(
    tmp_path: Path, make_file: MakeFile, every: timedelta | None, volume: int
) -> None:
    for minutes in (-15, -10, -5):  # 11:00, 11:05, 11:10
        time = TIME + timedelta(minutes=minutes)
        path = tmp_path / "in" / frame_name(time)
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(make_file(np.full((NY, NX), 3000, np.int16), time=time))
    basin = '{"type": "Polygon", "coordinates": [[[126.6, 37.4], [126.7, 37.4], [126.7, 37.5], [126.6, 37.4]]]}'
    feature = f'{{"type": "Feature", "properties": {{"name": "a"}}, "geometry": {basin}}}'
    (tmp_path / "b.geojson").write_text(f'{{"type": "FeatureCollection", "features": [{feature}]}}', encoding="utf-8")
    _made, rows = run(tmp_path / "in", tmp_path / "o.csv", polygons=tmp_path / "b.geojson", every=every)
    area_m2 = 0.5 * 8838 * 11099  # half of 0.1 x 0.1 degree at 37.4 N on the ellipsoid, by hand
    each_m3 = KMA_LAW.rate(30) / 1000 / 12 * area_m2  # 2.734 mm/h for five minutes
    assert {row["minutes"] for row in rows} == {"5"}
    assert sum(float(row["volume_m3"]) for row in rows) == pytest.approx(volume * each_m3, rel=0.003)
    [place], _notes = read_series(tmp_path / "o.csv")
    assert place.step == timedelta(minutes=5)
    assert place.depths_mm.sum() == pytest.approx(volume * KMA_LAW.rate(30) / 12)
