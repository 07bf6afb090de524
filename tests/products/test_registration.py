"""Whether KMA's points are the centres of the cells or their south-west corners: one choice, everywhere."""

import csv
import json
from pathlib import Path

import numpy as np
import pyproj
import pytest
import rasterio
from typer.testing import CliRunner

import hsrgeo
from hsrgeo.cli import app
from hsrgeo.model.grid import Registration
from hsrgeo.model.grid_catalog import MAIN_GRID, grid_for, grids, grids_by
from hsrgeo.outputs.recipe import recipe_from_json

FRAMES = Path(__file__).parents[2] / "examples/frames"
FRAME = FRAMES / "RDR_CMP_HSR_PUB_202206090615.bin.gz"
SEOUL = (126.7, 37.4, 127.2, 37.7)
KMA = pyproj.Transformer.from_crs(
    "EPSG:4326",
    "+proj=lcc +lat_1=30 +lat_2=60 +lat_0=38 +lon_0=126 +x_0=0 +y_0=0 +ellps=WGS84 +units=m",
    always_xy=True,
)
"""KMA composite format, section 3, without hsrgeo's own definition."""
ORIGINS: dict[Registration, tuple[float, float]] = {"point": (-560250, 600250), "corner": (-560000, 600500)}


def _run(*words: object) -> tuple[int, str]:
    result = CliRunner().invoke(app, [*map(str, words)])
    return result.exit_code, result.output


@pytest.mark.parametrize("registration", ["point", "corner"])
def test_origins_are_those_of_the_facts(registration: Registration) -> None:
    grid = grid_for(1, 2305, 2881, 500, registration)
    left, top = ORIGINS[registration]
    assert grid.transform.to_gdal() == (left, 500, 0, top, 0, -500)
    assert grid.registration == registration
    assert grid in grids_by(registration)
    assert grids()[grid.name] is grid


@pytest.mark.parametrize(("col", "row"), [(1120, 1680), (1206, 1508), (1353, 1649)])
def test_a_point_that_kma_serves_is_the_south_west_corner_of_its_cell(col: int, row: int) -> None:
    """Check points of the facts, section 3, served to 1e-6 degrees: within 0.3 m."""
    served = next(point for point in grids()[MAIN_GRID].check_points if (point.col, point.row) == (col, row))
    x, y = KMA.transform(served.lon, served.lat)
    t = grids()[f"{MAIN_GRID}-corner"].transform
    north_row = 2880 - row
    assert x == pytest.approx(t.c + 500 * col, abs=0.3)  # the west edge of the cell
    assert y == pytest.approx(t.f - 500 * (north_row + 1), abs=0.3)  # its south edge


def test_a_cog_by_corner_has_the_point_at_the_corner_of_its_cell(tmp_path: Path) -> None:
    """126 E 38 N is KMA's point of the cell (1120, 1680) from the south: row 1200 from the north."""
    frame = hsrgeo.open_frame(FRAME, registration="corner")
    path = frame.crop(window=(1120, 1200, 64, 64)).to_cog(tmp_path / "x.tif")
    with rasterio.open(path) as cog:
        x, y = pyproj.Transformer.from_crs("EPSG:4326", cog.crs.to_wkt(), always_xy=True).transform(126, 38)
        left, side, _skew, top, _turn, down = cog.transform.to_gdal()
        col, row = (x - left) / side, (y - top) / down
        assert (col, row) == pytest.approx((0, 1), abs=1e-6)  # south-west corner of the pixel in the north-west
        assert cog.tags()["GRID"] == f"{MAIN_GRID}-corner"
        stored = cog.read(1)
    assert (stored == hsrgeo.open_frame(FRAME).crop(window=(1120, 1200, 64, 64)).stored).all()


def test_a_box_has_the_cells_that_cover_it_there() -> None:
    """The box of one cell by point lies half in each of four cells by corner."""
    point, corner = (hsrgeo.open_frame(FRAME, registration=name).grid for name in ("point", "corner"))
    lon, lat = point.lonlat(np.array([1200.4, 1199.6]), np.array([1119.6, 1120.4]))
    box = hsrgeo.BBox(lon[0], lat[0], lon[1], lat[1])
    assert point.window_for(box) == hsrgeo.Window(1120, 1200, 1, 1)
    assert corner.window_for(box) == hsrgeo.Window(1119, 1200, 2, 2)


def test_what_is_no_registration_is_refused(tmp_path: Path) -> None:
    word = "centre"
    for use in (
        lambda: hsrgeo.open_frame(FRAME, registration=word),  # type: ignore[arg-type]
        lambda: hsrgeo.ExportOptions(registration=word),  # type: ignore[arg-type]
        lambda: hsrgeo.write_raw_vrts(FRAME, tmp_path, registration=word),  # type: ignore[arg-type]
        lambda: hsrgeo.open(FRAME, registration=word),  # type: ignore[arg-type]
    ):
        with pytest.raises(hsrgeo.OptionsError, match="centre"):
            use()


def test_recipes_tell_corner_and_only_corner() -> None:
    point = hsrgeo.ExportOptions().recipe
    corner = hsrgeo.ExportOptions(registration="corner").recipe
    assert "registration" not in point.as_json()
    assert corner.as_json() == {**point.as_json(), "registration": "corner"}
    assert recipe_from_json(json.loads(json.dumps(corner.as_json()))) == corner
    with pytest.raises(ValueError, match="no recipe"):
        recipe_from_json({**point.as_json(), "registration": "centre"})


def test_exports_of_both_never_mix(tmp_path: Path) -> None:
    words = ("export", FRAME, "--bbox", *SEOUL, "--format", "cog", "--jobs", 1, "--out", tmp_path)
    assert _run(*words, "--registration", "corner")[0] == 0
    status, text = _run(*words)
    assert status == 2
    assert "registration: corner there" in text
    assert _run("verify", tmp_path, "--against", FRAME, "--jobs", 1)[0] == 0
    assert _run("stac", tmp_path)[0] == 0
    item = json.loads(next((tmp_path / "items").glob("*.json")).read_text(encoding="utf-8"))
    assert item["properties"]["hsrgeo:grid"] == f"{MAIN_GRID}-corner"
    a, b, left, d, e, top = item["properties"]["proj:transform"][:6]
    assert ((left + 560000) % 500, (600500 - top) % 500) == (0, 0)
    assert (a, b, d, e) == (500, 0, 0, -500)
    grid = grids()[f"{MAIN_GRID}-corner"]
    lon, lat = grid.crop(grid.window_for(hsrgeo.BBox(*SEOUL)))._outline_lonlat()
    assert item["bbox"] == pytest.approx([lon.min(), lat.min(), lon.max(), lat.max()], abs=1e-5)


def test_cubes_of_both_never_mix(tmp_path: Path) -> None:
    out = tmp_path / "x.zarr"
    words = ("cube", FRAME, "--bbox", *SEOUL, "--jobs", 1, "--out", out)
    assert _run(*words, "--registration", "corner")[0] == 0
    status, text = _run(*words)
    assert status == 2
    assert "registration: corner there, default now" in text
    cube = hsrgeo.open(out)
    assert cube.spatial_ref.attrs["grid"] == f"{MAIN_GRID}-corner"
    opened = hsrgeo.open(FRAME, bbox=SEOUL, registration="corner")
    for axis in ("x", "y"):
        assert (cube[axis].values == opened[axis].values).all()
        assert ((opened[axis].values % 500) == 250).all()  # by point the centres are at whole cells
    assert np.array_equal(cube.reflectivity.values, opened.reflectivity.values, equal_nan=True)
    with pytest.raises(hsrgeo.OptionsError, match="registration"):
        hsrgeo.open(out, registration="corner")


def test_a_reference_tells_its_registration(tmp_path: Path) -> None:
    out = tmp_path / "x.json"
    words = ("--virtual", "--bbox", *SEOUL, "--jobs", 1, "--registration", "corner", "--out", out)
    assert _run("cube", FRAME, *words)[0] == 0
    opened, again = hsrgeo.open(out), hsrgeo.open(FRAME, bbox=SEOUL, registration="corner")
    assert (opened.x.values == again.x.values).all()
    assert np.array_equal(opened.reflectivity.values, again.reflectivity.values, equal_nan=True)


def test_series_and_sums_are_placed_too(tmp_path: Path) -> None:
    """A gauge in the north-east of a cell by corner: by point it stands in the next one to the north-east."""
    grid = grids()[f"{MAIN_GRID}-corner"]
    frame = hsrgeo.open_frame(FRAME)
    row, col = (int(axis) for axis in np.unravel_index(np.argmax(frame.stored), frame.stored.shape))
    lon, lat = (float(axis) for axis in grid.lonlat(row - 0.4, col + 0.4))
    gauges = tmp_path / "gauges.csv"
    gauges.write_text(f"name,lon,lat\nA,{lon!r},{lat!r}\n", encoding="utf-8")
    for registration, stored in (("corner", frame.stored[row, col]), ("point", frame.stored[row - 1, col + 1])):
        out = tmp_path / f"{registration}.csv"
        words = ("--points", gauges, "--jobs", 1, "--registration", registration, "--out", out)
        assert _run("series", FRAME, *words)[0] == 0
        (record,) = csv.DictReader(out.read_text(encoding="utf-8").splitlines())
        assert float(record["rain_mm_h"]) == pytest.approx(10 ** (stored / 1600) / 200 ** (1 / 1.6), rel=1e-3)
    assert frame.stored[row - 1, col + 1] != frame.stored[row, col]
    where = ("--bbox", *SEOUL, "--registration", "corner")
    assert _run("accumulate", FRAME, *where, "--jobs", 1, "--out", tmp_path / "sum")[0] == 0
    with rasterio.open(next((tmp_path / "sum").rglob("*.tif"))) as cog:
        assert ((cog.transform.c + 560000) % 500, (600500 - cog.transform.f) % 500) == (0, 0)
        assert cog.tags()["GRID"] == grid.name


def test_what_was_placed_already_is_not_placed_again(tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert _run("export", FRAME, "--bbox", *SEOUL, "--format", "cog", "--jobs", 1, "--out", out)[0] == 0
    gauges = tmp_path / "gauges.csv"
    gauges.write_text("name,lon,lat\nA,127,37.5\n", encoding="utf-8")
    for words in (
        ("series", out, "--points", gauges, "--out", tmp_path / "x.csv"),
        ("accumulate", out, "--out", tmp_path / "sum"),
        ("render", out, "--out", tmp_path / "x.png"),
        ("vrt", out),
    ):
        status, text = _run(*words, "--registration", "corner")
        assert status == 2, words
        assert "registration" in text


def test_info_raw_vrt_and_render_are_placed_too(tmp_path: Path) -> None:
    status, text = _run("info", "--json", "--registration", "corner", FRAME)
    assert status == 0
    assert json.loads(text)[0]["grid"] == f"{MAIN_GRID}-corner"
    assert _run("vrt", "--raw", "--registration", "corner", FRAME, "--out", tmp_path)[0] == 0
    with (
        rasterio.Env(GDAL_VRT_RAWRASTERBAND_ALLOWED_SOURCE="ALL"),
        rasterio.open(next(tmp_path.glob("*.vrt"))) as raster,
    ):
        assert raster.transform.to_gdal()[::3] == ORIGINS["corner"]
    assert _run("render", FRAME, "--registration", "corner", "--bbox", *SEOUL, "--out", tmp_path / "x.png")[0] == 0
