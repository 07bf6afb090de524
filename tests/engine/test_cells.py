"""Cells as rows and storm cells, worked by hand: places, values, areas, outlines; in every format."""

from __future__ import annotations

import csv
import json
import math
from datetime import UTC, timedelta
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from numpy.typing import NDArray
from pyproj import Geod
from typer.testing import CliRunner

import hsrgeo
from hsrgeo.cli import app
from hsrgeo.errors import FrameError, OptionsError, WriteError
from hsrgeo.formats.composite import decode
from hsrgeo.model.frame import Frame
from hsrgeo.model.grid_catalog import grids
from hsrgeo.model.window import Window
from hsrgeo.products.objects import storm_cells
from hsrgeo.products.rain import KMA_LAW
from tests.conftest import NX, NY, TIME, MakeFile, frame_name

WINDOW = (500, 700, 6, 5)
GRID = grids()["kma-hb-1km"].crop(Window(*WINDOW))
UN, NO = -25000, -30000
PART = np.array(
    [
        [NO, UN, 3000, 3000, UN, UN],
        [UN, UN, 4000, UN, UN, 3500],
        [UN, UN, UN, 3000, UN, UN],
        [2000, UN, UN, UN, UN, UN],
        [UN, UN, UN, UN, 4500, UN],
    ],
    np.int16,
)
"""Of at least 30 dBZ: four cells that touch, one by a corner only, and two on their own."""
STEP = timedelta(minutes=5)


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give two frames, the second without echo, and a broken one."""
    folder = tmp_path_factory.mktemp("in")
    for nth, part in enumerate((PART, np.full_like(PART, UN))):
        pixels = np.full((NY, NX), UN, np.int16)
        pixels[700:705, 500:506] = part
        time = TIME + nth * STEP
        data = MakeFile()(pixels, time=time)
        (folder / frame_name(time)).write_bytes(data)
    (folder / frame_name(TIME + 2 * STEP)).write_bytes(data[:-100])
    return folder


def rows_of(path: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(path.read_text("utf-8").splitlines()))


def sampled(source: Path, out: Path, **options: Any) -> list[dict[str, str]]:
    run = hsrgeo.sample(source, out, window=WINDOW, jobs=2, **options).run()
    assert run.counts == {"ok": 2, "failed": 1}
    rows = rows_of(out)
    assert run.rows == len(rows)
    return rows


def test_a_row_is_a_cell_that_was_observed(source: Path, tmp_path: Path) -> None:
    rows = sampled(source, tmp_path / "a.csv")
    assert len(rows) == 2 * 30 - 1
    assert list(rows[0]) == ["time_utc", "time_kst", "lon", "lat", "reflectivity_dbz"]
    second = rows[1]  # of the first row of cells, the third: the first was not observed
    lon, lat = map(float, GRID.lonlat(0, 2))
    assert (float(second["lon"]), float(second["lat"])) == pytest.approx((lon, lat), abs=1e-6)
    assert (second["time_utc"], second["reflectivity_dbz"]) == ("2022-06-09T02:15:00Z", "30")
    assert rows[0]["reflectivity_dbz"] == "-inf"
    assert {row["time_kst"] for row in rows[29:]} == {"2022-06-09T11:20:00+09:00"}


@pytest.mark.parametrize("find", [hsrgeo.sample, hsrgeo.find_objects])
def test_a_table_has_one_quantity_whatever_the_files_are_called(tmp_path: Path, find: Any) -> None:
    # Both files are called HSR: the first holds 40 dBZ, the second 40 mm/h, which is no row of a column of dBZ.
    pytest.importorskip("scipy")
    for nth, code in enumerate((1, 5)):
        data = MakeFile()(np.full((NY, NX), 4000, np.int16), data_codes=(code,), time=TIME + nth * STEP)
        (tmp_path / frame_name(TIME + nth * STEP)).write_bytes(data)
    outcomes = list(find(tmp_path, tmp_path / "a.csv", window=WINDOW))
    assert [outcome.status for outcome in outcomes] == ["ok", "failed"]
    assert "another quantity: expected reflectivity, as the first frame, found rain_rate" in str(outcomes[1].error)
    rows = rows_of(tmp_path / "a.csv")
    assert {row["time_utc"] for row in rows} == {"2022-06-09T02:15:00Z"}
    assert "rain_mm_h" not in rows[0]
    assert "max_mm_h" not in rows[0]


def test_rain_steps_and_limits(source: Path, tmp_path: Path) -> None:
    rain = sampled(source, tmp_path / "a.csv", quantity="rain", at_least=1)
    values = [float(row["rain_mm_h"]) for row in rain]
    expected = [round(KMA_LAW.rate(dbz / 100), 2) for dbz in PART[PART >= 3000]]
    assert values == pytest.approx(expected)
    steps = sampled(source, tmp_path / "b.csv", step=2)
    assert len(steps) == 2 * 9 - 1  # rows 0, 2, 4 and columns 0, 2, 4, of which one was not observed
    assert [row["reflectivity_dbz"] for row in steps[:8]] == [
        "30",
        "-inf",
        "-inf",
        "-inf",
        "-inf",
        "-inf",
        "-inf",
        "45",
    ]


def test_every_format_has_the_same_rows(source: Path, tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    raw = pytest.importorskip("pyogrio.raw")
    rows = sampled(source, tmp_path / "a.csv", at_least=30)
    for name in ("a.parquet", "a.gpkg"):
        hsrgeo.sample(source, tmp_path / name, window=WINDOW, at_least=30, jobs=1).run()
    table = parquet.read_table(tmp_path / "a.parquet").to_pylist()
    assert [f"{row['reflectivity_dbz']:g}" for row in table] == [row["reflectivity_dbz"] for row in rows]
    assert table[0]["time_utc"] == TIME.astimezone(UTC)
    meta, _fids, wkb, fields = raw.read(tmp_path / "a.gpkg")
    assert (meta["crs"], meta["geometry_type"]) == ("EPSG:4326", "Point")
    values = dict(zip(meta["fields"], fields, strict=True))
    assert values["reflectivity_dbz"].tolist() == [row["reflectivity_dbz"] for row in table]
    assert str(values["time"][0])[:19] == "2022-06-09T02:15:00"
    assert np.frombuffer(wkb[0][5:]).tolist() == [values["lon"][0], values["lat"][0]]
    assert sorted(path.name for path in tmp_path.iterdir() if path.name.startswith("a.")) == [
        "a.csv",
        "a.gpkg",
        "a.parquet",
    ]


@pytest.mark.parametrize("at_least", [30, 46])  # with rows, and without
def test_a_geopackage_has_the_same_bytes_and_nothing_of_a_run_that_was_killed(
    source: Path, tmp_path: Path, at_least: float
) -> None:
    pytest.importorskip("pyogrio")
    (tmp_path / "b").mkdir()
    for left in (".part.gpkg", ".part.gpkg-journal"):
        (tmp_path / "b" / f".x.gpkg.0123456789abcdef{left}").touch()
    for folder in ("a", "b"):  # one after the other: the clock of a GeoPackage counts milliseconds
        hsrgeo.sample(source, tmp_path / folder / "x.gpkg", window=WINDOW, at_least=at_least, jobs=1).run()
    assert [path.name for path in (tmp_path / "b").iterdir()] == ["x.gpkg"]
    assert (tmp_path / "a" / "x.gpkg").read_bytes() == (tmp_path / "b" / "x.gpkg").read_bytes()


def test_a_geopackage_without_rows_is_a_layer_without_features(source: Path, tmp_path: Path) -> None:
    pytest.importorskip("scipy")
    raw = pytest.importorskip("pyogrio.raw")
    hsrgeo.sample(source, tmp_path / "a.gpkg", window=WINDOW, at_least=46, jobs=1).run()
    hsrgeo.find_objects(source, tmp_path / "b.gpkg", window=WINDOW, at_least=46, jobs=1).run()
    for name, shape in (("a", "Point"), ("b", "MultiPolygon")):
        meta, _fids, wkb, fields = raw.read(tmp_path / f"{name}.gpkg")
        assert (meta["crs"], meta["geometry_type"], len(wkb)) == ("EPSG:4326", shape, 0)
        header = (["time", "lon", "lat"], ["time", "id", "lon"])[name == "b"]
        assert meta["fields"][:3].tolist() == header
        assert [len(field) for field in fields] == [0] * len(meta["fields"])


def test_a_group_that_is_larger_than_a_block_of_rows(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = sampled(source, tmp_path / "a.csv")
    monkeypatch.setattr("hsrgeo.engine.cells.rows_run._GROUP_ROWS", 7)
    assert sampled(source, tmp_path / "b.csv") == rows


def found(source: Path, out: Path, **options: Any) -> list[dict[str, str]]:
    run = hsrgeo.find_objects(source, out, window=WINDOW, at_least=30, jobs=1, **options).run()
    assert run.counts == {"ok": 2, "failed": 1}
    return rows_of(out)


def test_storm_cells_worked_by_hand(source: Path, tmp_path: Path) -> None:
    pytest.importorskip("scipy")
    first, second, third = found(source, tmp_path / "a.csv")
    assert (first["id"], first["cells"], first["max_dbz"]) == ("1", "4", "40")
    # 30, 30, 40 and, by a corner, 30 dBZ: Z of 1000, 1000, 10000 and 1000 is 3250 in the mean.
    assert float(first["mean_dbz"]) == pytest.approx(10 * math.log10(3250))
    lon, lat = map(float, GRID.lonlat((0 + 0 + 1 + 2) / 4, (2 + 3 + 2 + 3) / 4))
    assert (float(first["lon"]), float(first["lat"])) == pytest.approx((lon, lat), abs=1e-6)
    lon, lat = map(float, GRID.lonlat(1, 2))
    assert (float(first["max_lon"]), float(first["max_lat"])) == pytest.approx((lon, lat), abs=1e-6)
    corners = [
        GRID.lonlat(0.75 + down, 2.5 + right) for down, right in ((-0.5, -0.5), (-0.5, 0.5), (0.5, 0.5), (0.5, -0.5))
    ]
    cell = abs(Geod(ellps="WGS84").polygon_area_perimeter(*np.array(corners).T)[0]) / 1e6
    assert float(first["area_km2"]) == pytest.approx(4 * cell, rel=1e-6)
    assert 4 < 4 * cell < 4.3  # the map of Korea shrinks areas by 4 %
    assert {second["cells"], third["cells"]} == {"1"}
    assert {second["max_dbz"], third["max_dbz"]} == {"35", "45"}
    assert [row["cells"] for row in found(source, tmp_path / "b.csv", min_area=2)] == ["4"]


def test_frames_of_rain_have_the_limit_of_rain(tmp_path: Path) -> None:
    """HSP holds mm/h: without --at-least a storm cell begins at 5 mm/h, and not at 35 mm/h."""
    pytest.importorskip("scipy")
    pixels = np.full((NY, NX), UN, np.int16)
    pixels[700, 500:503] = 499, 500, 3400
    path = tmp_path / frame_name(product="HSP")
    path.write_bytes(MakeFile()(pixels, data_codes=(5,)))
    hsrgeo.find_objects(path, tmp_path / "a.csv", window=WINDOW, jobs=1).run()
    assert [(row["cells"], row["max_mm_h"]) for row in rows_of(tmp_path / "a.csv")] == [("2", "34")]


def test_outlines_enclose_the_cells(source: Path, tmp_path: Path) -> None:
    pytest.importorskip("scipy")
    raw, shapely = pytest.importorskip("pyogrio.raw"), pytest.importorskip("shapely")
    hsrgeo.find_objects(source, tmp_path / "a.gpkg", window=WINDOW, at_least=30, jobs=1).run()
    meta, _fids, wkb, fields = raw.read(tmp_path / "a.gpkg")
    shapes = shapely.from_wkb(wkb)
    assert meta["geometry_type"] == "MultiPolygon"
    assert shapely.is_valid(shapes).all()
    assert [len(shape.geoms) for shape in shapes] == [2, 1, 1]  # one touches by a corner only
    areas = [abs(Geod(ellps="WGS84").geometry_area_perimeter(shape)[0]) / 1e6 for shape in shapes]
    assert areas == pytest.approx(fields[list(meta["fields"]).index("area_km2")], rel=1e-3)
    inside = shapely.contains_xy(shapes[0], *GRID.lonlat(*np.mgrid[0:5, 0:6]))
    assert np.argwhere(inside).tolist() == [[0, 2], [0, 3], [1, 2], [2, 3]]


WHOLE: list[Frame] = []


@pytest.mark.slow
@given(arrays.arrays(np.int16, (7, 8), elements=st.sampled_from([NO, UN, UN, 1000, 3500, 4200])))
def test_every_strong_cell_belongs_to_one_storm_cell(stored: NDArray[np.int16]) -> None:
    pytest.importorskip("scipy")
    if not WHOLE:
        WHOLE.append(decode(MakeFile()(np.full((NY, NX), UN, np.int16)), frame_name()))
    part = WHOLE[0].crop(window=(400, 600, 8, 7))
    object.__setattr__(part, "stored", stored)
    cells = storm_cells(part, 35.0)
    assert np.array_equal(cells.labels > 0, stored >= 3500)
    assert cells.cells.tolist() == np.bincount(cells.labels.ravel(), minlength=len(cells.cells) + 1)[1:].tolist()
    assert (np.diff(cells.cells) <= 0).all()
    for number, highest in enumerate(cells.maximum, 1):
        assert highest == stored[cells.labels == number].max() / 100
    for down, right in ((0, 1), (1, 0), (1, 1)):  # neighbours are of one
        one, other = cells.labels[: 7 - down, : 8 - right], cells.labels[down:, right:]
        assert (one == other)[(one > 0) & (other > 0)].all()


def test_the_commands(source: Path, tmp_path: Path) -> None:
    words = [str(source), "--window", "500,700,6,5", "-j", "1", "--json"]
    run = CliRunner().invoke(app, ["sample", *words, "--step", "2", "--out", str(tmp_path / "a.csv")])
    assert run.exit_code == 1  # one is broken
    assert json.loads(run.stdout)["rows"] == 17
    pytest.importorskip("scipy")
    run = CliRunner().invoke(app, ["objects", *words, "--at-least", "30", "--out", str(tmp_path / "b.csv")])
    assert json.loads(run.stdout)["rows"] == 3
    assert "3 storm cells: 3 frames, 2 used, 1 failed" in run.stderr


def test_what_is_wrong_with_a_frame_names_it_once(tmp_path: Path, make_file: MakeFile) -> None:
    pytest.importorskip("scipy")
    (folder := tmp_path / "in").mkdir()
    (folder / frame_name()).write_bytes(make_file(*[make_file.pixels] * 3))
    words = ["--block", "station", "--window", "500,700,6,5", "-j", "1", "--out", str(tmp_path / "out.csv")]
    for source, label in ((folder, folder / frame_name()), (folder / frame_name(), folder / frame_name())):
        run = CliRunner().invoke(app, ["objects", str(source), *words])
        assert f"failed: {label}: no storm cells: expected reflectivity or rain rate, found station\n" in run.stderr


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"step": 0}, "step 0"),
        ({"step": 1.5}, "whole number"),
        ({"at_least": math.nan}, "at_least nan"),
        ({"block": "all"}, "block all"),
    ],
)
def test_options_that_cannot_be(source: Path, tmp_path: Path, options: Any, message: str) -> None:
    with pytest.raises(OptionsError, match=message):
        hsrgeo.sample(source, tmp_path / "a.csv", **options)
    with pytest.raises(OptionsError, match="min_area -1"):
        hsrgeo.find_objects(source, tmp_path / "a.csv", min_area=-1)
    with pytest.raises(OptionsError, match=r"ends in \.csv, \.parquet, \.gpkg"):
        hsrgeo.sample(source, tmp_path / "a.xlsx")


def test_a_height_has_no_storm_cells() -> None:
    part = decode(MakeFile()(np.zeros((NY, NX), np.int16), data_codes=(2,)), frame_name())
    with pytest.raises(FrameError, match="no storm cells"):
        storm_cells(part, 1)


def test_a_geopackage_that_cannot_be_written_is_reported(source: Path, tmp_path: Path) -> None:
    errors = pytest.importorskip("pyogrio.errors")
    (tmp_path / "folder.gpkg").mkdir()
    with pytest.raises(WriteError, match=r"folder\.gpkg: cannot be written: Is a directory"):
        hsrgeo.sample(source, tmp_path / "folder.gpkg", window=WINDOW, at_least=46, jobs=1).run()
    with (
        patch(
            "pyogrio.raw.write",
            side_effect=errors.DataSourceError(f"sqlite3_open({tmp_path}/.a.gpkg.1.part.gpkg) failed"),
        ),
        pytest.raises(WriteError, match=r"a\.gpkg: cannot be written: sqlite3_open"),
    ):
        hsrgeo.sample(source, tmp_path / "a.gpkg", window=WINDOW, at_least=46, jobs=1).run()


@pytest.mark.parametrize(("name", "found"), [("cube.zarr", "a cube"), ("frames.json", "a reference")])
def test_cubes_and_references_are_no_frames(source: Path, tmp_path: Path, name: str, found: str) -> None:
    frames = hsrgeo.ExportOptions(window=WINDOW, jobs=1)
    hsrgeo.make_cube(source, tmp_path / name, hsrgeo.CubeOptions(frames=frames, virtual=name.endswith("json"))).run()
    with pytest.raises(OptionsError, match=f"{name}: is {found}; give the frames or archives it was made of"):
        hsrgeo.sample(tmp_path / name, tmp_path / "a.csv")


def test_an_export_is_no_frames(source: Path, tmp_path: Path) -> None:
    hsrgeo.export(source, tmp_path / "out", window=WINDOW, formats="cog", jobs=1, sync=False).run()
    with pytest.raises(OptionsError, match=r"out: is the output of an export; give the frames or archives it was made"):
        hsrgeo.sample(tmp_path / "out", tmp_path / "a.csv")
