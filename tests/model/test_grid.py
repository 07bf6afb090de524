from __future__ import annotations

import math
import pickle
import tomllib
import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyproj
import pytest
from affine import Affine
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

import hsrgeo
from hsrgeo.errors import ClippedWarning, GridError, HsrGeoError, ProjectionError, UnknownGridError, WindowError
from hsrgeo.model.grid import Grid
from hsrgeo.model.grid_catalog import grid_for, grids
from hsrgeo.model.window import BBox, Center, Window

Floats = NDArray[np.float64]

FINE = grids()["kma-hb-500m"]
COARSE = grids()["kma-hb-1km"]
BOTH = pytest.mark.parametrize("grid", [FINE, COARSE], ids=["500m", "1km"])

# Written out here from KMA composite format, section 3, not taken from the package.
FINE_PROJ = pyproj.Proj("+proj=lcc +lat_1=30 +lat_2=60 +lat_0=38 +lon_0=126 +x_0=0 +y_0=0 +ellps=WGS84 +units=m")
COARSE_PROJ = pyproj.Proj("+proj=lcc +lat_1=30 +lat_2=60 +lat_0=38 +lon_0=126 +x_0=0 +y_0=0 +R=6371008.77 +units=m")
PROJ = {FINE.name: FINE_PROJ, COARSE.name: COARSE_PROJ}
SPHERE_M = 6371008.77


def _files() -> dict[str, Path]:
    return {path.stem: path for path in sorted((Path(__file__).parents[2] / "projections").glob("*.toml"))}


# -- the catalogue ----------------------------------------------------------------------------------------------------


def test_catalogue_holds_every_file_finest_first() -> None:
    by_point = ["kma-hb-500m", "kma-hb-1km"]
    assert list(grids()) == [*by_point, *(f"{name}-corner" for name in by_point)]
    assert set(by_point) == set(_files())
    assert all(grid.name == name for name, grid in grids().items())
    assert hsrgeo.grids() is grids()
    assert all(len(repr(grid)) < 250 and "PROJCRS" not in repr(grid) for grid in grids().values())


@BOTH
def test_catalogue_entry_is_whole(grid: Grid) -> None:
    entry = tomllib.loads(_files()[grid.name].read_text("utf-8"))
    assert (grid.width, grid.height, grid.map_code) == (entry["width"], entry["height"], 1)
    assert grid.cell_size_m == entry["cell_size_m"] == entry["transform"][0] == -entry["transform"][4]
    assert grid.transform == Affine(*entry["transform"])
    assert (grid.transform.b, grid.transform.d) == (0, 0)
    assert grid.title
    assert grid.confidence
    assert grid.sources
    assert grid.check_points
    assert len(entry["check_points"]) == len(grid.check_points)


def test_place_of_the_500m_grid() -> None:
    # KMA composite format, section 3: geotransform (-560250, 500, 0, 600250, 0, -500), 2305 x 2881
    assert FINE.transform.to_gdal() == (-560250, 500, 0, 600250, 0, -500)
    assert (FINE.width, FINE.height, FINE.cell_size_m) == (2305, 2881, 500)
    # outer edges x -560250..592250, y -840250..600250: -560250 + 2305 * 500 = 592250; 600250 - 2881 * 500 = -840250
    assert FINE.bounds == (-560250.0, -840250.0, 592250.0, 600250.0)
    # the centre of (column 1120, row 1680 from the south) is 0, 0; row 2880 - 1680 = 1200 from the north
    assert FINE.xy(1200, 1120) == (0.0, 0.0)
    assert FINE.window == Window(0, 0, 2305, 2881)


def test_place_of_the_1km_grid() -> None:
    # 1153 x 1441, reference cell (560, 840) counted from zero at the south-west: row 1440 - 840 = 600
    assert (COARSE.width, COARSE.height, COARSE.cell_size_m) == (1153, 1441, 1000)
    assert COARSE.xy(600, 560) == (0, 0)
    # west edge 560.5 cells west of the centre; 1153 - 560.5 = 592.5 cells east; 1440 - 840 + 0.5 = 600.5 north
    assert COARSE.bounds == (-560500, -840500, 592500, 600500)


@BOTH
def test_wkt_and_proj_string_are_one_crs(grid: Grid) -> None:
    from_wkt, from_proj = pyproj.CRS.from_wkt(grid.wkt2), pyproj.CRS.from_proj4(grid.proj)
    assert grid.crs == from_wkt
    assert _parameters(from_wkt) == _parameters(from_proj)
    assert _parameters(from_wkt) == {8821: 38, 8822: 126, 8823: 30, 8824: 60, 8826: 0, 8827: 0}
    for crs in (from_wkt, from_proj):
        assert crs.coordinate_operation is not None
        assert crs.coordinate_operation.method_code == "9802"  # Lambert Conic Conformal (2SP)
        assert [axis.unit_name for axis in crs.axis_info] == ["metre", "metre"]
        assert [axis.direction for axis in crs.axis_info] == ["east", "north"]
    expected = (6378137.0, 298.257223563) if grid is FINE else (SPHERE_M, 0.0)
    for crs in (from_wkt, from_proj):
        assert crs.ellipsoid is not None
        assert (crs.ellipsoid.semi_major_metre, crs.ellipsoid.inverse_flattening) == expected


def _parameters(crs: pyproj.CRS) -> dict[int, float]:
    assert crs.coordinate_operation is not None
    return {int(param.code): float(param.value) for param in crs.coordinate_operation.params}


@BOTH
def test_grids_can_be_pickled_hashed_and_compared(grid: Grid) -> None:
    back = pickle.loads(pickle.dumps(grid))  # noqa: S301 - our own bytes
    assert back == grid
    assert hash(back) == hash(grid)
    assert grid.crop(Window(0, 0, 5, 5)) != grid.crop(Window(1, 0, 5, 5))
    assert grid.crop(Window(0, 0, 5, 5)) != grid.crop(Window(0, 0, 5, 6))


def test_grid_for_finds_what_a_header_describes() -> None:
    assert grid_for(1, 2305, 2881, 500) is FINE
    assert grid_for(1, 1153, 1441, 1000) is COARSE


@pytest.mark.parametrize(
    ("map_code", "width", "height", "cell"),
    [(2, 2305, 2881, 500), (1, 2304, 2881, 500), (1, 2305, 2880, 500), (1, 2305, 2881, 1000), (1, 1153, 1441, 500)],
)
def test_unknown_grid_tells_the_known_ones_and_what_was_found(
    map_code: int, width: int, height: int, cell: int
) -> None:
    with pytest.raises(
        UnknownGridError,
        match=(
            r"^unknown grid: expected one of: map 1, 2305 x 2881 cells of 500 m \(kma-hb-500m\); "
            rf"map 1, 1153 x 1441 cells of 1000 m \(kma-hb-1km\), found map {map_code}, {width} x {height} "
            rf"cells of {cell} m$"
        ),
    ):
        grid_for(map_code, width, height, cell)


def test_missing_grid_definitions_are_reported(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("hsrgeo.model.projections.__file__", str(tmp_path / "hsrgeo" / "model" / "projections.py"))
    with pytest.raises(HsrGeoError, match=r"^the grid definitions are missing: no projections/ in .*hsrgeo nor beside"):
        grids.__wrapped__()


# -- the place of a cell ----------------------------------------------------------------------------------------------

# KMA composite format, section 3, "Check points": column and row from zero at the south-west, longitude, latitude.
FACTS = [
    (1120, 1680, 126.0, 38.0),
    (0, 0, 120.180206, 30.128691),
    (2304, 0, 132.151081, 30.107118),
    (0, 2880, 118.845780, 43.339386),
    (2304, 2880, 133.560671, 43.312039),
    (1206, 1508, 126.496323, 37.204071),
    (1353, 1508, 127.344582, 37.196270),
    (1206, 1649, 126.501419, 37.855427),
    (1353, 1649, 127.358391, 37.847534),
]
GEOD = pyproj.Geod(ellps="WGS84")


def test_check_points_of_the_catalogue_are_those_of_the_facts() -> None:
    assert [(p.col, p.row, p.lon, p.lat) for p in FINE.check_points] == FACTS


@BOTH
def test_every_check_point_is_within_26_cm(grid: Grid) -> None:
    for point in grid.check_points:
        row = grid.height - 1 - point.row  # rows of the facts count from the south
        lon, lat = grid.lonlat(row, point.col)
        _azimuth, _back, metres = GEOD.inv(point.lon, point.lat, float(lon), float(lat))
        assert metres <= 0.261, point  # 0.260 m at (1206, 1649), as the README has it
        # and the other way round, with a transformer of our own
        x, y = PROJ[grid.name](point.lon, point.lat)
        assert math.dist(grid.xy(row, point.col), (x, y)) <= 0.261, point
        assert grid.index(x, y) == (row, point.col)


@pytest.mark.slow
def test_statistics_of_all_cells_are_those_of_kma() -> None:
    # KMA's rdr_500m_latlon.nc, section 3: lon 118.845779 .. 133.560669, mean 126.184012;
    # lat 30.107119 .. 43.572559, mean 36.835105
    rows, cols = np.mgrid[0:2881, 0:2305]
    lon, lat = FINE.lonlat(rows, cols)
    expected = {
        "lon": {"min": 118.845779, "max": 133.560669, "mean": 126.184012},
        "lat": {"min": 30.107119, "max": 43.572559, "mean": 36.835105},
    }
    for name, values in (("lon", lon), ("lat", lat)):
        got = {"min": values.min(), "max": values.max(), "mean": values.mean()}
        assert got == pytest.approx(expected[name], abs=1e-5, rel=0)
    assert FINE.statistics == expected


def _lambert(lon: Floats, lat: Floats, radius: float, eccentricity: float) -> tuple[Floats, Floats]:
    """Snyder, Map Projections - A Working Manual (USGS PP 1395), equations 14-15, 15-7 to 15-10, 14-1, 14-2, 14-4."""

    def m(phi: Floats) -> Floats:
        return np.asarray(np.cos(phi) / np.sqrt(1 - (eccentricity * np.sin(phi)) ** 2))

    def t(phi: Floats) -> Floats:
        flat = eccentricity * np.sin(phi)
        return np.asarray(np.tan(np.pi / 4 - phi / 2) / ((1 - flat) / (1 + flat)) ** (eccentricity / 2))

    phi_0, phi_1, phi_2 = (np.asarray(np.radians(degrees)) for degrees in (38.0, 30.0, 60.0))
    n = (np.log(m(phi_1)) - np.log(m(phi_2))) / (np.log(t(phi_1)) - np.log(t(phi_2)))
    f = m(phi_1) / (n * t(phi_1) ** n)
    rho, rho_0 = radius * f * t(np.radians(lat)) ** n, radius * f * t(phi_0) ** n
    theta = n * np.radians(lon - 126)
    return np.asarray(rho * np.sin(theta)), np.asarray(rho_0 - rho * np.cos(theta))


@BOTH
def test_projection_is_the_textbook_formula(grid: Grid) -> None:
    flattening = 1 / 298.257223563
    radius, eccentricity = (6378137.0, math.sqrt(flattening * (2 - flattening))) if grid is FINE else (SPHERE_M, 0.0)
    lon, lat = (values.ravel() for values in np.meshgrid(np.linspace(117, 135, 37), np.linspace(29, 45, 33)))
    x, y = grid.project(lon, lat)
    expected_x, expected_y = _lambert(lon, lat, radius, eccentricity)
    assert np.abs(x - expected_x).max() < 1e-4  # 0.1 mm
    assert np.abs(y - expected_y).max() < 1e-4


@BOTH
def test_project_refuses_what_has_no_place(grid: Grid) -> None:
    for lon, lat in ((126.0, -90.0), (math.nan, 38.0), (126.0, math.inf)):
        with pytest.raises(ProjectionError, match=rf"{lon}.*{lat}.*cannot be projected to {grid.name}"):
            grid.project(lon, lat)
    with pytest.raises(ProjectionError, match=r"^127\.0, -90\.0 \(longitude, latitude\) cannot be projected"):
        grid.project([126.0, 127.0], [38.0, -90.0])  # one of several is enough


@BOTH
def test_lonlat_takes_numbers_and_arrays(grid: Grid) -> None:
    rows, cols = np.array([[0, 5], [7, 1440]]), np.array([[0, 1152], [3, 4]])
    lon, lat = grid.lonlat(rows, cols)
    assert lon.shape == lat.shape == (2, 2)
    for index in np.ndindex(2, 2):
        one_lon, one_lat = grid.lonlat(rows[index], cols[index])
        assert (float(one_lon), float(one_lat)) == pytest.approx((lon[index], lat[index]), abs=1e-12)
        expected = PROJ[grid.name](*grid.xy(int(rows[index]), int(cols[index])), inverse=True)
        assert (lon[index], lat[index]) == pytest.approx(expected, abs=1e-9)


# -- the algebra of windows -------------------------------------------------------------------------------------------

GRIDS = st.sampled_from([FINE, COARSE])


@st.composite
def windows(draw: st.DrawFn, width: int, height: int) -> Window:
    col, row = draw(st.integers(0, width - 1)), draw(st.integers(0, height - 1))
    return Window(col, row, draw(st.integers(1, width - col)), draw(st.integers(1, height - row)))


@given(st.data(), GRIDS, st.integers(-100, 3000), st.integers(-100, 3000))
def test_a_cell_of_a_crop_is_where_it_was(data: st.DataObject, grid: Grid, row: int, col: int) -> None:
    window = data.draw(windows(grid.width, grid.height))
    crop = grid.crop(window)
    assert crop.xy(row, col) == grid.xy(row + window.row_off, col + window.col_off)
    assert (crop.width, crop.height) == (window.width, window.height)
    assert (crop.name, crop.wkt2, crop.cell_size_m) == (grid.name, grid.wkt2, grid.cell_size_m)


@given(st.data(), GRIDS, st.integers(-3000, 3000), st.integers(-3000, 3000))
def test_index_is_the_inverse_of_xy(data: st.DataObject, grid: Grid, row: int, col: int) -> None:
    crop = grid.crop(data.draw(windows(grid.width, grid.height)))
    x, y = crop.xy(row, col)
    if not (0 <= row < crop.height and 0 <= col < crop.width):
        with pytest.raises(WindowError, match="lies outside"):
            crop.index(x, y)
        return
    assert crop.index(x, y) == (row, col)
    # anywhere in the cell, up to a millimetre from its border
    reach = grid.cell_size_m / 2 - 0.001
    for dx, dy in ((-reach, -reach), (reach, -reach), (-reach, reach), (reach, reach)):
        assert crop.index(x + dx, y + dy) == (row, col)


@given(st.data(), GRIDS)
def test_a_crop_of_a_crop_is_one_crop(data: st.DataObject, grid: Grid) -> None:
    outer = data.draw(windows(grid.width, grid.height))
    inner = data.draw(windows(outer.width, outer.height))
    assert grid.crop(outer).crop(inner) == grid.crop(inner.within(outer))
    assert grid.crop(grid.window) == grid
    left, bottom, right, top = grid.crop(outer).bounds
    size = grid.cell_size_m
    assert (left, top) == (grid.bounds[0] + outer.col_off * size, grid.bounds[3] - outer.row_off * size)
    assert (right - left, top - bottom) == (outer.width * size, outer.height * size)


def test_crop_refuses_what_reaches_outside() -> None:
    for window in (Window(0, 0, 2306, 1), Window(2304, 0, 2, 1), Window(0, 2880, 1, 2), Window(5000, 0, 1, 1)):
        message = rf"^window {window} \(COL ROW WIDTH HEIGHT\) reaches outside the 2305 x 2881 cells of kma-hb-500m$"
        with pytest.raises(WindowError, match=message):
            FINE.crop(window)
        with pytest.raises(WindowError, match=message):
            FINE.window_for(window)
    assert FINE.crop(Window(2304, 2880, 1, 1)).bounds == (591750, -840250, 592250, -839750)


def test_window_for_gives_windows_and_the_whole_grid_back() -> None:
    assert FINE.window_for(None) == Window(0, 0, 2305, 2881)
    assert FINE.window_for(Window(3, 4, 5, 6)) == Window(3, 4, 5, 6)


# -- the window of a box ----------------------------------------------------------------------------------------------


def _edges(box: BBox, points: int = 400) -> tuple[Floats, Floats]:
    """Points along the box's edges, among them those where a parallel crosses the central meridian."""
    lon = np.linspace(box.west, box.east, points)
    if box.west < 126 < box.east:
        lon = np.sort(np.append(lon, 126.0))
    lat = np.linspace(box.south, box.north, points)
    south, north = np.full_like(lon, box.south), np.full_like(lon, box.north)
    west, east = np.full_like(lat, box.west), np.full_like(lat, box.east)
    return np.concatenate([lon, lon, west, east]), np.concatenate([south, north, lat, lat])


def _cells(grid: Grid, lon: Floats, lat: Floats) -> tuple[Floats, Floats]:
    """Fractional columns and rows, with a projection and arithmetic of our own."""
    x, y = PROJ[grid.name](lon, lat)
    left, _bottom, _right, top = grid.bounds
    return (x - left) / grid.cell_size_m, (top - y) / grid.cell_size_m


def _cell(grid: Grid, lon: float, lat: float) -> tuple[float, float]:
    cols, rows = _cells(grid, np.array([lon, lon]), np.array([lat, lat]))  # pyproj 3.6 takes one alone for a number
    return float(cols[0]), float(rows[0])


@st.composite
def boxes(draw: st.DrawFn, inside: Sequence[float] = (121.0, 31.0, 131.0, 43.0)) -> BBox:
    west, south, east, north = inside
    lons = sorted(draw(st.lists(st.floats(west, east), min_size=2, max_size=2)))
    lats = sorted(draw(st.lists(st.floats(south, north), min_size=2, max_size=2)))
    assume(lons[0] < lons[1] and lats[0] < lats[1])
    return BBox(lons[0], lats[0], lons[1], lats[1])


@pytest.mark.slow
@settings(max_examples=300)
@given(GRIDS, boxes())
def test_window_covers_the_box_and_is_the_smallest(grid: Grid, box: BBox) -> None:
    window = grid.window_for(box)
    cols, rows = _cells(grid, *_edges(box))
    hair = 2e-6  # cells: 1 mm; a box may lie on a border
    # it covers: no point of the box's edge is outside
    assert window.col_off <= cols.min() + hair
    assert cols.max() <= window.col_off + window.width + hair
    assert window.row_off <= rows.min() + hair
    assert rows.max() <= window.row_off + window.height + hair
    # it is the smallest: the outermost column and row on each side hold some point of the edge
    assert cols.min() < window.col_off + 1 + hair
    assert cols.max() > window.col_off + window.width - 1 - hair
    assert rows.min() < window.row_off + 1 + hair
    assert rows.max() > window.row_off + window.height - 1 - hair


def test_a_parallel_is_an_arc_here() -> None:
    # On the sphere (Snyder 15-1 to 15-3), with n for 30 and 60 degrees:
    #   n = ln(cos 30 / cos 60) / ln(tan 75 / tan 60) = 0.549306 / 0.767652 = 0.715567
    #   F = cos 30 * tan(60)^n / n = 0.866025 * 1.481515 / 0.715567 = 1.793030
    # The parallel 37 N is a circle around the pole of radius rho = R F / tan(63.5)^n = 6371.009 * 1.793030 / 1.645469
    # = 6942.3 km. Two degrees from the central meridian it turns by 2 n = 1.431134 degrees, and has climbed
    #   rho * (1 - cos 1.431134) = 6942.3 km * 0.000311924 = 2.1655 km: two rows of 1 km, four of 500 m.
    box = BBox(124, 37, 128, 37.5)
    corners_lon, corners_lat = np.array([124, 128, 124, 128.0]), np.array([37, 37, 37.5, 37.5])
    for grid, rows_of_sag in ((COARSE, 2.1655), (FINE, 4.331)):
        window = grid.window_for(box)
        _cols, rows = _cells(grid, corners_lon, corners_lat)
        lowest = _cell(grid, 126, 37)[1]
        assert lowest - rows.max() == pytest.approx(rows_of_sag, rel=0.005)  # the ellipsoid differs by 0.3 %
        assert window.row_off + window.height == math.ceil(lowest)
        assert window.row_off + window.height >= math.ceil(rows.max()) + math.floor(rows_of_sag)
        assert window.row_off == math.floor(rows.min())  # the north edge is highest at its ends


def test_the_lowest_point_is_on_the_central_meridian_also_where_it_is_off_the_middle() -> None:
    # 126 E lies 1/11 along the edge, between two of evenly spaced points; with 8 degrees on the one side the arc is
    # steep, and the box 125 .. 136 E is cut in the east.
    with pytest.warns(ClippedWarning, match="east"):
        window = FINE.window_for(BBox(125, 35, 136, 36))
    assert window.row_off + window.height == math.ceil(_cell(FINE, 126, 35)[1])


@BOTH
def test_the_lowest_point_counts_to_the_last_centimetre(grid: Grid) -> None:
    # The south edge crosses the border between two rows by 10 cm, on the central meridian only. Evenly spaced points
    # miss that: 256 steps from 121 E, chosen so that 126 E is in the middle between two of them, half a step
    # (0.0196 degrees) away, where the arc is already 6942 km * (0.7156 * 0.0196 * pi / 180)^2 / 2 = 21 cm higher.
    east = 121 + 5 * 256 / 127.5
    border = grid.bounds[3] - 900 * grid.cell_size_m  # the north edge of row 900
    _lon, south = PROJ[grid.name](0, border - 0.1, inverse=True)
    window = grid.window_for(BBox(121, south, east, south + 1))
    assert window.row_off + window.height == 901


@settings(max_examples=60)
@given(GRIDS, st.data())
def test_a_box_made_from_borders_of_cells_comes_back_as_those_cells(grid: Grid, data: st.DataObject) -> None:
    # East of the central meridian a meridian leans to the west as it goes north. So the four sides of a box are
    # reached at: west in the north-west corner, north in the north-east, east in the south-east, south in the
    # south-west. Solve for the box whose four extremes lie exactly on borders of cells.
    window = data.draw(windows(grid.width - grid.width // 2 - 200, grid.height - 400))
    assume(window.width > 5)
    assume(window.height > 5)
    window = Window(window.col_off + grid.width // 2 + 20, window.row_off + 200, window.width, window.height)
    left, bottom, right, top = grid.crop(window).bounds
    project = PROJ[grid.name]
    west, south = project(left, bottom, inverse=True)
    east, north = project(right, top, inverse=True)
    for _ in range(200):
        west = project(left, project(west, north)[1], inverse=True)[0]
        east = project(right, project(east, south)[1], inverse=True)[0]
        north = project(project(east, north)[0], top, inverse=True)[1]
        south = project(project(west, south)[0], bottom, inverse=True)[1]
    assume(west < east and south < north)
    cols, rows = _cells(grid, *_edges(BBox(west, south, east, north)))
    spread = (cols.min(), cols.max(), rows.min(), rows.max())
    wanted = (window.col_off, window.col_off + window.width, window.row_off, window.row_off + window.height)
    assume(spread == pytest.approx(wanted, abs=1e-7))  # solved
    assert grid.window_for(BBox(west, south, east, north)) == window


@BOTH
def test_a_speck_of_a_box_is_one_cell(grid: Grid) -> None:
    lon, lat = grid.lonlat(700, 700)
    speck = BBox(float(lon), float(lat), float(lon) + 1e-9, float(lat) + 1e-9)  # 0.1 mm
    assert grid.window_for(speck) == Window(700, 700, 1, 1)


@BOTH
def test_a_speck_on_a_border_of_cells_is_in_the_grid_too(grid: Grid) -> None:
    lon, lat = PROJ[grid.name](*grid.crop(Window(700, 700, 1, 1)).bounds[:2], inverse=True)  # a cell's corner
    speck = BBox(lon - 1e-10, lat - 1e-10, lon + 1e-10, lat + 1e-10)
    window = grid.window_for(speck)
    assert window.width == window.height == 1
    assert window.col_off in (699, 700)
    assert window.row_off in (700, 701)


@BOTH
@pytest.mark.parametrize(
    ("box", "sides", "kept"),
    [
        (BBox(100, 36, 127, 37), {"west"}, {"east", "north", "south"}),
        (BBox(-180, 36, 127, 37), {"west"}, {"east", "north", "south"}),  # 180 W is 54 degrees *east* of 126 E
        (BBox(126, 36, 150, 37), {"east"}, {"west", "north", "south"}),
        (BBox(126, 36, 180, 37), {"east"}, {"west", "north", "south"}),
        (BBox(126, 25, 127, 37), {"south"}, {"west", "east", "north"}),
        (BBox(126, 37, 127, 50), {"north"}, {"west", "east", "south"}),
    ],
)
def test_a_box_partly_outside_is_cut_and_said_so(grid: Grid, box: BBox, sides: set[str], kept: set[str]) -> None:
    with pytest.warns(ClippedWarning, match=f"^bbox {box} reaches outside {grid.name} and is cut at its edge"):
        window = grid.window_for(box)
    edge = {
        "west": window.col_off == 0,
        "east": window.col_off + window.width == grid.width,
        "north": window.row_off == 0,
        "south": window.row_off + window.height == grid.height,
    }
    assert all(edge[side] for side in sides)
    # The cells of the box are in the window, and in the rows and columns of its other sides.
    lon, lat = (
        v.ravel() for v in np.meshgrid(np.linspace(box.west, box.east, 300), np.linspace(box.south, box.north, 300))
    )
    cols, rows = _cells(grid, lon, lat)
    inside = (cols > 0) & (cols < grid.width) & (rows > 0) & (rows < grid.height)
    assert inside.any()
    cols, rows = cols[inside], rows[inside]
    assert window.col_off <= cols.min()
    assert cols.max() <= window.col_off + window.width
    assert window.row_off <= rows.min()
    assert rows.max() <= window.row_off + window.height
    assert not any(edge[side] for side in kept)


@BOTH
@pytest.mark.parametrize(
    "box", [BBox(-180, -90, 180, 90), BBox(90, -90, 180, 90), BBox(-180, -80, 180, 80), BBox(110, 20, 140, 50)]
)
def test_a_box_around_the_grid_is_the_whole_grid(grid: Grid, box: BBox) -> None:
    with pytest.warns(ClippedWarning, match="and is cut at its edge"):
        assert grid.window_for(box) == grid.window


@BOTH
@pytest.mark.parametrize(
    "box",
    [
        BBox(2, 48, 3, 49),
        BBox(-127.2, 37.4, -126.7, 37.7),  # the sign of the longitudes is wrong
        BBox(126.7, -37.7, 127.2, -37.4),
        BBox(126, 10, 127, 29),
        BBox(126, 44, 127, 60),
        BBox(136, 30, 140, 44),
        BBox(100, 30, 117, 44),
        BBox(118, 30, 126, 30.12),  # rises to the grid's south edge, but only west of the grid
        BBox(-180, 20, 0, 45),  # half the Earth, the other half
        BBox(-180, -60, -30, 75),  # the Americas
        BBox(126, -90, 127, -89),
        BBox(126, 89, 127, 90),
    ],
)
def test_a_box_wholly_outside_is_an_error(grid: Grid, box: BBox) -> None:
    with pytest.raises(WindowError, match=rf"^bbox {box} does not touch {grid.name}, which lies within 118\.\d\d\.\."):
        grid.window_for(box)


@BOTH
def test_the_place_reported_for_a_box_outside_is_that_of_the_whole_grid(grid: Grid) -> None:
    # of all cells, section 3: lon 118.85 .. 133.56, lat 30.11 .. 43.57; the highest latitude is not in a corner
    with pytest.raises(WindowError, match=r"E, 30\.\d\d\.\.43\.5[67] N$"):
        grid.window_for(BBox(2, 48, 3, 49))


@settings(max_examples=200)
@given(GRIDS, boxes((-180, -90, 180, 90)))
def test_any_box_on_earth_is_a_window_inside_or_an_error(grid: Grid, box: BBox) -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            window = grid.window_for(box)
        except WindowError:
            window = None
    # is a cell of the grid, one of a coarse net, inside the box?
    rows, cols = (v.ravel() for v in np.mgrid[0 : grid.height : 90, 0 : grid.width : 90])
    lon, lat = PROJ[grid.name](*_xy(grid, rows, cols), inverse=True)
    inside = (lon >= box.west) & (lon <= box.east) & (lat >= box.south) & (lat <= box.north)
    if window is None:
        assert not inside.any()
        return
    grid.crop(window)  # inside the grid
    assert (cols[inside] >= window.col_off).all()
    assert (cols[inside] < window.col_off + window.width).all()
    assert (rows[inside] >= window.row_off).all()
    assert (rows[inside] < window.row_off + window.height).all()
    reaches_out = box.west < 118 or box.south < 30 or box.east > 134 or box.north > 44
    assert any(warning.category is ClippedWarning for warning in caught) >= reaches_out


def _xy(grid: Grid, rows: NDArray[np.int64], cols: NDArray[np.int64]) -> tuple[Floats, Floats]:
    left, _bottom, _right, top = grid.bounds
    east, south = cols.astype(np.float64), rows.astype(np.float64)
    return left + (east + 0.5) * grid.cell_size_m, top - (south + 0.5) * grid.cell_size_m


# -- the square around a point ----------------------------------------------------------------------------------------


@settings(max_examples=200)
@given(GRIDS, st.floats(122, 130), st.floats(32, 42), st.integers(1, 300))
def test_the_square_is_the_one_whose_middle_is_nearest(grid: Grid, lon: float, lat: float, size: int) -> None:
    window = grid.window_for(Center(lon, lat, size))
    assert (window.width, window.height) == (size, size)
    col, row = _cell(grid, lon, lat)
    # moved by a cell either way the middle would be farther off: within half a cell of the point
    assert abs(window.col_off + size / 2 - col) <= 0.5 + 1e-5
    assert abs(window.row_off + size / 2 - row) <= 0.5 + 1e-5


@BOTH
def test_an_odd_square_has_the_point_in_its_middle_cell(grid: Grid) -> None:
    # 126 E 38 N is the centre of cell (row 1200, column 1120) on the fine grid, (600, 560) on the coarse one:
    # three cells around it begin one to the west and north, five begin two
    row, col = (1200, 1120) if grid is FINE else (600, 560)
    assert grid.window_for(Center(126, 38, 1)) == Window(col, row, 1, 1)
    assert grid.window_for(Center(126, 38, 3)) == Window(col - 1, row - 1, 3, 3)
    assert grid.window_for(Center(126, 38, 5)) == Window(col - 2, row - 2, 5, 5)


def test_an_even_square_takes_the_nearer_side() -> None:
    # A quarter of a cell (125 m) east and south of the centre of (1200, 1120) the point is at column 1120.75, row
    # 1200.75: the middle of two cells from 1120 is 1121, 0.25 away; from 1119 it would be 1120, 0.75 away.
    lon, lat = FINE_PROJ(125, -125, inverse=True)
    assert FINE.window_for(Center(lon, lat, 2)) == Window(1120, 1200, 2, 2)
    lon, lat = FINE_PROJ(-125, 125, inverse=True)  # column 1120.25, row 1200.25: the middle is 1120, 1200
    assert FINE.window_for(Center(lon, lat, 2)) == Window(1119, 1199, 2, 2)
    lon, lat = FINE_PROJ(125, 125, inverse=True)
    assert FINE.window_for(Center(lon, lat, 256)) == Window(1121 - 128, 1200 - 128, 256, 256)


@BOTH
def test_an_even_square_around_a_cell_centre_falls_to_the_same_side_everywhere(grid: Grid) -> None:
    # The two middles are equally near, and the last digit of the projection must not choose between them.
    sides = set()
    for row in range(150, 1250, 97):
        for col in range(150, 1000, 83):
            lon, lat = grid.lonlat(row, col)
            window = grid.window_for(Center(float(lon), float(lat), 256))
            sides.add((window.col_off - col, window.row_off - row))
    assert len(sides) == 1, sides


def test_a_square_reaching_outside_is_an_error() -> None:
    lon, lat = FINE_PROJ(-560250 + 10 * 500, 0, inverse=True)  # ten cells from the west edge
    assert FINE.window_for(Center(lon, lat, 20)).col_off == 0
    with pytest.raises(
        WindowError,
        match=(
            # column 10 - 11 + 0.5, rounded down; y = 0 is row 600250 / 500 = 1200.5, less 11, and 0.5: 1190
            r"^center 119\.\d+ 37\.\d+ with size 22: the square would be -1 1190 22 22 \(COL ROW WIDTH HEIGHT\), "
            r"which reaches outside the 2305 x 2881 cells of kma-hb-500m$"
        ),
    ):
        FINE.window_for(Center(lon, lat, 22))
    for center in (Center(2, 48, 1), Center(126, 38, 2306), Center(-126, 38, 256), Center(126, 38, 2401)):
        with pytest.raises(WindowError, match=f"^center {center.lon} {center.lat} with size {center.size}: "):
            FINE.window_for(center)


def test_a_center_that_cannot_be_projected_is_an_error_of_the_grid() -> None:
    with pytest.raises(GridError, match=r"126.0, -90.0"):
        FINE.window_for(Center(126.0, -90.0, 1))


def test_degrees_are_never_taken_for_metres() -> None:
    grid = grids()["kma-hb-500m"]
    with pytest.raises(WindowError, match="index_lonlat takes degrees"):
        grid.index(126.98, 37.57)  # Seoul's, 96 km from the cell that holds x = 127 m, y = 38 m
    row, col = grid.index_lonlat(126.98, 37.57)
    x, y = grid.project(126.98, 37.57)
    assert (row, col) == grid.index(float(x), float(y))
    lon, lat = grid.lonlat(row, col)
    assert (abs(float(lon) - 126.98), abs(float(lat) - 37.57)) < (0.003, 0.003)  # half a cell is 250 m
    with pytest.raises(WindowError, match=r"2, 48 \(longitude, latitude\) lies outside kma-hb-500m"):
        grid.index_lonlat(2, 48)
